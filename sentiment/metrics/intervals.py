"""Uncertainty of metrics: bootstrap intervals of one model or of the difference of two, and McNemar's test.

Reviews of the same film are not independent. If a dataset has groups, the bootstrap therefore resamples whole
groups.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, bootstrap

from sentiment.metrics.classification import METRICS, WeightedMetrics

RESAMPLES = 2000
MAX_CELLS = 50 * 50_000  # draws times reviews in memory at once, in about ten arrays


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
        group: the group of each review, shape (reviews,); groups are resampled whole. None: reviews are
            resampled.
    """
    return _bootstrap(WeightedMetrics(truth, probability), len(truth), group)


def difference_intervals(
    truth: np.ndarray, old: np.ndarray, new: np.ndarray, group: np.ndarray | None = None
) -> dict[str, Interval]:
    """95 % percentile bootstrap intervals of the differences `new` minus `old` of METRICS, paired by review.

    Args:
        truth: label indices, shape (reviews,).
        old: probabilities of POSITIVE from one model, shape (reviews,).
        new: probabilities of POSITIVE from another model, for the same reviews in the same order.
        group: as for `intervals`.
    """
    old_metrics, new_metrics = WeightedMetrics(truth, old), WeightedMetrics(truth, new)
    return _bootstrap(lambda weight: new_metrics(weight) - old_metrics(weight), len(truth), group)


def _bootstrap(
    metrics: Callable[[np.ndarray], np.ndarray], reviews: int, group: np.ndarray | None
) -> dict[str, Interval]:
    """Intervals of METRICS, which the function `metrics` computes from weights of shape (draws, reviews)."""
    unit = resampling_units(reviews, group)
    units = int(unit.max()) + 1

    def statistic(drawn: np.ndarray, axis: int) -> np.ndarray:
        draws = np.atleast_2d(drawn)
        # One bincount for all draws: each draw has its own range of numbers.
        numbers = draws + units * np.arange(len(draws))[:, None]
        counts = np.bincount(numbers.ravel(), minlength=units * len(draws)).reshape(len(draws), units)
        values = metrics(counts[:, unit].astype(float))
        return values if drawn.ndim > 1 else values[:, 0]

    batch = max(1, min(50, MAX_CELLS // reviews))
    result = bootstrap(
        (np.arange(units),),
        statistic,
        n_resamples=RESAMPLES,
        batch=batch,
        vectorized=True,
        axis=-1,
        method="percentile",
        rng=0,
    ).confidence_interval
    bounds = zip(result.low.tolist(), result.high.tolist(), strict=True)
    return {name: Interval(low, high) for name, (low, high) in zip(METRICS, bounds, strict=True)}


def bootstrap_means(values: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
    """Means of each run over the same bootstrap draws as in `intervals`, shape (runs, RESAMPLES).

    Args:
        values: a value for each run and review, shape (runs, reviews).
        group: as for `intervals`.
    """
    unit = resampling_units(values.shape[1], group)
    reviews = np.bincount(unit).astype(float)
    units = len(reviews)
    sums = sums_by_unit(values, unit)
    rng, batch = np.random.default_rng(0), max(1, MAX_CELLS // units // 10)
    means = []
    for start in range(0, RESAMPLES, batch):
        draws = rng.integers(0, units, (min(batch, RESAMPLES - start), units))
        counts = np.stack([np.bincount(draw, minlength=units) for draw in draws], axis=1).astype(float)
        means.append(sums @ counts / (reviews @ counts))
    return np.concatenate(means, axis=1)


def resampling_units(reviews: int, group: np.ndarray | None) -> np.ndarray:
    """The number of each review's resampling unit, shape (reviews,): its group, or the review itself."""
    if group is None:
        return np.arange(reviews)
    return np.unique(group, return_inverse=True)[1]


def sums_by_unit(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Sum values of shape (runs, reviews) within each resampling unit: shape (runs, units)."""
    return np.stack([np.bincount(unit, row) for row in values])


def mcnemar(truth: np.ndarray, old: np.ndarray, new: np.ndarray) -> tuple[int, int, float]:
    """Exact McNemar test (McNemar 1947) of two models on the same reviews.

    Args:
        truth: label indices, shape (reviews,).
        old: probabilities of POSITIVE from one model, shape (reviews,).
        new: probabilities of POSITIVE from another model, shape (reviews,).

    Returns:
        The number of reviews that only `old` classifies correctly, the number that only `new` does, and the
        p-value.
    """
    right_old, right_new = (old >= 0.5) == truth, (new >= 0.5) == truth
    only_old, only_new = int((right_old & ~right_new).sum()), int((~right_old & right_new).sum())
    if only_old + only_new == 0:
        return 0, 0, 1.0
    return only_old, only_new, float(binomtest(only_old, only_old + only_new).pvalue)
