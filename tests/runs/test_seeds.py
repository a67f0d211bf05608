"""Seed variance, compared with Welch's and the paired t-test in special cases, and with simulated runs."""

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_ind, ttest_rel

from sentiment.errors import InputError
from sentiment.runs.seeds import seed_difference
from tests.runs.simulation import right_answers, seed_alarms


def test_without_seed_variance_the_interval_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.random(200) < 0.8, rng.random(200) < 0.9
    result = seed_difference(np.stack([old] * 3), np.stack([new] * 4))
    expected = ttest_rel(new.astype(float), old.astype(float)).confidence_interval()
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high))
    assert result.difference == pytest.approx(new.mean() - old.mean())
    assert result.seed_sd == (0, 0)


def test_without_sampling_variance_the_interval_is_that_of_welchs_t_test() -> None:
    old, new = [0, 0, 0, 1], [1, 1, 0, 1, 1]  # each run is right about all reviews or about none
    result = seed_difference(*(np.repeat(np.array(side)[:, None], 50, axis=1) for side in (old, new)))
    expected = ttest_ind(new, old, equal_var=False).confidence_interval()
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high))
    assert result.reviews_sd == 0
    # The smallest number of seeds for which this difference would be significant with these variances.
    variances = np.var(old, ddof=1), np.var(new, ddof=1)
    seeds = 5
    while True:
        freedom = sum(variances) ** 2 / sum(variance**2 / (seeds - 1) for variance in variances)
        if student.ppf(0.975, freedom) * (sum(variances) / seeds) ** 0.5 < result.difference:
            break
        seeds += 1
    assert result.seeds_needed == seeds > 5


def test_reviews_of_a_group_count_as_one() -> None:
    rng = np.random.default_rng(0)
    old, new = (right_answers(rng, 60, np.full(3, 0.8), 0.5) for _ in range(2))
    alone = seed_difference(old, new)
    again = seed_difference(np.repeat(old, 7, axis=1), np.repeat(new, 7, axis=1), np.repeat(np.arange(60), 7))
    assert (again.low, again.high) == pytest.approx((alone.low, alone.high))
    assert again.seeds_needed == alone.seeds_needed
    with pytest.raises(InputError, match="a single review or group"):
        seed_difference(old, new, np.zeros(60))


def test_no_number_of_seeds_suffices_if_the_difference_is_too_small() -> None:
    rng = np.random.default_rng(0)
    old, new = (np.stack([rng.random(100) < 0.5] * 3) for _ in range(2))
    new[:] = np.roll(new, 1, axis=1)
    result = seed_difference(old, new)
    assert result.low < 0 < result.high
    assert result.seeds_needed is None


def test_equal_parameters_rarely_differ_significantly_and_two_points_do() -> None:
    assert seed_alarms(reviews=405, seeds=3, sd=0.7, times=1000)["unpaired"] <= 0.06
    assert seed_alarms(reviews=2500, seeds=5, sd=0.7, times=100, gap=2)["unpaired"] >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("sd", [0.3, 0.7, 1.5])
@pytest.mark.parametrize(("reviews", "times"), [(405, 1000), (2500, 1000), (25_000, 300)])
def test_equal_parameters_differ_significantly_in_at_most_6_of_100_cases(
    seeds: int, sd: float, reviews: int, times: int
) -> None:
    noise = 2 * (0.06 * 0.94 / times) ** 0.5  # of a share of 6 % in so few simulations
    assert seed_alarms(reviews, seeds, sd, times)["unpaired"] <= 0.06 + noise
    # Seeds that do the same to both sets make it more careful, never less.
    assert seed_alarms(reviews, seeds, sd, times // 2, shared=0.8)["unpaired"] <= 0.06
