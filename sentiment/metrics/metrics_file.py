"""The metrics of one model on one set of reviews with their intervals, and the content of a metrics JSON."""

from typing import Any

import numpy as np
import pandas as pd

from sentiment.metrics.classification import calibration_error, compute, nested
from sentiment.metrics.intervals import difference_intervals, intervals

WITH_INTERVAL = ("accuracy", "macro_f1")


def compute_with_intervals(
    reviews: pd.DataFrame, probability: np.ndarray, metrics: dict[str, float] | None = None
) -> dict[str, Any]:
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


def metrics_json(report: dict[str, Any]) -> dict[str, Any]:
    """The content of a metrics JSON: the few numbers that DVC compares, and `details`, all of a report.

    DVC passes over lists, so `details` is one. Precision and recall are those of POSITIVE.
    """
    negative, positive = report["negative"], report["positive"]
    return {
        "accuracy": report["accuracy"],
        "loss": report["loss"],
        "f1_negative": negative["f1"],
        "f1_positive": positive["f1"],
        "precision": positive["precision"],
        "recall": positive["recall"],
        "details": [report],
    }


def group_of(reviews: pd.DataFrame) -> np.ndarray | None:
    """The group of each prepared review, shape (reviews,); None if they have none."""
    return reviews["group"].to_numpy() if "group" in reviews else None


def with_interval(metrics: dict[str, Any], name: str = "accuracy") -> str:
    """A metric of a metrics JSON with its 95 % interval, as text."""
    return f"{metrics[name]:.4f} ({metrics[f'{name}_low']:.4f} to {metrics[f'{name}_high']:.4f})"


def four_digits(probability: float) -> str:
    """A probability with four digits, never rounded to certainty."""
    if probability < 5e-5:
        return "below 0.0001"
    return f"{probability:.4f}" if probability < 1 - 5e-5 else "above 0.9999"


def accuracy_change(reviews: pd.DataFrame, old: np.ndarray, new: np.ndarray) -> dict[str, Any]:
    """Accuracy of `new` probabilities of POSITIVE, its change from `old`, and flipped predictions.

    Accuracy and change have 95 % intervals.
    """
    truth, group = reviews["label"].to_numpy(), group_of(reviews)
    before, after = (compute(truth, probability)["accuracy"] for probability in (old, new))
    interval = intervals(truth, new, group)["accuracy"]
    change = difference_intervals(truth, old, new, group)["accuracy"]
    return {
        "accuracy": after,
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "accuracy_change": after - before,
        "accuracy_change_low": change.low,
        "accuracy_change_high": change.high,
        "flipped": int(((old >= 0.5) != (new >= 0.5)).sum()),
    }
