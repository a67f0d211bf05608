"""Uncertainty of metrics: bootstrap intervals, of one run or of the difference between two, and McNemar's test.

Reviews of one film are not independent, so where a dataset has groups, whole groups are drawn.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, bootstrap

from sentiment.metrics.classification import METRICS, WeightedMetrics

RESAMPLES = 2000
CELLS = 50 * 50_000  # draws times reviews that are in memory at once, in some ten arrays


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def intervals(
    truth: np.ndarray, probability: np.ndarray, group: np.ndarray | None = None
) -> dict[str, Interval]:
    """95 % percentile bootstrap intervals of METRICS (Efron and Tibshirani 1993, chapter 13).

    Args:
        truth: label indices, shape (reviews,).
        probability: probabilities of POSITIVE, shape (reviews,).
        group: what each review belongs to, shape (reviews,); drawn whole. None: each review by itself.
    """
    return _bootstrap(WeightedMetrics(truth, probability), len(truth), group)


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
    before, after = WeightedMetrics(truth, old), WeightedMetrics(truth, new)
    return _bootstrap(lambda weight: after(weight) - before(weight), len(truth), group)


def _bootstrap(
    metrics: Callable[[np.ndarray], np.ndarray], reviews: int, group: np.ndarray | None
) -> dict[str, Interval]:
    """Intervals of METRICS, which `metrics` gives for weights of shape (draws, reviews)."""
    unit = units_of(reviews, group)
    units = int(unit.max()) + 1

    def statistic(drawn: np.ndarray, axis: int) -> np.ndarray:
        rows = np.atleast_2d(drawn)
        places = rows + units * np.arange(len(rows))[:, None]
        times = np.bincount(places.ravel(), minlength=units * len(rows)).reshape(len(rows), units)
        values = metrics(times[:, unit].astype(float))
        return values if drawn.ndim > 1 else values[:, 0]

    batch = max(1, min(50, CELLS // reviews))
    between = bootstrap(
        (np.arange(units),),
        statistic,
        n_resamples=RESAMPLES,
        batch=batch,
        vectorized=True,
        axis=-1,
        method="percentile",
        rng=0,
    ).confidence_interval
    return {name: Interval(float(between.low[i]), float(between.high[i])) for i, name in enumerate(METRICS)}


def bootstrap_means(values: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
    """Means over bootstrap draws of the reviews, the draws that `intervals` makes: shape (runs, RESAMPLES).

    Args:
        values: a value of each review for each run, shape (runs, reviews).
        group: as for `intervals`.
    """
    unit = units_of(values.shape[1], group)
    reviews = np.bincount(unit).astype(float)
    sums = sums_by_unit(values, unit)
    rng, batch = np.random.default_rng(0), max(1, CELLS // len(reviews) // 10)
    means = []
    for start in range(0, RESAMPLES, batch):
        drawn = rng.integers(0, len(reviews), (min(batch, RESAMPLES - start), len(reviews)))
        times = np.stack([np.bincount(row, minlength=len(reviews)) for row in drawn], axis=1).astype(float)
        means.append(sums @ times / (reviews @ times))
    return np.concatenate(means, axis=1)


def units_of(reviews: int, group: np.ndarray | None) -> np.ndarray:
    """The number of the unit that each review is drawn with, shape (reviews,): its group, or itself."""
    return np.arange(reviews) if group is None else np.unique(group, return_inverse=True)[1]


def sums_by_unit(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Sums of values, shape (runs, reviews), within each unit: shape (runs, units)."""
    return np.stack([np.bincount(unit, row) for row in values])


def mcnemar(truth: np.ndarray, old: np.ndarray, new: np.ndarray) -> tuple[int, int, float]:
    """Exact McNemar test (McNemar 1947): reviews only `old` gets right, reviews only `new` does, and the p-value."""
    right_old, right_new = (old >= 0.5) == truth, (new >= 0.5) == truth
    lost, won = int((right_old & ~right_new).sum()), int((~right_old & right_new).sum())
    return lost, won, float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0
