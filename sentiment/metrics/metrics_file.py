"""The content of a metrics JSON: the metrics of a model on a set of reviews, with 95 % intervals."""

from typing import Any

import numpy as np
import pandas as pd

from sentiment.metrics.classification import calibration_error, compute, nested
from sentiment.metrics.intervals import difference_intervals, intervals, resampling_units

WITH_INTERVAL = ("accuracy", "macro_f1")


def compute_with_intervals(
    reviews: pd.DataFrame, probability: np.ndarray, metrics: dict[str, float] | None = None
) -> dict[str, Any]:
    """Compute all metrics, the calibration error, and 95 % intervals of accuracy and macro F1.

    The bounds of the intervals are `accuracy_low`, `accuracy_high`, `macro_f1_low` and `macro_f1_high`.

    Args:
        reviews: prepared reviews: `label`, and `group` if the intervals resample whole groups.
        probability: probabilities of POSITIVE, shape (reviews,).
        metrics: the result of `classification.compute` for these probabilities, if available.
    """
    truth = reviews["label"].to_numpy()
    if metrics is None:
        metrics = compute(truth, probability)
    interval_by_metric = intervals(truth, probability, group_of(reviews))
    content: dict[str, Any] = {}
    for name, value in metrics.items():
        content[name] = value
        if name in WITH_INTERVAL:
            content[f"{name}_low"], content[f"{name}_high"] = interval_by_metric[name]
        if name == "loss":
            content["calibration_error"] = calibration_error(truth, probability)
    return nested(content)


def on_corrections(reviews: pd.DataFrame, probability: np.ndarray) -> dict[str, Any]:
    """Accuracy on corrected labels and on confirmed reviews, with 95 % intervals and numbers of reviews.

    Args:
        reviews: prepared reviews: `label`, `verdict`, `corrected_label` (missing: dropped), and perhaps
            `group`.
        probability: probabilities of POSITIVE, shape (reviews,).

    Returns:
        `accuracy_on_corrected`: on all reviews that are not dropped, by their corrected labels;
        `accuracy_on_confirmed`: on the reviews whose verdict is keep; absent if a set has no reviews. Their
        bounds end in `_low` and `_high`, and are absent if a set has one review or group only. Also
        `reviews_corrected` and `reviews_confirmed`, the reviews in each set, `labels_flipped` and
        `reviews_dropped`.
    """
    verdict = reviews["verdict"]
    sets = {"corrected": reviews["corrected_label"].notna(), "confirmed": verdict == "keep"}
    content: dict[str, Any] = {}
    for name, included in sets.items():
        rows, scores = reviews[included], probability[included.to_numpy()]
        content[f"reviews_{name}"] = len(rows)
        if len(rows):
            truth, key = rows["corrected_label"].to_numpy(dtype=int), f"accuracy_on_{name}"
            content[key] = compute(truth, scores)["accuracy"]
            group = group_of(rows)
            if resampling_units(len(rows), group).any():  # numbered from 0: more than one
                interval = intervals(truth, scores, group)["accuracy"]
                content[f"{key}_low"], content[f"{key}_high"] = interval
    content["labels_flipped"] = int((verdict == "flip").sum())
    content["reviews_dropped"] = int((verdict == "drop").sum())
    return content


def metrics_json(metrics: dict[str, Any]) -> dict[str, Any]:
    """The content of a metrics JSON: the few numbers that DVC compares, and all metrics in `details`.

    DVC ignores lists, so `details` is one. Precision and recall are those of POSITIVE.
    Names are short, because `dvc metrics show` adds the longest path, and has to fit into 120 columns.

    Args:
        metrics: the result of `compute_with_intervals`, to which a stage may add more.
    """
    negative, positive = metrics["negative"], metrics["positive"]
    return {
        "accuracy": metrics["accuracy"],
        "loss": metrics["loss"],
        "f1_negative": negative["f1"],
        "f1_positive": positive["f1"],
        "precision": positive["precision"],
        "recall": positive["recall"],
        "details": [metrics],
    }


def group_of(reviews: pd.DataFrame) -> np.ndarray | None:
    """The group of each prepared review, shape (reviews,); None if the dataset has no groups."""
    return reviews["group"].to_numpy() if "group" in reviews else None


def with_interval(metrics: dict[str, Any], name: str = "accuracy") -> str:
    """Format a metric and its 95 % interval: `0.9322 (0.9110 to 0.9500)`."""
    return f"{metrics[name]:.4f} ({metrics[f'{name}_low']:.4f} to {metrics[f'{name}_high']:.4f})"


def four_digits(probability: float) -> str:
    """Format a probability with four digits, but never as 0.0000 or 1.0000."""
    if probability < 5e-5:
        return "below 0.0001"
    if probability >= 1 - 5e-5:
        return "above 0.9999"
    return f"{probability:.4f}"


def accuracy_change(reviews: pd.DataFrame, old: np.ndarray, new: np.ndarray) -> dict[str, Any]:
    """Compare new predictions with old ones: accuracy, its change, and the number of flipped predictions.

    Accuracy and change have 95 % intervals.

    Args:
        reviews: prepared reviews: `label`, and `group` if the intervals resample whole groups.
        old: probabilities of POSITIVE, shape (reviews,).
        new: probabilities of POSITIVE, shape (reviews,).
    """
    truth, group = reviews["label"].to_numpy(), group_of(reviews)
    old_accuracy, new_accuracy = compute(truth, old)["accuracy"], compute(truth, new)["accuracy"]
    interval = intervals(truth, new, group)["accuracy"]
    change = difference_intervals(truth, old, new, group)["accuracy"]
    flipped = (old >= 0.5) != (new >= 0.5)
    return {
        "accuracy": new_accuracy,
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "accuracy_change": new_accuracy - old_accuracy,
        "accuracy_change_low": change.low,
        "accuracy_change_high": change.high,
        "flipped": int(flipped.sum()),
    }
