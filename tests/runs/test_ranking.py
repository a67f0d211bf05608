"""Ranking, compared with the intervals of single runs, manual calculations, and simulated runs."""

import numpy as np
import pytest

from sentiment.metrics import intervals
from sentiment.runs.ranking import rank
from tests.runs.simulation import in_the_set


@pytest.mark.parametrize("grouped", [False, True])
def test_each_run_has_the_same_interval_as_when_it_is_evaluated_alone(grouped: bool) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    group = rng.integers(0, 60, 400) if grouped else None
    probability = rng.random((3, 400)).round(2)
    ranking = rank((probability >= 0.5) == truth, group)
    for row, low, high in zip(probability, ranking.low, ranking.high, strict=True):
        assert (low, high) == pytest.approx(intervals.intervals(truth, row, group)["accuracy"], abs=1e-12)


def test_tied_runs_share_the_probability_of_being_best() -> None:
    right = np.array([[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 0, 0]])
    ranking = rank(right)
    assert ranking.accuracy.tolist() == [0.75, 0.75, 0]
    # All three are equal if only the third review was drawn, four times.
    assert ranking.probability_best == pytest.approx([0.5, 0.5, 0], abs=0.01)
    assert ranking.probability_best.sum() == pytest.approx(1)


def test_equal_runs_are_in_the_set_and_a_far_worse_one_is_not() -> None:
    good = np.arange(500) % 20 > 0
    assert rank(np.stack([good, good, good])).in_set.all()
    assert rank(np.stack([good, ~good, good])).in_set.tolist() == [True, False, True]
    assert rank(good[None]).in_set.tolist() == [True]
    assert rank(np.stack([good, good & (np.arange(500) > 1)])).in_set.all()  # two reviews are no evidence


def test_nearly_identical_runs_do_not_hide_the_best() -> None:
    review = np.arange(1000)
    best = (review < 900) | (review >= 978)  # right about 22 reviews that `other` gets wrong
    other = review < 908  # right about 8 reviews that `best` gets wrong
    assert rank(np.stack([best, other])).in_set.tolist() == [True, False]
    similar = [other & ~np.isin(review, (number, number + 100)) for number in range(8)]
    assert rank(np.stack([best, *similar])).in_set.tolist() == [True] + [False] * 8


def test_whole_films_are_resampled() -> None:
    # One run is better on all reviews of six of ten films. Resampling reviews would make it significant.
    film = np.repeat(np.arange(10), 50)
    right = np.stack([film < 8, (film >= 8) | (film < 6)])
    right[0, film < 4] = False
    assert right.mean(axis=1).tolist() == [0.4, 0.8]
    assert rank(right).in_set.tolist() == [False, True]
    assert rank(right, film).in_set.all()


@pytest.mark.parametrize("runs", [2, 5, 20])
def test_the_best_run_is_in_the_set(runs: int) -> None:
    equal = in_the_set(reviews=400, accuracy=np.full(runs, 0.9), alike=0.8, times=100)
    assert equal.best >= 0.93  # 95 of 100, within the error of 100 simulations
    unequal = in_the_set(reviews=400, accuracy=0.95 - np.arange(runs) * 0.01, alike=0.8, times=100)
    assert unequal.best >= 0.95
    assert unequal.size < equal.size


@pytest.mark.slow
@pytest.mark.parametrize("runs", [2, 5, 20])
@pytest.mark.parametrize("reviews", [130, 1000, 2500])
@pytest.mark.parametrize(("alike", "level"), [(0.5, 0.8), (0.95, 0.8), (0.5, 0.97), (0.95, 0.97)])
def test_the_best_run_is_in_the_set_in_95_of_100_cases(
    runs: int, reviews: int, alike: float, level: float
) -> None:
    equal = in_the_set(reviews, np.full(runs, level), alike, times=200)
    assert equal.best >= 0.95
    assert equal.all_best >= 0.91  # all equal runs at once: 0.95, within the error of 200 simulations
    unequal = in_the_set(reviews, level - np.arange(runs) * 0.005, alike, times=200)
    assert unequal.best >= 0.95
