"""Write metrics/report.html: the run on one page that loads nothing, to read, send or keep.

All of it is from what the stages wrote; nothing is scored again. Usage: python -m stages.report [--against RUN]
"""

import argparse
import io
import json
import math
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvc.repo import Repo
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from scipy.stats import binomtest

from stages import compare, errors, outputs, parameters
from stages.errors import InputError
from stages.labels import LABELS

REPORT = "metrics/report.html"
METRICS = ("test", "challenge", "baseline", "zero_shot", "train", "data")
LEFT, RIGHT, TOP, BOTTOM = 54, 344, 26, 196  # of the axes, in a plot of 360 by 236
DIAGONAL = {"ROC", "Reliability"}  # plots in which x = y means something


def main() -> None:
    """Gather what the stages wrote, compare it with an earlier run, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m stages.report", description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--against",
        metavar="RUN",
        help="commit, tag, branch or experiment to compare with (the last commit with other predictions)",
    )
    against = parser.parse_args().against
    found = {name: read(f"metrics/{name}.json") for name in METRICS}
    found |= {"mistakes": read("metrics/predictions/mistakes.md")} | plots() | provenance()
    found |= comparison(against)
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # a review may hold anything
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with errors.loading("metrics/"):
        page = pages.get_template("report.html").render(found, labels=LABELS)
    with outputs.whole(REPORT) as partial:
        partial.write_text(page, encoding="utf-8")
    print(f"{REPORT}: one page for a browser; it needs no network and no other file")


def read(path: str) -> Any:
    """The content of a file that a stage wrote.

    Raises:
        InputError: it is not there, or damaged.
    """
    if not Path(path).exists():
        raise InputError(f"{path} is not here; `dvc repro` makes it, `dvc pull` fetches what was pushed")
    with errors.loading(path):
        text = Path(path).read_text(encoding="utf-8")
        if path.endswith((".csv", ".tsv")):
            return pd.read_csv(io.StringIO(text), sep="\t" if path.endswith(".tsv") else ",")
        return mistakes(text) if path.endswith(".md") else json.loads(text)


def mistakes(markdown: str) -> list[tuple[str, ...]]:
    """Rows of mistakes.md: id, label, probability of POSITIVE, review."""
    rows = re.findall(rf"^\| (.*?) \| ({'|'.join(LABELS)}) \| (\d\.\d+) \| (.*) \|$", markdown, re.MULTILINE)
    return [(*row[:3], row[3].replace("\\|", "|")) for row in rows]


def provenance() -> dict[str, Any]:
    """What made the run: `params` and `source` (dataset.yaml), the `commit`, and stages `changed` since."""
    stages = parameters.read_yaml("dvc.lock")["stages"]
    used: dict[str, Any] = {}
    # params.yaml may have moved on, and check_params with it: what the other stages ran with counts.
    for name in sorted(stages, key=lambda name: name != "check_params"):
        used |= stages[name].get("params", {}).get(parameters.FILE, {})
    with Repo() as repo:
        status = repo.status()
    return {
        "params": {key: used[key] for key in (*parameters.read_yaml(parameters.FILE), *used) if key in used},
        "source": parameters.read_yaml(f"data/{used['dataset']}/dataset.yaml"),
        "commit": git("describe", "--always", "--dirty").strip() or "no commit yet",
        # What was not fetched, such as the weights, is no change.
        "changed": [stage for stage, why in status.items() if not set(leaves(why)) <= {"deleted", "not in cache"}],
    }


def leaves(tree: Any) -> Iterator[Any]:
    """The values within nested lists and dictionaries."""
    if isinstance(tree, dict | list):
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(branch)
    else:
        yield tree


def comparison(against: str | None) -> dict[str, Any]:
    """`comparison` with an earlier run, or `no_comparison`: why there is none.

    Raises:
        InputError: the run that was asked for cannot be compared.
    """
    try:
        name = against or previous()
        if name is None:
            return {"no_comparison": "no commit up to HEAD has a run with other predictions"}
        return {"comparison": compare.compare(compare.read(name), compare.read(compare.WORKSPACE))}
    except InputError as error:
        if against:
            raise
        return {"no_comparison": str(error)}


def previous() -> str | None:
    """The last commit, HEAD included, that locks other predictions than the workspace does."""

    def predictions(name: str, lock: str) -> str | None:
        outs = parameters.parse_yaml(lock, name)["stages"].get("evaluate", {"outs": []})["outs"]
        return next((out["md5"] for out in outs if out["path"] == "metrics/predictions"), None)

    current = predictions("dvc.lock", Path("dvc.lock").read_text(encoding="utf-8"))
    for commit in git("log", "--diff-filter=AM", "--format=%h", "--", "dvc.lock").split():
        if predictions(f"{commit}: dvc.lock", git("show", f"{commit}:./dvc.lock")) not in (None, current):
            return commit
    return None


def git(*arguments: str) -> str:
    """What a Git command prints; nothing where there is no commit yet."""
    return subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", check=False).stdout


def plots() -> dict[str, Any]:
    """The plots of dvc.yaml: `lines` by title, the `confusion` counts, and `slices` with their intervals.

    Raises:
        InputError: a plot is not written as the others are, or its file is missing or damaged.
    """
    drawn: dict[str, Any] = {"lines": {}}
    for entry in parameters.read_yaml("dvc.yaml").get("plots", []):
        title, plot = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        if not {"template", "x", "y"} <= set(plot) or not isinstance(plot["y"], dict):
            raise InputError(f"dvc.yaml: plot {title!r}; allowed: template, x: COLUMN, and y: {{FILE: COLUMN}}")
        with errors.loading(f"plot {title!r}"):
            tables = [read(file) for file in plot["y"]]
            if plot["template"] == "confusion":
                counts = pd.crosstab(tables[0]["actual"], tables[0]["predicted"])
                drawn["confusion"] = counts.reindex(index=LABELS, columns=LABELS, fill_value=0).to_numpy().tolist()
            elif plot["template"] == "bar_horizontal":
                drawn["slices"] = [slice_(*row) for row in tables[0].itertuples(index=False)]
            else:
                drawn["lines"][title] = lines(plot, tables, diagonal=title in DIAGONAL)
    return drawn


def slice_(name: str, accuracy: float, reviews: int) -> dict[str, Any]:
    """A slice with its 95 % interval (Wilson 1927), as if its reviews were independent."""
    found = binomtest(round(accuracy * reviews), reviews).proportion_ci(method="wilson")
    return {"name": name, "accuracy": accuracy, "low": found.low, "high": found.high, "reviews": reviews}


def lines(plot: dict[str, Any], tables: list[pd.DataFrame], diagonal: bool) -> dict[str, Any]:
    """Where each part of a line plot goes; points that would fall on the one before are left out."""
    names = [Path(file).parent.name if len(tables) > 1 else column for file, column in plot["y"].items()]
    columns = [[plot["x"], column] for column in plot["y"].values()]
    values = [rows[pair].dropna().to_numpy(float) for rows, pair in zip(tables, columns, strict=True)]
    every = np.concatenate(values)
    across, up = (ticks(float(low), float(high)) for low, high in zip(every.min(0), every.max(0), strict=True))

    def place(points: Any) -> np.ndarray:
        x, y = np.asarray(points).T
        x, y = np.interp(x, across[[0, -1]], [LEFT, RIGHT]), np.interp(y, up[[0, -1]], [BOTTOM, TOP])
        return np.column_stack([x, y]).round(1)

    def path(places: np.ndarray) -> str:
        return " ".join(f"{x:g},{y:g}" for x, y in places)

    series = []
    for name, points in zip(names, values, strict=True):
        places = place(points)
        shown = np.r_[True, (np.diff(places // 3, axis=0) != 0).any(axis=1)]
        shown[-1] = True
        texts = [[f"{value:.4g}" for value in point] for point in points[shown]]
        marks = [(*spot, *text) for spot, text in zip(places[shown].tolist(), texts, strict=True)]
        series.append({"name": name.replace("_", " "), "path": path(places[shown]), "points": marks, "of": len(points)})
    ends = max(across[0], up[0]), min(across[-1], up[-1])
    return {
        "x": plot.get("x_label", plot["x"].replace("_", " ")),
        "y": plot.get("y_label", columns[0][1].replace("_", " ")),
        "x_ticks": [(place([[tick, up[0]]])[0, 0], f"{tick:.6g}") for tick in across],
        "y_ticks": [(place([[across[0], tick]])[0, 1], f"{tick:.6g}") for tick in up],
        "series": series,
        "diagonal": path(place([[end, end] for end in ends])) if diagonal else None,
    }


def ticks(low: float, high: float) -> np.ndarray:
    """Two to seven round numbers that span low to high, and 0 where that is not far below."""
    low = 0.0 if 0 < low <= high / 2 else low
    span = high - low or abs(high)
    span = span if span > 1e-300 else 1.0  # below, a step would be no number
    magnitude = 10.0 ** math.floor(math.log10(span))
    step = magnitude * next(factor for factor in (0.2, 0.5, 1, 2) if span / magnitude / factor <= 5)
    first = math.floor(low / step)
    return np.arange(first, max(math.ceil(high / step), first + 1) + 1) * step


if __name__ == "__main__":
    errors.run(main)
