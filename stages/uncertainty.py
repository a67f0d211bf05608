"""How far a metric could be off: bootstrap intervals, paired comparison, calibration.

Reviews of one film are not independent, so where a dataset has groups, whole groups are drawn.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, bootstrap

METRICS = (
    "accuracy", "loss", "macro_f1", "roc_auc",
    "negative.precision", "negative.recall", "negative.f1",
    "positive.precision", "positive.recall", "positive.f1",
)  # fmt: skip
RESAMPLES = 2000
CELLS = 50 * 50_000  # draws times reviews that are in memory at once, in some ten arrays


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


class _Weighted:
    """All METRICS of one run for many weightings of its reviews at once."""

    def __init__(self, truth: np.ndarray, probability: np.ndarray):
        truth, predicted = truth.astype(bool), probability >= 0.5
        certainty = np.clip(np.where(truth, probability, 1 - probability), np.finfo(float).eps, None)
        cells = [truth & predicted, ~truth & predicted, truth & ~predicted, ~truth & ~predicted]
        self._columns = np.column_stack([*cells, -np.log(certainty)]).astype(float)
        self._order = np.argsort(probability, kind="stable")
        _, self._ties = np.unique(probability[self._order], return_index=True)
        self._positive = truth[self._order].astype(float)

    def __call__(self, weight: np.ndarray) -> np.ndarray:
        """METRICS for each row of weights: shape (len(METRICS), rows) from (rows, reviews)."""
        tp, fp, fn, tn, loss = (weight @ self._columns).T
        total = tp + fp + fn + tn

        def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
            return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)

        f1 = ratio(2 * tn, 2 * tn + fn + fp), ratio(2 * tp, 2 * tp + fn + fp)
        return np.array([
            (tp + tn) / total, loss / total, (f1[0] + f1[1]) / 2, self._auc(weight),
            ratio(tn, tn + fn), ratio(tn, tn + fp), f1[0],
            ratio(tp, tp + fp), ratio(tp, tp + fn), f1[1],
        ])  # fmt: skip

    def _auc(self, weight: np.ndarray) -> np.ndarray:
        """Chance that a positive review scores above a negative one, ties counting half."""
        ordered = weight[:, self._order]
        positive = np.add.reduceat(ordered * self._positive, self._ties, axis=1)
        negative = np.add.reduceat(ordered * (1 - self._positive), self._ties, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        return np.divide((positive * below).sum(axis=1), pairs, out=np.full(len(pairs), 0.5), where=pairs > 0)


def intervals(truth: np.ndarray, probability: np.ndarray, group: np.ndarray | None = None) -> dict[str, Interval]:
    """95 % percentile bootstrap intervals of METRICS (Efron and Tibshirani 1993, chapter 13).

    Args:
        truth: label indices, shape (reviews,).
        probability: probabilities of POSITIVE, shape (reviews,).
        group: what each review belongs to, shape (reviews,); drawn whole. None: each review by itself.
    """
    return _intervals(_Weighted(truth, probability), len(truth), group)


def difference_intervals(
    truth: np.ndarray, old: np.ndarray, new: np.ndarray, group: np.ndarray | None = None
) -> dict[str, Interval]:
    """95 % percentile bootstrap intervals of METRICS of `new` minus those of `old`, paired: on the same draws.

    Args:
        truth: label indices, shape (reviews,).
        old: probabilities of POSITIVE by one run, shape (reviews,).
        new: those by another, for the same reviews in the same order.
        group: as for `intervals`.
    """
    before, after = _Weighted(truth, old), _Weighted(truth, new)
    return _intervals(lambda weight: after(weight) - before(weight), len(truth), group)


def _intervals(
    metrics: Callable[[np.ndarray], np.ndarray], reviews: int, group: np.ndarray | None
) -> dict[str, Interval]:
    unit = np.arange(reviews) if group is None else np.unique(group, return_inverse=True)[1]
    units = int(unit.max()) + 1

    def statistic(drawn: np.ndarray, axis: int) -> np.ndarray:
        rows = np.atleast_2d(drawn)
        places = rows + units * np.arange(len(rows))[:, None]
        times = np.bincount(places.ravel(), minlength=units * len(rows)).reshape(len(rows), units)
        values = metrics(times[:, unit].astype(float))
        return values if drawn.ndim > 1 else values[:, 0]

    batch = max(1, min(50, CELLS // reviews))
    found = bootstrap(
        (np.arange(units),), statistic, n_resamples=RESAMPLES, batch=batch, vectorized=True, axis=-1,
        method="percentile", rng=0,
    ).confidence_interval  # fmt: skip
    return {name: Interval(float(found.low[i]), float(found.high[i])) for i, name in enumerate(METRICS)}


def mcnemar(truth: np.ndarray, old: np.ndarray, new: np.ndarray) -> tuple[int, int, float]:
    """Exact McNemar test (McNemar 1947): reviews only `old` gets right, reviews only `new` does, and the p-value."""
    right_old, right_new = (old >= 0.5) == truth, (new >= 0.5) == truth
    lost, won = int((right_old & ~right_new).sum()), int((~right_old & right_new).sum())
    return lost, won, float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def calibration_error(truth: np.ndarray, probability: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over equally wide bins of confidence (Guo et al. 2017, arXiv 1706.04599)."""
    confidence = np.maximum(probability, 1 - probability)
    right = (probability >= 0.5) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(place, right, bins) - np.bincount(place, confidence, bins)
    return float(np.abs(gap).sum() / len(truth))
