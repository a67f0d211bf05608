"""The runs of a commit side by side: ranked by validation, with a plot of each parameter that differs."""

import math
from typing import Any

import pandas as pd

from sentiment.commands.report.charts import draw_lines
from sentiment.errors import InputError
from sentiment.runs.ranking import differing_params, rank_runs
from sentiment.runs.run import WORKSPACE, Run, experiments

_WIDE = 20  # times the smallest value: from there on, an axis is logarithmic


def choosing() -> dict[str, Any]:
    """`ranking` of HEAD's experiments, HEAD and the workspace, and `effects`, plots by title; empty if there is one run."""
    try:
        ranking = rank_runs([Run(name) for name in (*experiments(), "HEAD", WORKSPACE)])
    except InputError:  # none has validation predictions
        return {}
    rows = ranking["runs"]
    if len(rows) < 2:
        return {}
    keys = differing_params(rows)
    effects = {f"Validation accuracy by {key}": chart for key in keys if (chart := _effect(rows, key))}
    return {"ranking": ranking, "differing": keys, "effects": effects}


def _effect(rows: list[dict[str, Any]], key: str) -> dict[str, Any] | None:
    """A plot of validation accuracy by a parameter, a point a run; None where it is no number."""
    values = {row["run"]: row["params"].get(key) for row in rows}
    numbers = {run: value for run, value in values.items() if isinstance(value, int | float)}
    if len(set(numbers.values())) < 2:
        return None
    low, high = min(numbers.values()), max(numbers.values())
    log = low > 0 and high / low >= _WIDE
    points = [
        (math.log10(numbers[row["run"]]) if log else numbers[row["run"]], row["validation"]["accuracy"])
        for row in rows
        if row["run"] in numbers
    ]
    plot = {
        "x": "value",
        "y": {"": "accuracy"},
        "x_label": f"log10 of {key}" if log else key,
        "y_label": "validation accuracy",
    }
    chart = draw_lines(plot, [pd.DataFrame(sorted(points), columns=["value", "accuracy"])], diagonal=False)
    chart["series"][0]["path"] = ""  # a line would say that there is something between two runs
    return chart
