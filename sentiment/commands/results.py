"""Writes tables of README.md and docs/: the results, from the metrics that Git holds, and the parameters, from their schema."""

import shutil
from pathlib import Path
from typing import Annotated

import networkx as nx
import typer

from sentiment.atomic import replacing
from sentiment.errors import InputError
from sentiment.evaluation.report import with_interval
from sentiment.evaluation.run import KeptRun, Run, repository
from sentiment.params import FILE, Params

METRICS = Path("metrics")
MODELS = {"baseline": "TF-IDF baseline", "zero_shot": "before fine-tuning", "test": "fine-tuned"}


# fmt: off
def main(
    keep: Annotated[str | None, typer.Option(metavar="NAME", help="first keep this workspace's metrics and params.yaml as metrics/NAME/")] = None,
) -> None:
# fmt: on
    """Write the tables of results and parameters in README.md and docs/."""
    if keep:
        keep_run(METRICS / keep)
    for page, text in pages().items():
        with replacing(page) as partial:
            partial.write_text(text, encoding="utf-8")


def pages() -> dict[Path, str]:
    """The pages that have tables, by file, with the tables as they are to be now.

    Raises:
        InputError: a page lacks the two lines between which its table goes.
    """
    rows = results()
    tables = {
        "README.md": ("results", [[*row[:3], row[-1]] for row in rows]),
        "docs/imdb.md": ("results", rows),
        "docs/parameters.md": ("parameters", parameters()),
    }
    return {Path(page): with_table(Path(page), name, table) for page, (name, table) in tables.items()}


def with_table(page: Path, name: str, rows: list[list[str]]) -> str:
    """The text of a page with a Markdown table of `rows`, the first of them its header, in the place of its last one."""
    start, end = f"<!-- {name}: sentiment results -->\n", f"<!-- end of {name} -->\n"
    text = page.read_text(encoding="utf-8")
    if start not in text or end not in text:
        raise InputError(f"{page}: has no {start.strip()} and {end.strip()}; the table goes between them")
    lines = [f"| {' | '.join(cells)} |\n" for cells in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]) + "\n")
    return text.split(start)[0] + start + "".join(lines) + end + text.split(end)[1]


def keep_run(target: Path) -> None:
    """Copy params.yaml and the metrics of every stage that is up to date, as all stages before it are, to `target`.

    Raises:
        InputError: no stage is up to date, or there is something else in its place.
    """
    if target.exists() and not (target / FILE).exists():
        raise InputError(f"--keep {target.name}: {target} is there already and no kept run; choose another name")
    with repository() as repo:
        changed = set(repo.status()) - {"check"}  # which decides no result
        graph = repo.index.graph
        kept = [
            out.def_path
            for stage in repo.index.stages
            if not changed & {before.addressing for before in {stage} | nx.descendants(graph, stage)}
            for out in stage.outs
            if out.is_metric
        ]
    if not kept:
        raise InputError(f"--keep {target.name}: no metrics are up to date; `dvc repro` first")
    with replacing(target) as folder:
        folder.mkdir()
        for path in [FILE, *kept]:
            shutil.copy(path, folder)


def parameters() -> list[list[str]]:
    """Rows of the parameters, after a header: the lines of params.yaml with the descriptions of the schema."""
    rows = [["parameter", "default", "meaning"]]
    for line in Path(FILE).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key in Params.model_fields:
            default = value.partition(" #")[0].strip()
            rows.append([f"`{key}`", f"`{default}`", str(Params.model_fields[key].description)])
    return rows


def results() -> list[list[str]]:
    """Rows of the results, after a header: one for each model of each run, its 95 % interval behind its accuracy."""
    rows = [["dataset", "model", "test accuracy", "macro F1", "F1 negative, positive", "challenge accuracy"]]
    for run in [Run(), *(KeptRun(path.parent.name) for path in sorted(METRICS.glob(f"*/{FILE}")))]:
        rows += [row(run, name) for name in MODELS if run.has(f"metrics/{name}.json")]
    return rows


def row(run: Run, name: str) -> list[str]:
    """One model of one run: its metrics on the test split, and on the challenge set where it was scored there."""
    metrics, model = run.metrics(name), MODELS[name]
    if name != "baseline":
        model += f": {run.params['model'].split('/')[-1].split('@')[0]}"
    if name == "test":
        model += f", `lr={run.params['lr']:g}`, `epochs={run.params['epochs']}`"
    start = [run.params["dataset"], model]
    if isinstance(metrics["accuracy"], str):
        return [*start, metrics["accuracy"], "", "", ""]
    challenge = with_interval(run.metrics("challenge")) if name == "test" else ""
    f1 = f"{metrics['negative']['f1']:.4f}, {metrics['positive']['f1']:.4f}"
    return [*start, with_interval(metrics), f"{metrics['macro_f1']:.4f}", f1, challenge]
