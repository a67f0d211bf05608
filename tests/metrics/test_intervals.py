"""The statistics, against scipy, scikit-learn and statsmodels on random cases, and against cases worked by hand."""

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar

from sentiment.metrics import intervals
from sentiment.metrics.classification import METRICS


def random_probabilities(rng: np.random.Generator, truth: np.ndarray, accuracy: float) -> np.ndarray:
    """Probabilities of POSITIVE that are right about so often, some of them ties."""
    right = rng.random(len(truth)) < accuracy
    certainty = rng.uniform(0.5, 1, len(truth)).round(2).clip(0.51, 0.99)
    return np.where(right == truth, certainty, 1 - certainty)


def test_intervals_are_scipys() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    probability = random_probabilities(rng, truth, 0.85)
    between = intervals.intervals(truth, probability)
    right = ((probability >= 0.5) == truth).astype(float)
    expected = bootstrap((right,), np.mean, n_resamples=5000, method="percentile", rng=1).confidence_interval
    assert between["accuracy"] == pytest.approx((expected.low, expected.high), abs=0.006)
    expected = bootstrap(
        (truth, probability),
        roc_auc_score,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=1,
    ).confidence_interval
    assert between["roc_auc"] == pytest.approx((expected.low, expected.high), abs=0.008)


def test_intervals_do_not_depend_on_how_many_draws_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    probability = random_probabilities(rng, truth, 0.85)
    monkeypatch.setattr(intervals, "RESAMPLES", 200)
    expected = intervals.intervals(truth, probability)
    monkeypatch.setattr(intervals, "MAX_CELLS", 300 * 7)  # 7 at a time, the last of them 4
    between = intervals.intervals(truth, probability)
    assert [between[name] for name in METRICS] == [pytest.approx(expected[name]) for name in METRICS]


def test_groups_that_agree_within_themselves_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 10)
    truth = rng.integers(0, 2, 400)
    right = np.repeat(rng.random(40) < 0.8, 10)
    probability = np.where(right == truth, 0.9, 0.1)
    alone, grouped = (intervals.intervals(truth, probability, group)["accuracy"] for group in (None, group))
    width = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert width == pytest.approx(np.sqrt(10), rel=0.2)


def test_the_paired_interval_is_narrower_than_two_alone_and_sees_a_real_difference() -> None:
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
def test_mcnemar_is_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, 200)
    old, new = random_probabilities(rng, truth, 0.9), random_probabilities(rng, truth, 0.8)
    lost, won, p = intervals.mcnemar(truth, old, new)
    expected = mcnemar([[0, lost], [won, 0]], exact=True).pvalue
    assert p == pytest.approx(expected)
    assert won - lost == ((new >= 0.5) == truth).sum() - ((old >= 0.5) == truth).sum()


def test_mcnemar_by_hand() -> None:
    truth = np.ones(6)
    old, new = np.array([1, 1, 1, 1, 1, 0]), np.array([0, 0, 0, 0, 0, 0])
    assert intervals.mcnemar(truth, old, new) == (5, 0, pytest.approx(2 / 2**5))
    assert intervals.mcnemar(truth, old, old) == (0, 0, 1.0)


def test_equal_models_are_rarely_called_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 400)
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(1000):
        truth = rng.integers(0, 2, 200)
        old, new = random_probabilities(rng, truth, 0.9), random_probabilities(rng, truth, 0.9)
        low, high = intervals.difference_intervals(truth, old, new)["accuracy"]
        alarms += not low <= 0 <= high and intervals.mcnemar(truth, old, new)[2] < 0.05
    assert 5 <= alarms <= 60
