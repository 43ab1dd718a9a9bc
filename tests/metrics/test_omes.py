"""OMES: worked by hand, against plain loops, and on codes with known answers."""

import numpy as np
import pytest

from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import omes, score
from tests.metrics.cases import SMALL, grid


def parts(moved: list[list[float]], pooling: str = "mean") -> list[float]:
    """Overlap and multiple encoding of S, one row a code."""
    s = np.array(moved)
    return [omes._pooled(s, share, pooling) for share in omes._shares(s)]


class TestByHand:
    def test_a_matching_is_perfect_and_nothing_is_0(self) -> None:
        assert parts(np.eye(3).tolist()) == [1, 1]
        assert parts([[0, 0], [0, 0]]) == [0, 0]
        assert omes._pooled(np.zeros((0, 3)), omes._shares(np.zeros((0, 3)))[0], "mean") == 0

    def test_a_code_that_all_factors_move(self) -> None:
        """S = 1 for both factors: O = 1 - (0 + 1) / 2 = ½ each. Of one code, M = 1."""
        assert parts([[1, 1]]) == [0.5, 1]

    def test_a_factor_that_moves_two_codes(self) -> None:
        assert parts([[1], [1]]) == [1, 0.5]

    def test_the_weights_are_how_far_a_factor_moves_each_code(self) -> None:
        """S = (1, ½) of two codes and one factor: O = (1, ½), M = 1 - ½ (0 + ½) = ¾ and 1 - ½ (1 + ½) = ¼."""
        moved = [[1.0], [0.5]]
        assert parts(moved) == [pytest.approx((1 + 0.5 * 0.25) / 1.5), pytest.approx((0.75 + 0.25 * 0.25) / 1.5)]
        assert parts(moved, "largest") == [1, 0.75]

    def test_plain_loops_over_the_definition(self) -> None:
        moved = np.random.default_rng(0).random((4, 3))
        overlap, multiple = np.empty((4, 3)), np.empty((4, 3))
        for d in range(4):
            for k in range(3):
                overlap[d, k] = 1 - np.mean([abs((j == k) - moved[d, j]) for j in range(3)])
                multiple[d, k] = 1 - np.mean([abs((e == d) - moved[e, k]) for e in range(4)])
        assert np.allclose(omes._shares(moved), (overlap, multiple))
        pooled = np.mean([np.average(overlap[:, k] * moved[:, k], weights=moved[:, k]) for k in range(3)])
        assert omes._pooled(moved, overlap, "mean") == pytest.approx(pooled)


class TestPairs:
    @pytest.mark.parametrize("protocol", ["original", "robust"])
    def test_they_share_all_factors_but_one(self, protocol: str) -> None:
        values = grid((3, 4, 5))
        for k in range(3):
            first, second = omes._pairs(values, k, omes.PROTOCOLS[protocol], np.random.default_rng(0))
            assert len(first) == 60
            same = values[first] == values[second]
            assert np.delete(same, k, axis=1).all()
            assert same[:, k].any() == (protocol == "robust")

    def test_images_without_company_and_copies_make_none(self) -> None:
        """Rows 0 and 1 differ in factor 0 alone, rows 2 and 3 are copies, row 4 is by itself."""
        values = np.array([[0, 0], [1, 0], [3, 1], [3, 1], [2, 2]])
        first, second = omes._pairs(values, 0, omes.PROTOCOLS["original"], np.random.default_rng(0))
        assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (1, 0)]
        found = score("omes", values, values, "original", factor_names=("a", "b"))
        assert found["skip"] == "no two images differ in b alone"

    def test_many_factors_of_many_values_don_t_overflow(self) -> None:
        rng = np.random.default_rng(0)
        values = np.stack([rng.permutation(2000) for _ in range(7)], axis=1)
        values[1] = values[0]
        values[1, 3] = values[2, 3]
        first, second = omes._pairs(values, 3, omes.PROTOCOLS["original"], rng)
        assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (1, 0)]


class TestOracles:
    def test_values_drawn_anew_spare_a_code_that_knows_few(self) -> None:
        """Of n values the other is never the same, so ρ = -1 / (n - 1): a binary factor's own code counts 0."""
        factors = grid((2, 3, 9))
        original, robust = (score("omes", factors, factors, protocol) for protocol in ("original", "robust"))
        own = np.diag(original["association"])
        assert own == pytest.approx([0, 1 / 2, 7 / 8], abs=0.15)
        assert own[0] == pytest.approx(0, abs=1e-12)
        assert np.diag(robust["association"]).min() > 0.6
        assert not np.any(np.array(robust["association"])[~np.eye(3, dtype=bool)])

    def test_copies_are_multiple_encoding_and_rotations_are_both(self) -> None:
        factors = grid(SMALL)
        ideal, copied, rotated = (
            score("omes", oracle_codes(factors, kind), factors) for kind in ("ideal", "duplicated", "rotated")
        )
        assert ideal["score"] == pytest.approx(1, abs=0.02)
        assert copied["overlap"] == pytest.approx(ideal["overlap"], abs=0.02)
        assert copied["multiple_encoding"] < ideal["multiple_encoding"] - 0.05
        assert rotated["score"] < 0.6

    def test_a_small_code_is_dropped_by_the_original(self) -> None:
        factors = grid(SMALL)
        codes = oracle_codes(factors, "ideal") * [1, 1, 1, 1, 0.01]
        assert score("omes", codes, factors, "original")["active_codes"] == 4
        assert score("omes", codes, factors, "robust")["active_codes"] == 5

    def test_correlation_is_numpys(self) -> None:
        rng = np.random.default_rng(0)
        first, second = rng.standard_normal((2, 50, 3))
        expected = np.abs(np.diag(np.corrcoef(first, second, rowvar=False)[:3, 3:]))
        assert np.allclose(omes._correlation(first, second), expected)
        assert omes._correlation(np.ones((5, 1)), np.arange(5.0)[:, None]).tolist() == [1]
