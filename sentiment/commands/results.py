"""Updates the tables of results and parameters in README.md and docs/.

The results are those of the workspace's run and of earlier commits; the parameters are those of params.yaml.
"""

import re
from pathlib import Path
from typing import Any

from sentiment.atomic import replacing
from sentiment.errors import InputError
from sentiment.metrics.metrics_file import with_interval
from sentiment.params import FILE, Params
from sentiment.runs.models import TITLES
from sentiment.runs.run import Model, Run
from sentiment.validation import read_yaml

NOT_MEASURED = "–"
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
            rows = [[*row[:3], *row[5:]] for row in rows]
        lines = [f"| {' | '.join(cells)} |\n" for cells in rows]
        lines.insert(1, "|" + "---|" * len(rows[0]) + "\n")
        texts[Path(page)] = text[: match.start(2)] + "".join(lines) + text[match.end(2) :]
    return texts


def parameters() -> list[list[str]]:
    """Header and rows of the table of parameters: params.yaml with the descriptions of its schema."""
    rows = [["parameter", "default", "meaning"]]
    values = read_yaml(FILE)
    for line in Path(FILE).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key in values:
            default = value.partition(" #")[0].strip()  # as it is written there, such as 1e-4
            if isinstance(values[key], list):
                default = f"[{', '.join(map(str, values[key]))}]"
            rows.append([f"`{key}`", f"`{default}`", str(Params.model_fields[key].description)])
    return rows


def results(commits: list[str]) -> list[list[str]]:
    """Header and rows of the table of results: each model of the workspace's run and of these commits.

    Each evaluation set of any of the runs has a column.
    """
    runs = [Run(), *map(Run, commits)]
    sets = list(dict.fromkeys(name for run in runs for name in run.evaluation_sets))
    columns = ["dataset", "model", "test accuracy", "macro F1", "F1 negative, positive"]
    rows = [[*columns, *(f"{name} accuracy" for name in sets)]]
    for run in runs:
        scores = run.scores()
        for model in scores["test"]:
            by_set = {name: by_model[model] for name, by_model in scores.items() if model in by_model}
            rows.append(row(run, model, by_set, sets))
    return rows


def row(run: Run, model: Model, metrics: dict[str, Any], sets: list[str]) -> list[str]:
    """One model of a run: metrics on the test split, and accuracy on each of `sets`.

    Each accuracy is followed by its 95 % interval. What was not measured is a dash.

    Args:
        run: the run.
        model: the model.
        metrics: its metrics by evaluation set.
        sets: the evaluation sets that have a column.
    """
    title = TITLES[model]
    if model != "baseline":
        title += f": {run.params['model'].split('/')[-1].split('@')[0]}"
    if model == "classifier":
        title += f", `lr={run.params['lr']:g}`, `epochs={run.params['epochs']}`"
        if run.params.get("teachers"):
            title += f", `teachers={run.params['teachers']}`"
    test = metrics["test"]
    f1 = f"{test['negative']['f1']:.4f}, {test['positive']['f1']:.4f}"
    cells = [run.params["dataset"], title, with_interval(test), f"{test['macro_f1']:.4f}", f1]
    return cells + [with_interval(metrics[name]) if name in metrics else NOT_MEASURED for name in sets]
