"""Single-neuron classification: worked by hand, against a plain loop, and on codes with known answers."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import generator, score, snc
from tests.metrics.cases import SMALL, grid


@pytest.mark.parametrize("kind", ["ideal", "constant-added", "duplicated"])
def test_perfect_codes(kind: str) -> None:
    """Drawn rows shift the quantiles off the steps between values, which costs the original some."""
    factors = grid(SMALL)
    original, robust = (score("snc", oracle_codes(factors, kind), factors, name) for name in ("original", "robust"))
    assert 0.75 < original["snc"] < 0.98
    assert (robust["snc"], robust["adjusted"]) == (1, 1)
    assert sorted(set(robust["code_of_factor"])) == [0, 1, 2, 3, 4] or kind == "duplicated"


def test_noise_and_rotations_are_read_beside_chance() -> None:
    factors = grid(SMALL)
    noise, rotated = (score("snc", oracle_codes(factors, kind), factors, "original") for kind in ("random", "rotated"))
    assert noise["snc"] == pytest.approx(noise["chance"], abs=0.03)
    assert noise["adjusted"] < 0.03
    assert noise["chance"] == pytest.approx(np.mean([1 / 3, 1 / 4, 1 / 10, 1 / 8, 1 / 8]), abs=0.01)
    assert 0.15 < rotated["adjusted"] < 0.6


def test_one_code_serves_one_factor() -> None:
    """c = 2a + b of two fair bits tells both, and is given to one; the other is guessed: (1 + ½) / 2."""
    bits = grid((2, 2, 50))[:, :2]
    found = score("snc", (2 * bits[:, [0]] + bits[:, [1]]), bits, "robust")
    assert (found["snc"], found["adjusted"], found["chance"]) == (0.75, 0.5, 0.5)
    assert sorted(found["code_of_factor"]) == [-1, 0]


def test_a_frequent_value_is_chance() -> None:
    """Nine in ten images have one value: always saying it is right nine times in ten, and adjusted to 0."""
    factors = np.column_stack([np.arange(2000) % 10 == 0, np.arange(2000) % 2]).astype(int)
    found = score("snc", np.random.default_rng(0).standard_normal((2000, 3)), factors, "original")
    assert found["accuracy_of"]["factor0"] <= found["chance"] * 2
    assert found["chance"] == pytest.approx((0.9 + 0.5) / 2, abs=0.02)
    assert found["adjusted"] < 0.05


def test_a_factor_of_thousands_of_values_is_a_reason_or_robusts() -> None:
    """A square table of its values would take gigabytes."""
    many = np.random.default_rng(0).permutation(40_000)
    factors = np.column_stack([many, many % 2])
    assert "40,000 values" in score("snc", many[:, None], factors, "original")["skip"]
    assert 0 <= score("snc", many[:, None], factors, "robust")["adjusted"] <= 1


def test_bins_are_cut_where_the_sorted_codes_are() -> None:
    """Of 0 to 9 in three parts: cuts at places 3 and 6."""
    codes = np.arange(10.0)[:, None]
    assert snc._quantile_bins(codes, codes, 3)[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert snc._quantile_bins(codes, np.array([[-5.0], [99.0]]), 3)[:, 0].tolist() == [0, 2]


def test_each_bin_has_a_value_of_its_own() -> None:
    """Both bins hold mostly value 0; only one can stand for it: 5 + 3 right beats 4 + 2."""
    assert snc._one_to_one(np.array([[5, 2], [4, 3]])).tolist() == [0, 1]


def test_the_original_is_a_plain_loop_over_factors_and_codes() -> None:
    factors = grid((2, 3, 4, 20))[:, :3]
    codes = oracle_codes(factors, "rotated", 4) + 0.3 * np.random.default_rng(0).standard_normal((480, 3))
    rng = generator(0, "snc", "original")
    train, test = rng.integers(480, size=10_000), rng.integers(480, size=5_000)

    def binned(d: int, bins: int, rows: np.ndarray) -> np.ndarray:
        cuts = np.sort(codes[train, d])[(np.arange(bins) * 10_000 / bins).astype(int)]
        cuts[0] = -np.inf
        return np.sum([codes[rows, d] >= cut for cut in cuts], axis=0) - 1

    known = [[mutual_info_score(binned(d, k + 2, train), factors[train, k]) for d in range(3)] for k in range(3)]
    match = max(permutations(range(3)), key=lambda order: sum(known[k][d] for k, d in enumerate(order)))
    right = []
    for k, d in enumerate(match):
        bins, values = binned(d, k + 2, train), factors[train, k]
        likely = max(permutations(range(k + 2)), key=lambda order: (np.array(order)[bins] == values).sum())
        right.append((np.array(likely)[binned(d, k + 2, test)] == factors[test, k]).mean())
    found = score("snc", codes, factors, "original")
    assert found["code_of_factor"] == list(match)
    assert found["snc"] == pytest.approx(np.mean(right), abs=1e-12)
