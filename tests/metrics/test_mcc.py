"""The mean correlation coefficient: worked by hand, against scipy and scikit-learn, and on codes with known answers."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import LinearRegression

from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import generator, score
from tests.metrics.cases import SMALL, grid


@pytest.mark.parametrize("protocol", ["pearson", "spearman", "robust"])
def test_perfect_codes_in_any_order_and_sign_are_found(protocol: str) -> None:
    factors = grid((3, 4, 50))
    codes = np.column_stack([-factors[:, 2], 5 + 0 * factors[:, 0], 3 * factors[:, 0], factors[:, 1] - 7])
    found = score("mcc", codes, factors, protocol)
    assert (found["score"], found["r2"]) == (pytest.approx(1), pytest.approx(1))
    assert found["code_of_factor"] == [2, 3, 0]
    assert found["active_codes"] == 3


def test_one_code_serves_one_factor() -> None:
    """c = 2a + b of two fair bits: ρ = 2/√5 with a, 1/√5 with b. It is a's, so b has none, and R² is 4/5 and 1/5."""
    bits = grid((2, 2, 500))[:, :2]
    found = score("mcc", 2 * bits[:, [0]] + bits[:, [1]], bits, "robust")
    assert found["score"] == pytest.approx(2 / 5**0.5 / 2, abs=1e-9)
    assert found["code_of_factor"] == [0, -1]
    assert found["r2"] == pytest.approx(0.5, abs=0.03)


def test_two_codes_are_shared_out_for_the_best_sum() -> None:
    """Both factors are best followed by code 0; giving it to b and code 1 to a is worth more than the other way."""
    rng = np.random.default_rng(0)
    a, b, first, second = rng.integers(50, size=(4, 5000))
    codes = np.column_stack([a + 0.95 * b, a + 0.3 * first + 0.1 * second])
    found = score("mcc", codes, np.column_stack([a, b]), "pearson")
    assert found["code_of_factor"] == [1, 0]
    assert found["correlation"][0][0] < found["correlation"][1][0]


def test_a_monotone_bend_matters_to_pearson_alone() -> None:
    factors = grid(SMALL)
    codes = np.exp(oracle_codes(factors, "ideal") * 2)
    assert score("mcc", codes, factors, "pearson")["score"] < 0.9
    assert score("mcc", codes, factors, "spearman")["score"] == pytest.approx(1)
    assert score("mcc", codes, factors, "robust")["score"] == pytest.approx(1)


def test_a_rotation_keeps_r2_and_noise_has_neither() -> None:
    factors = grid(SMALL)
    rotated = score("mcc", oracle_codes(factors, "rotated", 1), factors, "robust")
    assert rotated["score"] < 0.9
    assert rotated["r2"] == pytest.approx(1, abs=1e-3)  # codes are clipped at both ends
    noise = np.random.default_rng(0).standard_normal((len(factors), 10))
    assert score("mcc", noise, factors, "pearson")["score"] > 0.005, "the best of ten is not 0 by chance"
    assert score("mcc", noise, factors, "robust")["score"] == 0
    assert score("mcc", noise, factors, "robust")["r2"] < 0.002


def test_r2_of_robust_is_of_images_that_were_not_fitted_to() -> None:
    factors = grid((3, 4, 5))
    noise = np.random.default_rng(0).standard_normal((60, 25))
    assert score("mcc", noise, factors, "pearson")["r2"] > 0.3
    assert score("mcc", noise, factors, "robust")["r2"] == 0


@pytest.mark.parametrize("protocol", ["pearson", "spearman"])
def test_it_is_scipys_and_scikit_learns(protocol: str) -> None:
    """Correlations one by one; every matching of three factors to four codes tried."""
    factors = grid((3, 4, 50))
    codes = np.hstack([oracle_codes(factors, "rotated", 3), np.random.default_rng(0).standard_normal((600, 1))])
    rows = generator(0, "mcc", protocol).integers(600, size=10_000)
    c, v = codes[rows], factors[rows]
    correlation = pearsonr if protocol == "pearson" else spearmanr
    rho = np.array([[abs(correlation(c[:, d], v[:, k])[0]) for k in range(3)] for d in range(4)])
    best = max(sum(rho[d, k] for k, d in enumerate(order)) / 3 for order in permutations(range(4), 3))
    found = score("mcc", codes, factors, protocol)
    assert np.allclose(found["correlation"], rho, atol=1e-10)
    assert found["score"] == pytest.approx(best, abs=1e-10)
    assert found["r2"] == pytest.approx(LinearRegression().fit(c, v).score(c, v), abs=1e-10)
