"""What these metrics promise whatever they compute: a number in range for any finite codes, and the symmetries of
`robust`."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentangle_bench import registry
from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import score, score_table
from tests.metrics import golden
from tests.metrics.cases import FACTORS, FINITE, codes_of, extremes, few, grid

METRICS = ("infomec", "mcc", "jemmig", "dci-es", "snc", "omes", "minimality-sufficiency")
PROTOCOLS = [
    (name, protocol)
    for name in METRICS
    for protocol in registry.get("metric", name).protocols
    if protocol not in registry.get("metric", name).slow
    and (name, protocol) not in golden.DIALECTS - {("infomec", "original-quantised")}
]
PAIRS = ("omes",)
"""Metrics that need two images that differ in one factor alone, or share all others."""
CLASSIFIED = {"explicitness": 0.02, "disentanglement": 0.03, "completeness": 0.03, "informativeness": 0.03}
"""By how much a score moves where a classifier's iterations round differently, or a tree takes another split."""

LITTLE = grid((3, 4, 10, 8))

any_protocol = pytest.mark.parametrize(("name", "protocol"), PROTOCOLS)
any_metric = pytest.mark.parametrize("name", METRICS)


def strict(name: str, protocol: str, codes: Any, factors: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """A score in which numpy's faults are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return score(name, codes, factors, protocol, seed)


def in_range(name: str, result: dict[str, Any]) -> bool:
    low, high = registry.get("metric", name).range
    return all(low <= result[key] <= high for key in registry.get("metric", name).keys)


@any_protocol
@few(2)
@given(codes=codes_of(FINITE), seed=st.integers(0, 2**32))
@extremes
def test_finite_codes_score_within_the_range_and_without_a_warning(
    name: str, protocol: str, codes: np.ndarray, seed: int
) -> None:
    result = strict(name, protocol, codes, FACTORS, seed)
    assert in_range(name, result)
    assert 0 <= result["active_codes"] <= codes.shape[1]


@any_protocol
@pytest.mark.parametrize("dtype", [np.int8, bool, np.float32])
def test_other_types_score_as_their_float64(name: str, protocol: str, dtype: type) -> None:
    codes = (FACTORS % 3).astype(dtype)
    assert score(name, codes, FACTORS, protocol) == score(name, codes.astype(float), FACTORS, protocol)


@any_protocol
def test_single_valued_factors_are_left_out_and_named(name: str, protocol: str) -> None:
    codes, more = oracle_codes(FACTORS, "rotated"), np.insert(FACTORS, 1, 7, axis=1)
    with_colour = score(name, codes, more, protocol, factor_names=("a", "colour", "b", "c"))
    without = score(name, codes, FACTORS, protocol)
    assert with_colour["left_out"] == ["colour"]
    assert all(with_colour[key] == without[key] for key in registry.get("metric", name).keys)


@any_protocol
def test_nothing_to_tell_apart_is_a_reason_and_so_is_one_image(name: str, protocol: str) -> None:
    codes = np.random.default_rng(0).standard_normal((24, 2))
    assert set(score(name, codes, np.zeros((24, 2), int), protocol)) == {"skip"}
    assert set(strict(name, protocol, [[1.0, 2.0]], np.array([[3, 4]]))) == {"skip"}
    assert in_range(name, strict(name, protocol, codes, FACTORS[:, [2]])), "one factor is enough"


@any_protocol
def test_two_images(name: str, protocol: str) -> None:
    result = strict(name, protocol, [[0.0], [1.0]], np.array([[0, 0], [1, 1]]))
    assert set(result) == {"skip"} if name in PAIRS else in_range(name, result)


@any_protocol
def test_constants_score_0(name: str, protocol: str) -> None:
    result = strict(name, protocol, oracle_codes(FACTORS, "constant"), FACTORS)
    assert result["active_codes"] == 0
    assert in_range(name, result)
    at_chance = ("informativeness", "snc")  # accuracies
    assert all(result[key] == 0 for key in registry.get("metric", name).keys if key not in at_chance)


@any_protocol
def test_a_value_that_one_image_has(name: str, protocol: str) -> None:
    """Most draws miss it in training, in test, or in both."""
    rng = np.random.default_rng(0)
    factors = np.tile(grid((3, 3)), (40, 1))
    factors[0] = 9
    codes = np.round(factors + 0.3 * rng.standard_normal(factors.shape), 1)
    for seed in range(3):
        assert in_range(name, strict(name, protocol, codes, factors, seed))


@any_protocol
def test_same_seed_same_bytes_and_the_input_stays(name: str, protocol: str) -> None:
    codes, factors = oracle_codes(grid((3, 4, 5)), "rotated"), grid((3, 4, 5)).copy()
    kept = codes.copy(), factors.copy()
    first, second = (json.dumps(score(name, codes, factors, protocol, seed=3)) for _ in range(2))
    assert first == second
    assert np.array_equal(codes, kept[0])
    assert np.array_equal(factors, kept[1])


@any_metric
@few(3)
@given(seed=st.integers(0, 1000))
def test_robust_knows_neither_order_nor_sign_nor_scale_nor_shift(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = oracle_codes(grid((3, 4, 30)), "rotated", seed) + 0.1 * rng.standard_normal((360, 3))
    order, sign = rng.permutation(3), rng.choice([-1.0, 1.0], size=3)
    scale = 10.0 ** rng.integers(-100, 100, size=3)
    moved = sign * (codes * scale + scale * rng.uniform(-100, 100, size=3))
    before, after = (score(name, c, grid((3, 4, 30)), "robust") for c in (codes, moved[:, order]))
    assert after["active_codes"] == before["active_codes"]
    for key in registry.get("metric", name).keys:
        assert after[key] == pytest.approx(before[key], abs=CLASSIFIED.get(key, 1e-9)), key


@any_metric
@pytest.mark.parametrize("kind", ["ideal", "rotated"])
def test_constants_change_nothing_under_robust(name: str, kind: str) -> None:
    codes = oracle_codes(LITTLE, kind)
    more = np.insert(codes, [0, 2, codes.shape[1]], [0.0, 1e6, -3.0], axis=1)
    before, after = (score(name, c, LITTLE, "robust") for c in (codes, more))
    for key in (*registry.get("metric", name).keys, "active_codes"):
        assert after[key] == pytest.approx(before[key], rel=1e-12), key


@any_metric
def test_identical_images_are_one_value_under_robust(name: str) -> None:
    result = score_table(name, golden.table("ideal"), "robust")
    for key in registry.get("metric", name).keys:
        assert result[key] == pytest.approx(1, abs=0.03), key  # the depth that a tree needs costs .02


@any_metric
def test_degrading_a_code_lowers_every_score_of_robust(name: str) -> None:
    ideal, factors = oracle_codes(LITTLE, "ideal"), LITTLE
    noise = np.random.default_rng(0).standard_normal(ideal.shape)
    results = [score(name, ideal + amount * noise, factors, "robust") for amount in (0, 0.7, 30)]
    for key in [key for key in registry.get("metric", name).keys if key != "size"]:
        assert results[0][key] > results[2][key] + 0.15, key
