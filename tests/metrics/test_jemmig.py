"""JEMMIG: worked by hand, against scikit-learn's information, and on codes with known answers."""

import math

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from disentangle_bench.contracts import CodeTable
from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import discretise, score
from tests.metrics.cases import DSPRITES, SMALL, grid

LN2 = math.log(2)


def test_a_perfect_code_of_dsprites_is_what_ten_bins_resolve() -> None:
    factors = grid(DSPRITES)[::7]  # a number that divides none of the sizes
    found = score("jemmig", factors, factors, "carbonneau")
    assert found["score"] == pytest.approx(0.871, abs=0.002)
    assert score("jemmig", factors, factors, "robust")["score"] == pytest.approx(1, abs=1e-6)


def test_a_code_of_two_bits_and_one_of_one() -> None:
    """Code 0 is both bits: it holds ln 2 more than either. Code 1 is the second bit.

    Factor 0: z* is code 0, H(z*, v) - I = 2 ln 2 - ln 2, the second best knows nothing. Factor 1: z* is the first of
    two that know all, again code 0 with ln 2 to spare, and the second best knows ln 2. In ten bins of a code the
    normaliser is ln 2 + ln 10; in five, two for each value and one, ln 2 + ln 5.
    """
    bits = grid((2, 2, 25))[:, :2]
    codes = np.column_stack([2 * bits[:, 0] + bits[:, 1], bits[:, 1]])
    for protocol, bins in (("carbonneau", 10), ("robust", 5)):
        found = score("jemmig", codes, bits, protocol)
        expected = 1 - np.array([LN2, 2 * LN2]) / (LN2 + math.log(bins))
        assert found["score"] == pytest.approx(expected.mean(), abs=1e-9), protocol
        assert found["code_of_factor"] == [0, 0]


def test_a_second_code_costs_what_it_knows() -> None:
    """Every code twice: I of the second best is all of H(v), over H(v) + ln B."""
    factors = grid((5, 5, 40))[:, :2]
    once, twice = (score("jemmig", np.hstack([factors] * n), factors, "carbonneau")["score"] for n in (1, 2))
    assert once == pytest.approx(1)
    assert twice == pytest.approx(1 - math.log(5) / (math.log(5) + math.log(10)))


def test_a_constant_that_nothing_beats_counts_0() -> None:
    """By the formula it would be log B / (H + log B) = .77."""
    factors = grid((2, 3, 20))
    assert score("jemmig", np.ones((120, 2)), factors[:, :2], "carbonneau")["score"] == 0
    assert score("jemmig", factors[:, [0]], factors[:, :2], "robust")["score"] == pytest.approx(0.5), "one of two known"


def test_noise_in_a_code_costs_what_it_adds() -> None:
    """A code that knows the factor and a bit beside it holds ln 2 to spare, whichever bins tell it."""
    factors = grid((4, 2, 50))
    codes = (factors[:, 0] + 0.4 * factors[:, 1])[:, None]
    found = score("jemmig", codes, factors[:, [0]], "robust")
    assert found["score"] == pytest.approx(1 - LN2 / (math.log(4) + math.log(9)))


@pytest.mark.parametrize("kind", ["rotated", "random", "duplicated"])
def test_it_is_scikit_learns_information_as_the_text_has_it(kind: str) -> None:
    factors = grid(SMALL)
    codes = oracle_codes(factors, kind, 3)
    binned = [np.digitize(code, np.histogram(code, 10)[1][:-1]) for code in codes.T]
    terms = []
    for factor in factors.T:
        known = [mutual_info_score(code, factor) for code in binned]
        second, best = np.sort(known)[-2:]
        own = binned[int(np.argmax(known))]
        joint = mutual_info_score(own * 100 + factor, own * 100 + factor)
        entropy = mutual_info_score(factor, factor)
        terms.append(1 - (joint - best + second) / (entropy + math.log(10)))
    assert score("jemmig", codes, factors, "carbonneau")["score"] == pytest.approx(np.mean(terms), rel=1e-9)


def test_bins_for_each_factor_are_those_of_one_at_a_time() -> None:
    """`information_by_values` ranks a code once for all factors."""
    factors, codes = grid(SMALL), oracle_codes(grid(SMALL), "rotated", 5)
    information, code_entropies, entropies, bins, active = discretise.information_by_values(CodeTable(codes, factors))
    assert bins.tolist() == [7, 9, 21, 17, 17]
    assert active.all()
    for k, count in enumerate(bins):
        numbers = discretise.equal_count(codes, int(count))
        assert np.allclose(code_entropies[:, k], [mutual_info_score(code, code) for code in numbers.T])
        plug_in = np.array([mutual_info_score(code, factors[:, k]) for code in numbers.T])
        bias = (count - 1) * (len(np.unique(factors[:, k])) - 1) / 2 / len(factors)
        assert ((information[:, k] == 0) | (np.abs(plug_in - information[:, k]) < bias * 1.01)).all()
        assert entropies[k] == pytest.approx(math.log(len(np.unique(factors[:, k]))))
