"""The seed's luck: two sets of parameters, each trained with several seeds, compared on the same reviews."""

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from sentiment.errors import InputError
from sentiment.metrics.intervals import resampling_units, sums_by_unit

_MOST_SEEDS = 1000


class _Spread(NamedTuple):
    """The spread of the accuracies of one set of parameters."""

    seeds: int
    observed: float  # variance between the seeds' accuracies
    chance: float  # the part of it that other reviews would have changed: what seeds get right apart from each other

    @property
    def own(self) -> float:
        """The part of the variance that the seed has with any reviews."""
        return max(0.0, self.observed - self.chance)


class SeedDifference(NamedTuple):
    """The difference of two means over seeds: `new` minus `old`."""

    old: float
    new: float
    difference: float
    low: float  # of a 95 % interval that holds the luck of the seeds and that of the reviews
    high: float
    seed_sd: tuple[float, float]  # standard deviation of accuracy between seeds, old and new
    reviews_sd: (
        float  # standard deviation of the difference by the luck of the reviews alone, with seeds without end
    )
    seeds_needed: (
        int | None
    )  # of each, for a difference of this size to be told from 0; None: no number, or over 1000


def seed_difference(old: np.ndarray, new: np.ndarray, group: np.ndarray | None = None) -> SeedDifference:
    """The difference of mean accuracy of two sets of parameters over their seeds, with a 95 % interval.

    A two-way layout of seeds and reviews, both random: the variance of the difference is that of its mean over seeds
    between reviews, which are the same for both sets, and what the seeds of each set add to it. Its degrees of freedom are
    by Satterthwaite 1946, as in Welch's test: a bootstrap of three seeds would be far too narrow. Seeds are not paired:
    the same seed in both sets makes the difference only less uncertain than this says, and pairs of three seeds would
    leave two degrees of freedom.

    Args:
        old: whether each run is right about each review, shape (seeds, reviews), at least two seeds.
        new: the same by another set of parameters, on the same reviews.
        group: what each review belongs to, shape (reviews,), which counts as a whole; None: each review by itself.

    Raises:
        InputError: there is a single review or group.
    """
    unit = resampling_units(old.shape[1], group)
    reviews = np.bincount(unit)
    if len(reviews) < 2:
        raise InputError(
            "the test split is a single review or group, from which nothing can be told of others"
        )
    sides = [_side(right, unit, reviews) for right in (old, new)]
    (old_mean, old_profile, old_spread), (new_mean, new_profile, new_spread) = sides
    spreads = [old_spread, new_spread]
    between_reviews = _variance(new_profile - old_profile, old.shape[1])
    difference = new_mean - old_mean
    half = float(_half_width(between_reviews, len(reviews), spreads, [len(old), len(new)]))

    endless = max(0.0, between_reviews - sum(spread.chance / spread.seeds for spread in spreads))
    seeds = np.arange(max(len(old), len(new)), _MOST_SEEDS + 1)
    expected = endless + sum(spread.chance for spread in spreads) / seeds
    enough = seeds[_half_width(expected, len(reviews), spreads, [seeds, seeds]) < abs(difference)]
    return SeedDifference(
        old_mean,
        new_mean,
        difference,
        difference - half,
        difference + half,
        (old_spread.observed**0.5, new_spread.observed**0.5),
        endless**0.5,
        int(enough[0]) if len(enough) else None,
    )


def _side(right: np.ndarray, unit: np.ndarray, reviews: np.ndarray) -> tuple[float, np.ndarray, _Spread]:
    """Of one set of parameters: mean accuracy, what each unit adds to it beyond that, shape (units,), and the seeds' spread."""
    accuracy = right.mean(axis=1)
    residual = sums_by_unit(right, unit) - accuracy[:, None] * reviews
    profile = residual.mean(axis=0)
    chance = _variance(residual - profile, right.shape[1]) / (len(right) - 1)
    return float(accuracy.mean()), profile, _Spread(len(right), float(accuracy.var(ddof=1)), chance)


def _variance(residual: np.ndarray, reviews: int) -> float:
    """Variance of a mean over reviews from its residuals, summed within units: shape (…, units), whose sum is 0."""
    units = residual.shape[-1]
    return float((residual**2).sum()) / reviews**2 * units / (units - 1)


def _half_width(between_reviews: Any, units: int, spreads: list[_Spread], seeds: list[Any]) -> Any:
    """Half the width of the interval with these numbers of seeds, which can be arrays."""
    variance = between_reviews + sum(spread.own / n for spread, n in zip(spreads, seeds, strict=True))
    uncertain = between_reviews**2 / (units - 1)
    for spread, n in zip(spreads, seeds, strict=True):
        uncertain = uncertain + (spread.observed / n) ** 2 / (n - 1)
    freedom = np.divide(variance**2, uncertain, out=np.ones_like(variance), where=uncertain > 0)
    return student.ppf(0.975, freedom) * np.sqrt(variance)
