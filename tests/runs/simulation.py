"""Simulated runs with known true accuracies, and what ranking and comparison over seeds conclude from them.

`python -m tests.runs.simulation` prints the tables of docs/studies/choosing.md and
docs/studies/seed-variance.md; it takes half an hour.
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
    """Simulate which reviews runs with these true accuracies classify correctly, shape (runs, reviews).

    Args:
        rng: random generator.
        reviews: number of reviews.
        accuracy: true accuracy of each run, shape (runs,).
        alike: share of the variance of a latent normal score that all runs share, as some reviews are hard.
        base: the common part of the score, shape (reviews,); drawn if None.
    """
    if base is None:
        base = rng.standard_normal(reviews, dtype=np.float32)
    own = rng.standard_normal((len(accuracy), reviews), dtype=np.float32)
    threshold = norm.ppf(accuracy).astype(np.float32)[:, None]
    score = np.float32(np.sqrt(alike)) * base + np.float32(np.sqrt(1 - alike)) * own
    return (score + threshold > 0).astype(float)


class InTheSet(NamedTuple):
    """How often the best runs are in the confidence set, and how large it is."""

    best: float  # share of simulations in which the first of the best runs is in the set
    all_best: float  # share of simulations in which all of the best runs are
    size: float  # mean number of runs in the set


def in_the_set(reviews: int, accuracy: np.ndarray, alike: float, times: int) -> InTheSet:
    """Rank simulated runs repeatedly; `accuracy` lists the best run first, shape (runs,)."""
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
    """How often simulations find a difference between two sets of parameters, with unpaired and paired seeds.

    Args:
        reviews: number of test reviews.
        seeds: number of runs of each set.
        sd: standard deviation of accuracy over seeds, in points.
        times: number of simulations.
        gap: true advantage of the second set, in points.
        alike: share of a review's hardness that the runs of one set have in common.
        other: share of this common part that differs between the two sets.
        shared: correlation of the seed's effect between the sets, because the same seed may help both.
    """
    rng = np.random.default_rng(0)
    alarms = {"unpaired": 0, "paired": 0}
    for _ in range(times):
        hardness = rng.standard_normal(reviews, dtype=np.float32)
        common_effect = rng.standard_normal(seeds)
        sides = []
        for mean in (0.93, 0.93 + gap / 100):
            own_hardness = rng.standard_normal(reviews, dtype=np.float32)
            base = np.sqrt(1 - other) * hardness + np.sqrt(other) * own_hardness
            effect = np.sqrt(shared) * common_effect + np.sqrt(1 - shared) * rng.standard_normal(seeds)
            accuracy = np.clip(mean + sd / 100 * effect, 0.01, 0.999)
            sides.append(right_answers(rng, reviews, accuracy, alike, base.astype(np.float32)))
        unpaired = seed_difference(*sides)
        alarms["unpaired"] += not unpaired.low <= 0 <= unpaired.high
        differences = sides[1].mean(axis=1) - sides[0].mean(axis=1)
        seed_variance = differences.var(ddof=1) / seeds
        variance = seed_variance + max(0.0, unpaired.reviews_sd**2)
        freedom = variance**2 / (seed_variance**2 / (seeds - 1) + unpaired.reviews_sd**4 / reviews)
        alarms["paired"] += abs(unpaired.difference) > student.ppf(0.975, freedom) * variance**0.5
    return {name: count / times for name, count in alarms.items()}


def ranking_table() -> list[str]:
    """Mean size of the confidence set when one run is better than all others, as a Markdown table."""
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
    """How often comparisons find a true difference of 0, 1 and 2 points, as a Markdown table."""
    lines = ["| test reviews | seed sd | 3 seeds each | 5 | 10 |", "|---|---|---|---|---|"]
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
