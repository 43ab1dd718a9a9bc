"""Performance profiles and probabilities of improvement: worked out by hand, and by a plain bootstrap beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from disentangle_bench.boards.profiles import performance_profile, probability_of_improvement, weights

runs = st.lists(
    st.integers(1, 6).flatmap(lambda n: arrays(np.float64, n, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))),
    min_size=1, max_size=3,
)  # fmt: skip


def rng():
    return np.random.default_rng(0)


def test_a_profile_worked_by_hand():
    """Of (.2, .4, .4, .8) and of (.1, .5) the shares above τ, averaged over the two tasks and not over the runs."""
    tasks = [np.array([0.2, 0.4, 0.4, 0.8]), np.array([0.1, 0.5])]
    taus = np.array([0.0, 0.1, 0.2, 0.4, 0.5, 0.8])
    by_hand = [1, (1 + 1 / 2) / 2, (3 / 4 + 1 / 2) / 2, (1 / 4 + 1 / 2) / 2, (1 / 4 + 0) / 2, 0]
    assert performance_profile(tasks, taus, rng()).value == pytest.approx(by_hand)


def test_a_score_at_the_threshold_is_not_above_it():
    assert performance_profile([np.array([0.5])], np.array([0.5]), rng()).value.tolist() == [0]


def test_the_band_is_that_of_drawing_each_tasks_runs_anew():
    """Two tasks of two runs, one of each above τ: the sum of two binomials of two, halved twice.

    Its values 0, ¼, ½, ¾, 1 have chances 1/16, 4/16, 6/16, 4/16, 1/16, so 2.5 % lies at 0 and 97.5 % at 1. Of one task
    and one run, drawing anew changes nothing.
    """
    tasks = [np.array([0.0, 1.0])] * 2
    band = performance_profile(tasks, np.array([0.5]), rng())
    assert (band.value, band.low, band.high) == (0.5, 0, 1)
    eight = performance_profile([np.repeat([0.0, 1.0], 4)], np.array([0.5]), rng())  # of 8 draws: P(≤ 1) = .035
    assert (eight.low, eight.high) == (1 / 8, 7 / 8), "P(0) = .004 < .025 < P(≤ 1)"
    one = performance_profile([np.array([1.0])], np.array([0.5]), rng())
    assert (one.low, one.high) == (1, 1)


def test_a_probability_of_improvement_worked_by_hand():
    """(.3, .5) against (.3, .4): ½ + 0 + 1 + 1 of 4; on a second task none: (5/8 + 0) / 2."""
    one, two = [np.array([0.3, 0.5]), np.array([0.1])], [np.array([0.3, 0.4]), np.array([0.2, 0.9, 0.3])]
    assert probability_of_improvement(one, two, rng()).value == pytest.approx(5 / 16)


def test_its_interval_draws_the_runs_of_both_anew():
    """One run of two beats the only other: the share is ½ of a binomial of two: 0, ½, 1 with chances ¼, ½, ¼."""
    found = probability_of_improvement([np.array([0.0, 1.0])], [np.array([0.5])], rng())
    assert (found.value, found.low, found.high) == (0.5, 0, 1)


def test_the_bootstrap_agrees_with_one_written_plainly():
    draw = np.random.default_rng(1)
    one, two = [draw.normal(0.3, 1, 8), draw.normal(0, 1, 6)], [draw.normal(0, 1, 5), draw.normal(0, 1, 7)]
    again = lambda x: x[draw.integers(len(x), size=len(x))]  # noqa: E731
    plain = [
        np.mean([(again(x)[:, None] > again(y)).mean() for x, y in zip(one, two, strict=True)]) for _ in range(4_000)
    ]
    found = probability_of_improvement(one, two, rng(), resamples=4_000)
    assert [found.low, found.high] == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.02)


@given(runs)
def test_a_profile_falls_from_one_to_none(tasks):
    taus = np.linspace(-0.5, 1, 7)
    found = performance_profile(tasks, taus, rng(), resamples=50)
    for shares in (found.value, found.low, found.high):
        assert (np.diff(shares) <= 1e-12).all()
        assert shares[0] == pytest.approx(1)
        assert shares[-1] == 0


@given(runs)
def test_of_two_each_improves_on_the_other_in_what_is_left(tasks):
    other = [runs[::-1] * 0.5 for runs in tasks]
    there, back = (probability_of_improvement(a, b, rng(), 20).value for a, b in ((tasks, other), (other, tasks)))
    assert there + back == pytest.approx(1)
    assert probability_of_improvement(tasks, tasks, rng(), 20).value == pytest.approx(0.5)


def test_weights_are_those_of_drawing_with_replacement():
    drawn = weights(4, 1_000, rng())
    assert drawn.sum(axis=1) == pytest.approx(1)
    assert drawn.mean() == pytest.approx(1 / 4)
    assert drawn.var() == pytest.approx(3 / 64, rel=0.1), "of a binomial of 4 at ¼, over 4: ¾ / 16"
