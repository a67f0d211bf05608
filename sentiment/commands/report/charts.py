"""The plots of dvc.yaml, as coordinates of an SVG and as tables."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from sentiment.errors import InputError, loading
from sentiment.labels import LABELS
from sentiment.runs.run import Run

LEFT, RIGHT, TOP, BOTTOM = 54, 344, 26, 196  # of the axes, in a plot of 360 by 236
DIAGONAL = {"ROC", "Reliability"}  # plots in which x = y means something


def draw_plots(run: Run) -> dict[str, Any]:
    """The plots of a run: `lines` by title, the `confusion` counts, and `slices` with their intervals.

    Raises:
        InputError: a plot is not written as the others are, or its file is missing or damaged.
    """
    plots: dict[str, Any] = {"lines": {}}
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
                plots["slices"] = [slice_interval(*row) for row in tables[0].itertuples(index=False)]
            else:
                plots["lines"][title] = draw_lines(plot, tables, diagonal=title in DIAGONAL)
    return plots


def slice_interval(name: str, accuracy: float, reviews: int) -> dict[str, Any]:
    """A slice with its 95 % interval (Wilson 1927), as if its reviews were independent."""
    between = binomtest(round(accuracy * reviews), reviews).proportion_ci(method="wilson")
    return {"name": name, "accuracy": accuracy, "low": between.low, "high": between.high, "reviews": reviews}


def draw_lines(plot: dict[str, Any], tables: list[pd.DataFrame], diagonal: bool) -> dict[str, Any]:
    """The coordinates of a line plot's parts; points that would fall on the one before are left out.

    Args:
        plot: an entry of dvc.yaml.
        tables: the content of its files.
        diagonal: draw x = y too.
    """
    names = [Path(file).parent.name if len(tables) > 1 else column for file, column in plot["y"].items()]
    columns = [[plot["x"], column] for column in plot["y"].values()]
    values = [rows[pair].dropna().to_numpy(float) for rows, pair in zip(tables, columns, strict=True)]
    every = np.concatenate(values)
    across, up = (
        ticks(float(low), float(high)) for low, high in zip(every.min(0), every.max(0), strict=True)
    )

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
        series.append(
            {"name": name.replace("_", " "), "path": path(places[shown]), "points": marks, "of": len(points)}
        )
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
