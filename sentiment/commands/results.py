"""Updates the tables of results and parameters in README.md and docs/.

The results are those of the workspace's run and of earlier commits; the parameters are those of params.yaml.
"""

import re
from pathlib import Path

from sentiment.atomic import replacing
from sentiment.errors import InputError
from sentiment.metrics.metrics_file import with_interval
from sentiment.params import FILE, Params
from sentiment.runs.run import Run

MODELS = {"baseline": "TF-IDF baseline", "zero_shot": "before fine-tuning", "test": "fine-tuned"}
PAGES = {"README.md": "results", "docs/imdb.md": "results", "docs/parameters.md": "parameters"}


def main() -> None:
    """Update the tables of results and parameters in README.md and docs/."""
    for page, text in pages().items():
        with replacing(page) as partial:
            partial.write_text(text, encoding="utf-8")


def pages() -> dict[Path, str]:
    """The pages that have tables, by file, with up-to-date tables.

    A table is between two marker lines, of which the first may name commits:
    `<!-- results: sentiment results COMMIT -->`.

    Raises:
        InputError: a page lacks the marker lines, or they name a run that does not exist.
    """
    texts = {}
    for page, name in PAGES.items():
        text = Path(page).read_text(encoding="utf-8")
        markers = rf"<!-- {name}: sentiment results((?: \S+)*) -->\n(.*?)<!-- end of {name} -->"
        match = re.search(markers, text, re.DOTALL)
        if not match:
            raise InputError(
                f"{page}: has no <!-- {name}: sentiment results --> and <!-- end of {name} -->; "
                "the table goes between them"
            )
        rows = parameters() if name == "parameters" else results(match[1].split())
        if page == "README.md":
            rows = [[*row[:3], row[-1]] for row in rows]
        lines = [f"| {' | '.join(cells)} |\n" for cells in rows]
        lines.insert(1, "|" + "---|" * len(rows[0]) + "\n")
        texts[Path(page)] = text[: match.start(2)] + "".join(lines) + text[match.end(2) :]
    return texts


def parameters() -> list[list[str]]:
    """Header and rows of the table of parameters: params.yaml with the descriptions of its schema."""
    rows = [["parameter", "default", "meaning"]]
    for line in Path(FILE).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key in Params.model_fields:
            default = value.partition(" #")[0].strip()
            rows.append([f"`{key}`", f"`{default}`", str(Params.model_fields[key].description)])
    return rows


def results(commits: list[str]) -> list[list[str]]:
    """Header and rows of the table of results: each model of the workspace's run and of these commits."""
    rows = [["dataset", "model", "test accuracy", "macro F1", "F1 negative, positive", "challenge accuracy"]]
    for run in [Run(), *map(Run, commits)]:
        rows += [row(run, name) for name in MODELS if run.has_file(f"metrics/{name}.json")]
    return rows


def row(run: Run, name: str) -> list[str]:
    """One model of a run: metrics on the test split and, if available, accuracy on the challenge set.

    Each accuracy is followed by its 95 % interval.
    """
    metrics, model = run.metrics(name), MODELS[name]
    if name != "baseline":
        model += f": {run.params['model'].split('/')[-1].split('@')[0]}"
    if name == "test":
        model += f", `lr={run.params['lr']:g}`, `epochs={run.params['epochs']}`"
        if run.params.get("teachers"):
            model += f", `teachers={run.params['teachers']}`"
    start = [run.params["dataset"], model]
    if isinstance(metrics["accuracy"], str):  # a pretrained model without a head, for example
        return [*start, metrics["accuracy"], "", "", ""]
    challenge = with_interval(run.metrics("challenge")) if name == "test" else ""
    f1 = f"{metrics['negative']['f1']:.4f}, {metrics['positive']['f1']:.4f}"
    return [*start, with_interval(metrics), f"{metrics['macro_f1']:.4f}", f1, challenge]
