"""Simulated runs whose truth is known, and the tables of docs/experiments.md on what the statistics make of them.

`python -m tests.evaluation.simulation` prints the tables; it takes half an hour.
"""

import sys
from typing import NamedTuple

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from sentiment.runs.ranking import rank
from sentiment.runs.seeds import seed_difference


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
    return (np.float32(np.sqrt(alike)) * base + np.float32(np.sqrt(1 - alike)) * own + threshold > 0).astype(
        float
    )


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


def seed_alarms(
    reviews: int,
    seeds: int,
    sd: float,
    times: int,
    gap: float = 0.0,
    alike: float = 0.9,
    other: float = 0.1,
    shared: float = 0.0,
) -> dict[str, float]:
    """Shares of simulations in which two sets of parameters are called different, with the seeds unpaired and paired.

    Args:
        reviews: how many are tested on.
        seeds: runs of each set.
        sd: standard deviation of accuracy by the seed, in points.
        times: how many simulations.
        gap: by how much the second is really better, in points.
        alike: share of what makes a review hard that runs of one set have in common.
        other: the part of that which is another one for the other set.
        shared: correlation of the seed's effects between the sets, as the same seeds in both may have.
    """
    rng = np.random.default_rng(0)
    alarms = dict.fromkeys(("unpaired", "paired"), 0)
    for _ in range(times):
        hard, luck = rng.standard_normal(reviews, dtype=np.float32), rng.standard_normal(seeds)
        sides = []
        for mean in (0.93, 0.93 + gap / 100):
            base = np.sqrt(1 - other) * hard + np.sqrt(other) * rng.standard_normal(reviews, dtype=np.float32)
            effect = np.sqrt(shared) * luck + np.sqrt(1 - shared) * rng.standard_normal(seeds)
            accuracy = np.clip(mean + sd / 100 * effect, 0.01, 0.999)
            sides.append(right_answers(rng, reviews, accuracy, alike, base.astype(np.float32)))
        found = seed_difference(*sides)
        alarms["unpaired"] += not found.low <= 0 <= found.high
        each = sides[1].mean(axis=1) - sides[0].mean(axis=1)
        variance = each.var(ddof=1) / seeds + max(0.0, found.reviews_sd**2)
        freedom = variance**2 / (
            (each.var(ddof=1) / seeds) ** 2 / (seeds - 1) + found.reviews_sd**4 / reviews
        )
        alarms["paired"] += abs(found.difference) > student.ppf(0.975, freedom) * variance**0.5
    return {name: count / times for name, count in alarms.items()}


def ranking_table() -> list[str]:
    """How many runs cannot be told from the best, where one is better than all others by so many points."""
    lines = [
        "| validation reviews | of 2 runs, better by 1, 2, 4 points | of 5 | of 20 |",
        "|---|---|---|---|",
    ]
    for reviews in (130, 1000, 2500):
        cells = []
        for runs, times in ((2, 400), (5, 200), (20, 100)):
            accuracy = [np.array([0.93] + [0.93 - gap] * (runs - 1)) for gap in (0.01, 0.02, 0.04)]
            cells.append(", ".join(f"{in_the_set(reviews, each, 0.9, times).size:.1f}" for each in accuracy))
        lines.append(f"| {reviews:,} | {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def seeds_table() -> list[str]:
    """Share of comparisons called different, of equal sets of parameters, and of those that differ by one and by two points."""
    lines = ["| test reviews | sd of the seed | 3 seeds each | 5 | 10 |", "|---|---|---|---|---|"]
    for reviews, times in ((405, 2000), (2500, 2000), (25_000, 3500)):
        for sd in (0.3, 0.7, 1.5):
            cells = []
            for seeds in (3, 5, 10):
                shares = [
                    seed_alarms(reviews, seeds, sd, times if gap == 0 else 250, gap)["unpaired"]
                    for gap in (0, 1, 2)
                ]
                cells.append(f"{shares[0]:.1%}, {shares[1]:.0%}, {shares[2]:.0%}".replace("%", " %"))
            lines.append(f"| {reviews:,} | {sd} | {' | '.join(cells)} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return lines


if __name__ == "__main__":
    print("\n".join([*ranking_table(), "", *seeds_table()]))
