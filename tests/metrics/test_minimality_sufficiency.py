"""Minimality and sufficiency: worked by hand, against scikit-learn's information, and on codes with known answers."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import score
from tests.metrics.cases import SMALL, grid

NAME = "minimality-sufficiency"


@pytest.mark.parametrize("protocol", ["original", "robust"])
def test_a_code_of_two_bits_and_one_of_one(protocol: str) -> None:
    """Code 0 holds both bits, half of it either one's; code 1 is the second. Each bit is held whole."""
    bits = grid((2, 2, 25))[:, :2]
    found = score(NAME, np.column_stack([2 * bits[:, 0] + bits[:, 1], bits[:, 1]]), bits, protocol)
    assert found["minimality"] == pytest.approx((0.5 + 1) / 2)
    assert found["sufficiency"] == pytest.approx(1)


@pytest.mark.parametrize("protocol", ["original", "robust"])
def test_a_factor_that_no_code_holds(protocol: str) -> None:
    found = score(NAME, grid((3, 3, 20))[:, [0, 0]], grid((3, 3, 20))[:, :2], protocol)
    assert (found["minimality"], found["sufficiency"]) == (pytest.approx(1), pytest.approx(0.5))


def test_constants_are_in_no_mean() -> None:
    factors = grid((3, 4, 20))[:, :2]
    found = score(NAME, np.column_stack([factors, np.ones(len(factors))]), factors, "original")
    assert (found["minimality"], found["active_codes"]) == (pytest.approx(1), 2)


def test_noise_holds_what_is_no_factor() -> None:
    factors = grid(SMALL)
    noise = np.random.default_rng(0).standard_normal((len(factors), 5))
    both = np.hstack([oracle_codes(factors, "ideal"), noise])
    assert score(NAME, both, factors, "robust")["minimality"] == pytest.approx(0.5)
    assert score(NAME, both, factors, "robust")["sufficiency"] == pytest.approx(1)
    alone = score(NAME, noise, factors, "robust")
    assert (alone["minimality"], alone["sufficiency"]) == (0, 0)


@pytest.mark.parametrize("kind", ["rotated", "random", "duplicated"])
def test_it_is_scikit_learns_information_as_the_text_has_it(kind: str) -> None:
    factors, codes = grid(SMALL), oracle_codes(grid(SMALL), kind, 3)
    binned = [np.digitize(code, np.histogram(code, 15)[1][:-1]) for code in codes.T]
    known = np.array([[mutual_info_score(code, factor) for factor in factors.T] for code in binned])
    of_code = np.array([mutual_info_score(code, code) for code in binned])
    of_factor = np.array([mutual_info_score(factor, factor) for factor in factors.T])
    found = score(NAME, codes, factors, "original")
    assert found["minimality"] == pytest.approx((known.max(axis=1) / of_code).mean(), rel=1e-9)
    assert found["sufficiency"] == pytest.approx((known / of_factor).max(axis=0).mean(), rel=1e-9)
