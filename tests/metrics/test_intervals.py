"""Intervals and tests, compared with scipy, scikit-learn and statsmodels, and with manual calculations."""

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar

from sentiment.metrics import intervals
from sentiment.metrics.classification import METRICS


def random_probabilities(rng: np.random.Generator, truth: np.ndarray, accuracy: float) -> np.ndarray:
    """Random probabilities of POSITIVE with about this accuracy, some of them equal."""
    right = rng.random(len(truth)) < accuracy
    certainty = rng.uniform(0.5, 1, len(truth)).round(2).clip(0.51, 0.99)
    return np.where(right == truth, certainty, 1 - certainty)


def test_intervals_equal_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    probability = random_probabilities(rng, truth, 0.85)
    computed = intervals.intervals(truth, probability)
    right = ((probability >= 0.5) == truth).astype(float)
    expected = bootstrap((right,), np.mean, n_resamples=5000, method="percentile", rng=1).confidence_interval
    assert computed["accuracy"] == pytest.approx((expected.low, expected.high), abs=0.006)
    expected = bootstrap(
        (truth, probability),
        roc_auc_score,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=1,
    ).confidence_interval
    assert computed["roc_auc"] == pytest.approx((expected.low, expected.high), abs=0.008)


def test_intervals_do_not_depend_on_the_number_of_draws_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    probability = random_probabilities(rng, truth, 0.85)
    monkeypatch.setattr(intervals, "RESAMPLES", 200)
    expected = intervals.intervals(truth, probability)
    monkeypatch.setattr(intervals, "MAX_CELLS", 300 * 7)  # 7 draws at a time, 4 in the last batch
    computed = intervals.intervals(truth, probability)
    assert [computed[name] for name in METRICS] == [pytest.approx(expected[name]) for name in METRICS]


def test_groups_of_similar_reviews_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 10)
    truth = rng.integers(0, 2, 400)
    right = np.repeat(rng.random(40) < 0.8, 10)
    probability = np.where(right == truth, 0.9, 0.1)
    alone, grouped = (intervals.intervals(truth, probability, group)["accuracy"] for group in (None, group))
    width = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert width == pytest.approx(np.sqrt(10), rel=0.2)


def test_the_paired_interval_is_narrower_and_detects_a_real_difference() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    old = random_probabilities(rng, truth, 0.9)
    new = old.copy()
    spoilt = rng.random(2000) < 0.05
    new[spoilt] = 1 - truth[spoilt]
    low, high = intervals.difference_intervals(truth, old, new)["accuracy"]
    alone = intervals.intervals(truth, old)["accuracy"]
    assert low < high < 0
    assert high - low < alone.high - alone.low


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_equals_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, 200)
    old, new = random_probabilities(rng, truth, 0.9), random_probabilities(rng, truth, 0.8)
    only_old, only_new, p = intervals.mcnemar(truth, old, new)
    expected = mcnemar([[0, only_old], [only_new, 0]], exact=True).pvalue
    assert p == pytest.approx(expected)
    assert only_new - only_old == ((new >= 0.5) == truth).sum() - ((old >= 0.5) == truth).sum()


def test_mcnemar_equals_a_manual_calculation() -> None:
    truth = np.ones(6)
    old, new = np.array([1, 1, 1, 1, 1, 0]), np.array([0, 0, 0, 0, 0, 0])
    assert intervals.mcnemar(truth, old, new) == (5, 0, pytest.approx(2 / 2**5))
    assert intervals.mcnemar(truth, old, old) == (0, 0, 1.0)


def test_equal_models_rarely_differ_significantly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 400)
    rng = np.random.default_rng(0)
    false_positives = 0
    for _ in range(1000):
        truth = rng.integers(0, 2, 200)
        old, new = random_probabilities(rng, truth, 0.9), random_probabilities(rng, truth, 0.9)
        low, high = intervals.difference_intervals(truth, old, new)["accuracy"]
        false_positives += not low <= 0 <= high and intervals.mcnemar(truth, old, new)[2] < 0.05
    assert 5 <= false_positives <= 60
