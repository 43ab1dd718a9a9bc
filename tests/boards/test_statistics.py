"""Statistics over seeds: worked by hand, beside scipy's, and whether an interval covers what it says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from disentangle_bench.boards.statistics import (
    SPLITS,
    Difference,
    chance_above,
    holm,
    pairwise_ranks,
    permutation_p,
    power,
    seeds_for_power,
    smallest_p,
    t_interval,
    variance,
    welch,
)

A, B = np.array([0.5, 0.6, 0.7, 0.8, 0.9]), np.array([0.4, 0.45, 0.5, 0.55])
SAMPLES = st.lists(st.floats(0, 1), min_size=3, max_size=8).map(np.array)
P_VALUES = st.lists(st.floats(1e-9, 1), min_size=1, max_size=12)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# One mean's interval


def test_an_interval_by_hand():
    low, high = t_interval(np.array([1.0, 2.0, 3.0]))  # sd 1, t of 2 degrees of freedom 4.302653
    assert (low, high) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))


@given(SAMPLES)
def test_an_interval_is_scipys_and_holds_the_mean(sample):
    low, high = t_interval(sample)
    assert low <= sample.mean() <= high
    if variance(sample):
        expected = stats.t.interval(0.95, len(sample) - 1, sample.mean(), stats.sem(sample))
        assert (low, high) == pytest.approx(expected, abs=1e-12)


def test_equal_numbers_have_no_spread_however_their_mean_is_rounded():
    third = np.full(3, 0.1)
    assert third.var() > 0
    assert variance(third) == 0
    assert t_interval(third) == (third.mean(), third.mean())


def test_an_interval_is_not_clipped_to_a_scores_range():
    assert t_interval(np.array([0.8, 0.9, 1.0]))[1] > 1


def covered(draw, truth, seeds, samples):
    """The share, in per cent, of the intervals of `samples` samples that hold the truth."""
    ends = np.array([t_interval(sample) for sample in draw(rng(seeds), (samples, seeds))])
    return 100 * np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))


def normal(rng, shape):
    return rng.normal(0.6, 0.1, shape)


def skewed(rng, shape):
    return rng.beta(8, 2, shape)


def collapsing(rng, shape):
    """One seed in ten collapses to 0.2; the others score 0.70 ± 0.05."""
    return np.where(rng.random(shape) < 0.1, 0.2, rng.normal(0.7, 0.05, shape))


@pytest.mark.parametrize("seeds", [3, 5])
def test_of_a_thousand_intervals_of_normal_scores_95_per_cent_hold_the_mean(seeds):
    assert covered(normal, 0.6, seeds, samples=2_000) == pytest.approx(95, abs=1.5)  # three standard errors


COVERAGE = [  # what docs/howto/statistics.md says
    (normal, 0.6, {3: 95, 5: 95, 10: 95, 32: 95}),
    (skewed, 0.8, {3: 93.4, 5: 93.4, 10: 93.8, 32: 94.4}),
    (collapsing, 0.65, {3: 87, 5: 76, 10: 72, 32: 91}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "truth", "expected"), COVERAGE, ids=lambda each: getattr(each, "__name__", ""))
def test_coverage(draw, truth, expected):
    found = {seeds: covered(draw, truth, seeds, samples=20_000) for seeds in expected}
    assert found == pytest.approx(expected, abs=0.8), "five standard errors"
    if draw is not collapsing:
        assert all(abs(each - 95) <= (1.5 if draw is normal else 2) for each in found.values())


@pytest.mark.slow
def test_no_more_than_5_per_cent_of_leaderboards_of_equal_models_tell_two_apart():
    wrong = np.mean([max(pairwise_ranks(list(normal(rng(i), (8, 5))), True)) > 1 for i in range(4_000)])
    assert 0.02 < wrong < 0.05


# Two samples


def test_welch_by_hand():
    """Means 0.7 and 0.475; variances 0.025 and 0.0041667; so se² = 0.005 + 0.0010417, and 5.52 degrees of freedom."""
    result = welch(A, B)
    assert result.value == pytest.approx(0.225)
    error, freedom = math.sqrt(0.0060416667), 0.0060416667**2 / (0.005**2 / 4 + 0.0010416667**2 / 3)
    assert freedom == pytest.approx(5.5208, abs=1e-4)
    half = stats.t.isf(0.025, freedom) * error
    assert (result.low, result.high) == pytest.approx((0.225 - half, 0.225 + half))
    assert result.p == pytest.approx(2 * stats.t.sf(0.225 / error, freedom))


@given(SAMPLES, SAMPLES)
def test_welch_is_scipys(one, two):
    result = welch(one, two)
    assert 0 < result.p <= 1
    assert result.low <= result.value <= result.high
    if min(variance(one), variance(two)) > 1e-10:  # below, scipy warns of its own precision
        expected = stats.ttest_ind(one, two, equal_var=False)
        interval = expected.confidence_interval(0.95)
        assert result.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)
        assert (result.low, result.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


@given(SAMPLES, SAMPLES)
def test_the_other_way_round_the_signs_turn_and_p_stays(one, two):
    there, back = welch(one, two), welch(two, one)
    assert there.p == pytest.approx(back.p)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert chance_above(one, two) == pytest.approx(1 - chance_above(two, one))
    assert permutation_p(one, two, rng()) == permutation_p(two, one, rng())


def test_without_any_spread_p_is_that_of_a_permutation():
    zeros, ones = np.zeros(5), np.ones(4)
    assert welch(ones, zeros) == Difference(1, 1, 1, 2 / 126)
    assert welch(ones, zeros).p == permutation_p(ones, zeros, rng())[0]
    assert welch(zeros, zeros) == Difference(0, 0, 0, 1)


def test_the_chance_of_a_seed_above_another_counts_ties_half():
    assert chance_above(np.array([1.0, 2.0]), np.array([0.0, 1.0])) == (3 + 0.5) / 4


@given(SAMPLES, SAMPLES)
def test_the_chance_is_mann_and_whitneys_u(one, two):
    assert chance_above(one, two) == pytest.approx(stats.mannwhitneyu(one, two).statistic / (len(one) * len(two)))


def test_a_permutation_test_by_hand():
    """Of the 6 splits of 1, 2, 3, 5 into two and two, {3, 5} has the greatest sum: a sixth above, twice that."""
    assert permutation_p(np.array([3.0, 5.0]), np.array([1.0, 2.0]), rng()) == (2 / 6, True)
    # {2, 5} = 7 is second but for a tie: at least 7 have {2, 5} and {3, 5}, at most 7 have all but {3, 5}
    assert permutation_p(np.array([2.0, 5.0]), np.array([1.0, 3.0]), rng()) == (4 / 6, True)


@pytest.mark.parametrize(("one", "two"), [(A, B), (A[:3], B), (A, A - 0.1), (A, A)])
def test_an_exact_permutation_p_is_scipys(one, two):
    def means(x, y, axis=-1):
        return x.mean(axis=axis) - y.mean(axis=axis)

    expected = stats.permutation_test((one, two), means, vectorized=True, n_resamples=10_000).pvalue
    p, exact = permutation_p(one, two, rng())
    assert exact
    assert p == pytest.approx(expected)


@given(SAMPLES, SAMPLES)
def test_a_permutation_p_lies_between_the_smallest_and_1(one, two):
    assert smallest_p(len(one), len(two)) <= permutation_p(one, two, rng())[0] <= 1


def test_many_seeds_are_split_at_random_by_the_generator_that_is_given():
    one, two = rng(1).normal(0.5, 1, 30), rng(2).normal(0, 1, 30)
    assert math.comb(60, 30) > SPLITS
    p, exact = permutation_p(one, two, rng(3))
    assert not exact
    assert (p, exact) == permutation_p(one, two, rng(3))
    assert p != permutation_p(one, two, rng(4))[0]
    assert p == pytest.approx(stats.ttest_ind(one, two).pvalue, abs=0.01)
    assert permutation_p(one + 9, two, rng(3))[0] == 2 / 20_000, "never 0"


@pytest.mark.parametrize(
    ("seeds", "p"), [((3, 3), 0.10), ((4, 4), 0.0286), ((5, 5), 0.0079), ((1, 3), 0.5), ((1, 1), 1)]
)
def test_the_smallest_p(seeds, p):
    assert smallest_p(*seeds) == pytest.approx(p, abs=1e-4)
    if min(seeds) < 2:
        return  # no test of a single number
    apart = permutation_p(np.arange(seeds[0]) + 100.0, np.arange(seeds[1]) * 1.0, rng())
    assert apart == (pytest.approx(smallest_p(*seeds)), True)


# Many tests


def test_holm_by_hand():
    """Sorted .01, .02, .03, .04 times 4, 3, 2, 1: .04, .06, .06, .04, and no later one below an earlier."""
    assert holm([0.04, 0.01, 0.03, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.4, 0.6]).tolist() == [0.8, 0.8]
    assert holm([]).tolist() == []


@given(P_VALUES)
def test_holm_keeps_the_order_lowers_no_p_and_is_no_stricter_than_bonferroni(values):
    p, adjusted = np.array(values), holm(values)
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert (p <= adjusted).all()
    assert (adjusted <= np.minimum(1, len(p) * p)).all()
    assert adjusted[order[0]] == min(1, len(p) * p[order[0]])


@given(P_VALUES, st.data())
def test_a_smaller_p_raises_no_adjusted_one(values, data):
    """So that the smallest p values there can be bound the adjusted ones."""
    smaller = [data.draw(st.floats(1e-9, p)) for p in values]
    assert (holm(smaller) <= holm(values) * (1 + 1e-12)).all()


def test_ranks_count_those_that_are_significantly_better():
    near, far = np.array([0.50, 0.52, 0.54, 0.56]), np.array([0.10, 0.12, 0.14, 0.16])
    assert pairwise_ranks([far, near, near + 0.01], True) == [3, 1, 1]
    assert pairwise_ranks([far, near, near + 0.01], False) == [1, 2, 2]
    assert pairwise_ranks([near], True) == [1]


def test_a_rank_is_decided_by_the_corrected_p():
    """p of A over B is 0.030: enough for two models, and not for three."""
    assert 0.05 / 3 < welch(A, B).p < 0.05
    assert pairwise_ranks([A, B], True) == [1, 2]
    assert pairwise_ranks([A, B, (A + 0.5) / 2], True) == [1, 1, 1]


# How many seeds


@pytest.mark.parametrize(("gap", "seeds"), [(0.02, 194), (0.05, 32), (0.08, 14)])
def test_seeds_for_80_per_cent_power_at_an_sd_of_7_hundredths(gap, seeds):
    assert seeds_for_power(gap, (0.0049, 0.0049)) == seeds
    assert seeds_for_power(-gap, (0.0049, 0.0049)) == seeds


def test_power_is_that_of_the_noncentral_t_and_of_a_simulation():
    freedom, shift, edge = 18, 0.08 / math.sqrt(2 * 0.0049 / 10), stats.t.isf(0.025, 18)
    expected = stats.nct.sf(edge, freedom, shift) + stats.nct.cdf(-edge, freedom, shift)
    assert power(10, 0.08, (0.0049, 0.0049)) == pytest.approx(expected, abs=1e-4)
    generator = rng()
    one, two = generator.normal(0.2, 0.1, (2_000, 8)), generator.normal(0, 0.2, (2_000, 8))
    found = np.mean([welch(a, b).p <= 0.05 for a, b in zip(one, two, strict=True)])
    assert power(8, 0.2, (0.01, 0.04)) == pytest.approx(found, abs=0.03)


@given(st.floats(0.01, 1), st.floats(0.001, 1), st.floats(0, 1))
def test_the_number_of_seeds_is_the_first_that_has_the_power(gap, one, two):
    seeds = seeds_for_power(gap, (one, two))
    if seeds is not None and seeds > 3:
        assert power(seeds, gap, (one, two)) >= 0.8 > power(seeds - 1, gap, (one, two))


@pytest.mark.parametrize(("gap", "variances"), [(0, (1, 1)), (0.1, (0, 0)), (1e-6, (1, 1))])
def test_where_no_number_of_seeds_can_be_named(gap, variances):
    assert seeds_for_power(gap, variances) is None
