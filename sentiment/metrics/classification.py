"""Metrics of binary classification from probabilities, with weights for the reviews.

For a point value every review has the weight 1. In a bootstrap draw its weight is the number of times it was
drawn, so the same code computes both.
"""

from typing import Any

import numpy as np

METRICS = (
    "accuracy",
    "loss",
    "macro_f1",
    "roc_auc",
    "negative.precision",
    "negative.recall",
    "negative.f1",
    "positive.precision",
    "positive.recall",
    "positive.f1",
)


def compute(truth: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Compute all METRICS; a probability of 0.5 or more counts as POSITIVE.

    Args:
        truth: label indices (0 NEGATIVE, 1 POSITIVE), shape (reviews,).
        probability: probabilities of POSITIVE, shape (reviews,).
    """
    values = WeightedMetrics(truth, probability)(np.ones((1, len(truth))))[:, 0]
    return dict(zip(METRICS, values.tolist(), strict=True))


def nested(metrics: dict[str, float]) -> dict[str, Any]:
    """Turn `{"positive.f1": x}` into `{"positive": {"f1": x}}`, as in a metrics JSON."""
    content: dict[str, Any] = {}
    for name, value in metrics.items():
        label, dot, metric = name.partition(".")
        if dot:
            content.setdefault(label, {})[metric] = value
        else:
            content[name] = value
    return content


class WeightedMetrics:
    """Computes all METRICS of one model for many weightings of the reviews at once.

    Args:
        truth: label indices, shape (reviews,).
        probability: probabilities of POSITIVE, shape (reviews,).
    """

    def __init__(self, truth: np.ndarray, probability: np.ndarray):
        truth, predicted = truth.astype(bool), probability >= 0.5
        certainty = np.clip(np.where(truth, probability, 1 - probability), np.finfo(float).eps, None)
        cells = [truth & predicted, ~truth & predicted, truth & ~predicted, ~truth & ~predicted]
        self._columns = np.column_stack([*cells, -np.log(certainty)]).astype(float)
        self._order = np.argsort(probability, kind="stable")
        _, self._ties = np.unique(probability[self._order], return_index=True)
        self._positive = truth[self._order].astype(float)

    def __call__(self, weight: np.ndarray) -> np.ndarray:
        """Compute METRICS for each row of weights: shape (len(METRICS), rows) from (rows, reviews)."""
        tp, fp, fn, tn, loss = (weight @ self._columns).T
        total = tp + fp + fn + tn

        def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
            return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)

        f1 = ratio(2 * tn, 2 * tn + fn + fp), ratio(2 * tp, 2 * tp + fn + fp)
        return np.array(
            [
                (tp + tn) / total,
                loss / total,
                (f1[0] + f1[1]) / 2,
                self._roc_auc(weight),
                ratio(tn, tn + fn),
                ratio(tn, tn + fp),
                f1[0],
                ratio(tp, tp + fp),
                ratio(tp, tp + fn),
                f1[1],
            ]
        )

    def _roc_auc(self, weight: np.ndarray) -> np.ndarray:
        """Probability that a positive review scores above a negative one; ties count half."""
        ordered = weight[:, self._order]
        positive = np.add.reduceat(ordered * self._positive, self._ties, axis=1)
        negative = np.add.reduceat(ordered * (1 - self._positive), self._ties, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        return np.divide((positive * below).sum(axis=1), pairs, out=np.full(len(pairs), 0.5), where=pairs > 0)


def calibration_error(truth: np.ndarray, probability: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error with equal-width bins of confidence (Guo et al. 2017, arXiv 1706.04599)."""
    confidence = np.maximum(probability, 1 - probability)
    right = (probability >= 0.5) == truth
    bin_of_review = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(bin_of_review, right, bins) - np.bincount(bin_of_review, confidence, bins)
    return float(np.abs(gap).sum() / len(truth))
