"""Simulated runs whose truth is known, and the tables of docs/experiments.md on what the statistics make of them.

`python -m tests.evaluation.simulation` writes the tables anew; it takes half an hour.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from sentiment.evaluation.ranking import rank


def right_answers(
    rng: np.random.Generator, reviews: int, accuracy: np.ndarray, alike: float, base: np.ndarray | None = None
) -> np.ndarray:
    """Whether runs of these accuracies are right about each review, shape (runs, reviews).

    Args:
        rng: draws them.
        reviews: how many.
        accuracy: of each run over all reviews there could be, shape (runs,).
        alike: share of the variance of a latent normal score that the runs have in common: how hard a review is.
        base: what is common, shape (reviews,); drawn if None.
    """
    if base is None:
        base = rng.standard_normal(reviews, dtype=np.float32)
    own = rng.standard_normal((len(accuracy), reviews), dtype=np.float32)
    threshold = norm.ppf(accuracy).astype(np.float32)[:, None]
    return (np.float32(np.sqrt(alike)) * base + np.float32(np.sqrt(1 - alike)) * own + threshold > 0).astype(float)


class InTheSet(NamedTuple):
    """Shares of simulations in which the first of the best runs, and all of them, were in the set; its mean size."""

    best: float
    all_best: float
    size: float


def in_the_set(reviews: int, accuracy: np.ndarray, alike: float, times: int) -> InTheSet:
    """Rank simulated runs, the best of them first, over and over."""
    rng = np.random.default_rng(0)
    sets = np.array([rank(right_answers(rng, reviews, accuracy, alike)).in_set for _ in range(times)])
    best = accuracy == accuracy.max()
    return InTheSet(sets[:, 0].mean(), sets[:, best].all(axis=1).mean(), sets.sum(axis=1).mean())
