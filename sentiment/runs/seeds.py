"""Seed variance: the difference of two sets of parameters that were each trained with several seeds."""

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from sentiment.errors import InputError
from sentiment.metrics.intervals import resampling_units, sums_by_unit

_MAX_SEEDS = 1000


class _Spread(NamedTuple):
    """The variance between the accuracies of one set of parameters.

    Attributes:
        seeds: number of seeds.
        observed: variance of accuracy between seeds.
        sampling: its sampling variance, from the reviews that some seeds classify correctly and others do
            not.
    """

    seeds: int
    observed: float
    sampling: float

    @property
    def seed_variance(self) -> float:
        """The part of the variance that remains with infinitely many reviews."""
        return max(0.0, self.observed - self.sampling)


class SeedDifference(NamedTuple):
    """The difference `new` minus `old` of mean accuracy over seeds.

    Attributes:
        old: mean accuracy of the old parameters.
        new: mean accuracy of the new parameters.
        difference: `new` minus `old`.
        low: lower bound of the 95 % interval, which includes seed variance and sampling variance.
        high: upper bound of the interval.
        seed_sd: standard deviation of accuracy between seeds, of the old and of the new parameters.
        reviews_sd: standard deviation of the difference from the sample of reviews alone, with infinitely
            many seeds.
        seeds_needed: seeds per set with which a difference of this size would be significant; None: more than
            1000.
    """

    old: float
    new: float
    difference: float
    low: float
    high: float
    seed_sd: tuple[float, float]
    reviews_sd: float
    seeds_needed: int | None


def seed_difference(old: np.ndarray, new: np.ndarray, group: np.ndarray | None = None) -> SeedDifference:
    """The difference of mean accuracy between two sets of parameters over their seeds, with a 95 % interval.

    The model is a two-way layout with random seeds and random reviews. The variance of the difference has two
    parts. The first is the variance between reviews of the mean over seeds; both sets share the reviews. The
    second is the variance that the seeds of each set add. The degrees of freedom follow Satterthwaite 1946,
    as in Welch's test, because a bootstrap of three seeds would be far too narrow.

    Seeds are not paired. If both sets share seeds, the difference is only less uncertain than the interval
    says. Pairs of three seeds would leave two degrees of freedom.

    Args:
        old: whether each run with the old parameters classifies each review correctly, shape (seeds,
            reviews), with at least two seeds.
        new: the same for the new parameters, on the same reviews.
        group: the group of each review, shape (reviews,), if groups rather than reviews are independent.

    Raises:
        InputError: there is a single review or group.
    """
    unit = resampling_units(old.shape[1], group)
    reviews = np.bincount(unit)
    if len(reviews) < 2:
        raise InputError("the test split is a single review or group, so no interval can be computed")
    old_mean, old_profile, old_spread = _mean_and_spread(old, unit, reviews)
    new_mean, new_profile, new_spread = _mean_and_spread(new, unit, reviews)
    spreads = [old_spread, new_spread]
    between_reviews = _variance(new_profile - old_profile, old.shape[1])
    difference = new_mean - old_mean
    half_width = float(_half_width(between_reviews, len(reviews), spreads, [len(old), len(new)]))

    # `between_reviews` also contains sampling variance of the seeds, which more seeds reduce.
    infinite_seeds = max(0.0, between_reviews - sum(spread.sampling / spread.seeds for spread in spreads))
    seeds = np.arange(max(len(old), len(new)), _MAX_SEEDS + 1)
    expected = infinite_seeds + sum(spread.sampling for spread in spreads) / seeds
    enough = seeds[_half_width(expected, len(reviews), spreads, [seeds, seeds]) < abs(difference)]
    return SeedDifference(
        old=old_mean,
        new=new_mean,
        difference=difference,
        low=difference - half_width,
        high=difference + half_width,
        seed_sd=(old_spread.observed**0.5, new_spread.observed**0.5),
        reviews_sd=infinite_seeds**0.5,
        seeds_needed=int(enough[0]) if len(enough) else None,
    )


def _mean_and_spread(
    right: np.ndarray, unit: np.ndarray, reviews: np.ndarray
) -> tuple[float, np.ndarray, _Spread]:
    """Statistics of one set of parameters.

    Returns:
        Mean accuracy; the deviation from it in each unit, summed over its reviews, shape (units,); and the
        spread.
    """
    accuracy = right.mean(axis=1)
    residual = sums_by_unit(right, unit) - accuracy[:, None] * reviews
    profile = residual.mean(axis=0)
    sampling = _variance(residual - profile, right.shape[1]) / (len(right) - 1)
    return float(accuracy.mean()), profile, _Spread(len(right), float(accuracy.var(ddof=1)), sampling)


def _variance(residual: np.ndarray, reviews: int) -> float:
    """Variance of a mean over reviews.

    Args:
        residual: residuals summed within units, shape (..., units); they add up to 0.
        reviews: number of reviews.
    """
    units = residual.shape[-1]
    return float((residual**2).sum()) / reviews**2 * units / (units - 1)


def _half_width(between_reviews: Any, units: int, spreads: list[_Spread], seeds: list[Any]) -> Any:
    """Half the width of the interval for the given numbers of seeds, which can be arrays."""
    variance = between_reviews + sum(
        spread.seed_variance / n for spread, n in zip(spreads, seeds, strict=True)
    )
    squared_errors = between_reviews**2 / (units - 1)
    for spread, n in zip(spreads, seeds, strict=True):
        squared_errors = squared_errors + (spread.observed / n) ** 2 / (n - 1)
    freedom = np.divide(variance**2, squared_errors, out=np.ones_like(variance), where=squared_errors > 0)
    return student.ppf(0.975, freedom) * np.sqrt(variance)
