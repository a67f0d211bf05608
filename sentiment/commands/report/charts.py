"""Plots of the report, as SVG coordinates and tables: those of dvc.yaml, and accuracy by parameter."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from sentiment.errors import InputError, loading
from sentiment.labels import LABELS
from sentiment.runs.run import Run

LEFT, RIGHT, TOP, BOTTOM = 54, 344, 26, 196  # the ends of the axes in a plot of 360 by 236
DIAGONAL = {"ROC", "Reliability"}  # plots with a reference line x = y
LOG_RATIO = 20  # an axis is logarithmic if its largest value is this many times the smallest


def draw_plots(run: Run) -> dict[str, Any]:
    """The plots of a run: `lines` and `bars` by title, and the `confusion` counts. Bars have intervals.

    Raises:
        InputError: a plot lacks a field, or its file is missing or damaged.
    """
    plots: dict[str, Any] = {"lines": {}, "bars": {}}
    for entry in run.yaml("dvc.yaml").get("plots", []):
        title, plot = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        if not {"template", "x", "y"} <= set(plot) or not isinstance(plot["y"], dict):
            raise InputError(
                f"dvc.yaml: plot {title!r}; allowed: template, x: COLUMN, and y: {{FILE: COLUMN}}"
            )
        with loading(f"plot {title!r}"):
            tables = [run.table(file) for file in plot["y"]]
            if plot["template"] == "confusion":
                counts = pd.crosstab(tables[0]["actual"], tables[0]["predicted"])
                plots["confusion"] = (
                    counts.reindex(index=LABELS, columns=LABELS, fill_value=0).to_numpy().tolist()
                )
            elif plot["template"] == "bar_horizontal":
                plots["bars"][title] = [bar(*row) for row in tables[0].itertuples(index=False)]
            else:
                plots["lines"][title] = draw_lines(plot, tables, diagonal=title in DIAGONAL)
    return plots


def bar(name: str, accuracy: float, reviews: int) -> dict[str, Any]:
    """The accuracy on some reviews, with its 95 % interval (Wilson 1927) for independent reviews."""
    interval = binomtest(round(accuracy * reviews), reviews).proportion_ci(method="wilson")
    return {
        "name": name,
        "accuracy": accuracy,
        "low": interval.low,
        "high": interval.high,
        "reviews": reviews,
    }


def draw_effects(runs: list[dict[str, Any]], keys: list[str]) -> dict[str, Any]:
    """Plots of validation accuracy by parameter, one point per run, by title.

    Args:
        runs: the runs of a ranking, as `rank_runs` returns them.
        keys: the parameters to plot; a parameter with fewer than two distinct numbers has no plot.
    """
    effects = {}
    for key in keys:
        points = []
        for run in runs:
            if isinstance(value := run["params"].get(key), int | float):
                points.append((value, run["validation"]["accuracy"]))
        table = pd.DataFrame(sorted(points), columns=["value", "accuracy"], dtype=float)
        if table["value"].nunique() < 2:
            continue
        label = key
        if 0 < table["value"].min() <= table["value"].max() / LOG_RATIO:
            label = f"log10 of {key}"
            table["value"] = np.log10(table["value"])
        plot = {"x": "value", "y": {"": "accuracy"}, "x_label": label, "y_label": "validation accuracy"}
        chart = draw_lines(plot, [table], diagonal=False)
        chart["series"][0]["path"] = ""  # points only: a line would suggest values between the runs
        effects[f"Validation accuracy by {key}"] = chart
    return effects


def draw_lines(plot: dict[str, Any], tables: list[pd.DataFrame], diagonal: bool) -> dict[str, Any]:
    """The coordinates of a line plot, without points that would coincide with the previous one.

    Args:
        plot: an entry of dvc.yaml.
        tables: the content of its files.
        diagonal: whether to draw the line x = y.
    """
    names = [Path(file).parent.name if len(tables) > 1 else column for file, column in plot["y"].items()]
    columns = [[plot["x"], column] for column in plot["y"].values()]
    values = [rows[pair].dropna().to_numpy(float) for rows, pair in zip(tables, columns, strict=True)]
    lowest, highest = np.concatenate(values).min(0), np.concatenate(values).max(0)
    x_ticks = ticks(float(lowest[0]), float(highest[0]))
    y_ticks = ticks(float(lowest[1]), float(highest[1]))

    def place(points: Any) -> np.ndarray:
        x, y = np.asarray(points).T
        x = np.interp(x, x_ticks[[0, -1]], [LEFT, RIGHT])
        y = np.interp(y, y_ticks[[0, -1]], [BOTTOM, TOP])
        return np.column_stack([x, y]).round(1)

    def path(places: np.ndarray) -> str:
        return " ".join(f"{x:g},{y:g}" for x, y in places)

    series = []
    for name, points in zip(names, values, strict=True):
        places = place(points)
        shown = np.r_[True, (np.diff(places // 3, axis=0) != 0).any(axis=1)]
        shown[-1] = True
        marks = []
        for (x, y), (x_value, y_value) in zip(places[shown].tolist(), points[shown], strict=True):
            marks.append((x, y, f"{x_value:.4g}", f"{y_value:.4g}"))
        series.append(
            {
                "name": name.replace("_", " "),
                "path": path(places[shown]),
                "points": marks,
                "total": len(points),
            }
        )
    ends = max(x_ticks[0], y_ticks[0]), min(x_ticks[-1], y_ticks[-1])
    return {
        "x": plot.get("x_label", plot["x"].replace("_", " ")),
        "y": plot.get("y_label", columns[0][1].replace("_", " ")),
        "x_ticks": [(place([[tick, y_ticks[0]]])[0, 0], f"{tick:.6g}") for tick in x_ticks],
        "y_ticks": [(place([[x_ticks[0], tick]])[0, 1], f"{tick:.6g}") for tick in y_ticks],
        "series": series,
        "diagonal": path(place([[end, end] for end in ends])) if diagonal else None,
    }


def ticks(low: float, high: float) -> np.ndarray:
    """Two to eight round numbers that span low to high, from 0 if low is at most half of high."""
    low = 0.0 if 0 < low <= high / 2 else low
    span = high - low or abs(high)
    span = span if span > 1e-300 else 1.0  # below that, a step would underflow
    magnitude = 10.0 ** math.floor(math.log10(span))
    step = magnitude * next(factor for factor in (0.2, 0.5, 1, 2) if span / magnitude / factor <= 5)
    first = math.floor(low / step)
    return np.arange(first, max(math.ceil(high / step), first + 1) + 1) * step
