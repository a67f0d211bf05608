"""The content of a metrics JSON: the metrics of one model on one set of reviews, with their intervals."""

from typing import Any

import numpy as np
import pandas as pd

from sentiment.evaluation.intervals import intervals
from sentiment.evaluation.metrics import calibration_error, compute, nested

WITH_INTERVAL = ("accuracy", "macro_f1")


def report(reviews: pd.DataFrame, probability: np.ndarray, metrics: dict[str, float] | None = None) -> dict[str, Any]:
    """The metrics, 95 % intervals of accuracy and macro F1 (`_low`, `_high`) and the calibration error.

    Args:
        reviews: prepared reviews: `label`, and `group` where whole groups are to be drawn for the intervals.
        probability: probabilities of POSITIVE, shape (reviews,).
        metrics: what `metrics.compute` gives for these, if it is known.
    """
    truth = reviews["label"].to_numpy()
    between = intervals(truth, probability, group_of(reviews))
    content: dict[str, Any] = {}
    for name, value in (metrics or compute(truth, probability)).items():
        content[name] = value
        if name in WITH_INTERVAL:
            content |= {f"{name}_low": between[name].low, f"{name}_high": between[name].high}
        if name == "loss":
            content["calibration_error"] = calibration_error(truth, probability)
    return nested(content)


def group_of(reviews: pd.DataFrame) -> np.ndarray | None:
    """The group of each prepared review, shape (reviews,); None if they have none."""
    return reviews["group"].to_numpy() if "group" in reviews else None


def with_interval(metrics: dict[str, Any], name: str = "accuracy") -> str:
    """A metric of a metrics JSON with its 95 % interval, as text."""
    return f"{metrics[name]:.4f} ({metrics[f'{name}_low']:.4f} to {metrics[f'{name}_high']:.4f})"
