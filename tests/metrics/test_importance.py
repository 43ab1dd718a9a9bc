"""DCI and IRS: worked by hand, against scikit-learn and plain loops, on oracle codes, and for any finite input."""

import json
import math
import os
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import Lasso

from disentangle_bench import metrics, registry
from disentangle_bench.contracts import CodeTable
from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import dci, importance, irs, score, score_table
from tests.metrics import cases, golden
from tests.metrics.cases import DSPRITES, FACTORS, FINITE, SMALL, codes_of, extremes, few, grid

BOOSTED = ("locatello", "histogram-boosting")
FAST = [protocol for protocol in dci.PROTOCOLS if protocol not in BOOSTED]
DEPTHS = [protocol for protocol, setting in dci.PROTOCOLS.items() if setting.depths]
PROTOCOLS = [("dci", protocol) for protocol in dci.PROTOCOLS] + [("irs", protocol) for protocol in irs.PROTOCOLS]
any_protocol = pytest.mark.parametrize(("name", "protocol"), PROTOCOLS)


def quick(name: str, protocol: str, codes: Any, factors: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """A score under a protocol with few rows, and depths for any number of factors; numpy faults are errors."""
    setting: Any = registry.get("metric", name).protocols[protocol]
    if name == "irs":
        setting = replace(setting, rows=setting.rows and 60)
    else:
        depths = setting.depths and (2,) * int((factors != factors[0]).any(axis=0).sum())
        setting = replace(setting, train=60, test=30, depths=depths)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        result = registry.get("metric", name).compute(
            CodeTable(np.asarray(codes), factors), setting, np.random.default_rng(seed)
        )
    return metrics._plain(result, name)


class TestByHand:
    """Importance matrices and tables small enough to work out on paper."""

    def scores(self, matrix: Any, smoothing: float = 0.0) -> tuple[float, float, float]:
        """D, C weighted by factor mass, C as the plain mean."""
        codes, factors = np.array(matrix, dtype=float), np.array(matrix, dtype=float).T
        return (
            dci.concentration(codes, smoothing, weighted=True),
            dci.concentration(factors, smoothing, weighted=True),
            dci.concentration(factors, smoothing, weighted=False),
        )

    @pytest.mark.parametrize("smoothing", [0.0, 1e-11])
    def test_a_matrix_of_three_codes_and_two_factors(self, smoothing: float) -> None:
        """Codes [3, 1], [0, 4], [0, 0]: rows ¾ ¼ | 0 1 | none, masses ½ ½ 0; columns 1 0 0 | ⅕ ⅘ 0, masses 3/8 5/8."""
        row = 1 - (2 - 0.75 * math.log2(3))  # H_2(¾, ¼) = 2 - ¾ log2 3
        column = 1 - (math.log(5) - 0.8 * math.log(4)) / math.log(3)
        d, weighted, mean = self.scores([[3, 1], [0, 4], [0, 0]], smoothing)
        assert d == pytest.approx((row + 1) / 2, abs=1e-9)
        assert weighted == pytest.approx(3 / 8 + 5 / 8 * column, abs=1e-9)
        assert mean == pytest.approx((1 + column) / 2, abs=1e-9)

    @pytest.mark.parametrize("smoothing", [0.0, 1e-11])
    def test_identity_uniform_and_nothing(self, smoothing: float) -> None:
        assert self.scores(np.eye(4), smoothing) == pytest.approx((1, 1, 1), abs=1e-8)
        assert self.scores(np.ones((3, 4)), smoothing) == pytest.approx((0, 0, 0), abs=1e-8)
        assert self.scores(np.zeros((3, 4)), smoothing) == (0, 0, 0)

    def test_a_code_for_two_of_ten_factors_and_a_factor_in_two_of_ten_codes(self) -> None:
        matrix = np.eye(10)[:, [0, 0, *range(2, 10)]]  # factors 0 and 1 in code 0; code 1 empty
        d, weighted, mean = self.scores(matrix)
        half = 1 - math.log(2) / math.log(10)
        assert d == pytest.approx(0.2 * half + 0.8, abs=1e-9)
        assert (weighted, mean) == pytest.approx((1, 1), abs=1e-9)
        assert self.scores(matrix.T / matrix.T.sum(axis=0).clip(1))[2] == pytest.approx((half + 8) / 10, abs=1e-9)

    def test_one_code_is_complete_and_one_factor_is_disentangled(self) -> None:
        assert self.scores([[0.2, 0.8]])[1:] == (1, 1)
        assert self.scores([[0.2], [0.8]])[0] == 1

    def test_a_factor_without_importance_counts_0_in_the_plain_mean_alone(self) -> None:
        assert self.scores([[1, 0], [0, 0]]) == pytest.approx((1, 1, 0.5), abs=1e-9)

    def test_irs_of_two_binary_factors(self) -> None:
        """c = 2a + b over a 2x2 grid: D = 1.5; with a held c moves ½ about its mean, with b held 1: 1 - ½/D = 2/3."""
        factors = grid((2, 2))
        codes = factors @ np.array([[2], [1]])
        assert score("irs", codes, factors, "original")["score"] == pytest.approx(2 / 3, abs=1e-12)

    def test_irs_weighs_codes_by_how_far_they_move(self) -> None:
        """Code a scores 1 at D = ½; code 3(2a + b) scores 2/3 at D = 4.5: (½ + 3) / 5 = 0.7."""
        factors = grid((2, 2))
        codes = np.column_stack([factors[:, 0], 3 * (2 * factors[:, 0] + factors[:, 1])])
        assert score("irs", codes, factors, "original")["score"] == pytest.approx(0.7, abs=1e-12)

    def test_twenty_bins_of_a_factor(self) -> None:
        values = np.arange(40)
        assert np.array_equal(np.unique(irs._groups(values, 20), return_counts=True)[1], np.full(20, 2))
        assert len(np.unique(irs._groups(np.arange(3), 20))) == 3
        assert np.array_equal(irs._groups(values, None), values)


class TestReferences:
    """The same draws, fitted and reduced by scikit-learn and scipy from the text of each source."""

    def test_locatello_is_gradient_boosting_on_the_codes_as_they_are(self) -> None:
        codes, factors = oracle_codes(FACTORS, "rotated", 1) * [1, 20, 0.01] + [0, 5, 0], FACTORS
        setting = replace(dci.PROTOCOLS["locatello"], train=200, test=100)
        ours = dci.dci(CodeTable(codes, factors), setting, np.random.default_rng(3))
        rng = np.random.default_rng(3)
        train, test, seeds = rng.integers(24, size=200), rng.integers(24, size=100), rng.integers(2**31, size=3)
        matrix, accuracy = np.zeros((3, 3)), []
        for k in range(3):
            model = GradientBoostingClassifier(random_state=int(seeds[k])).fit(codes[train], factors[train, k])
            matrix[:, k] = model.feature_importances_
            accuracy.append(model.score(codes[test], factors[test, k]))
        d = (1 - scipy.stats.entropy(matrix.T + 1e-11, base=3)) @ matrix.sum(axis=1) / matrix.sum()
        c = (1 - scipy.stats.entropy(matrix + 1e-11, base=3)) @ matrix.sum(axis=0) / matrix.sum()
        assert ours["disentanglement"] == pytest.approx(d, abs=1e-6)
        assert ours["completeness"] == pytest.approx(c, abs=1e-6)
        assert ours["informativeness"] == pytest.approx(np.mean(accuracy))
        assert np.allclose(ours["importance"], matrix, atol=1e-6)

    @pytest.mark.parametrize("protocol", ["ib-gan", "infogan-cr-lasso"])
    def test_regressors_are_scikit_learns_on_standardised_codes_and_factors(self, protocol: str) -> None:
        factors = grid(SMALL)
        codes = oracle_codes(factors, "rotated", 2) * np.arange(1, 6) - 3
        ours = dci.dci(CodeTable(codes, factors), dci.PROTOCOLS[protocol], np.random.default_rng(3))
        rng = np.random.default_rng(3)
        train = rng.integers(len(codes), size=10_000 if protocol == "ib-gan" else 768)
        test, seeds = rng.integers(len(codes), size=5_000), rng.integers(2**31, size=5)
        mean, std = codes[train].mean(axis=0), codes[train].std(axis=0)
        x = (codes - mean) / std
        y = (factors - factors[train].mean(axis=0)) / factors[train].std(axis=0)
        matrix, informative = np.zeros((5, 5)), []
        for k, depth in enumerate([4, 2, 4, 2, 2]):
            model: Any = Lasso(alpha=0.02)
            if protocol == "ib-gan":
                model = RandomForestRegressor(n_estimators=10, max_depth=depth, random_state=int(seeds[k]))
            model.fit(x[train], y[train, k])
            matrix[:, k] = model.feature_importances_ if protocol == "ib-gan" else abs(model.coef_)
            informative.append(max(0, 1 - np.sqrt(1 - model.score(x[test], y[test, k]))))
        d = (1 - scipy.stats.entropy(matrix.T, base=5)) @ matrix.sum(axis=1) / matrix.sum()
        c = np.mean(1 - scipy.stats.entropy(matrix, base=5))
        assert np.allclose(ours["importance"], matrix, atol=1e-6)
        assert (ours["disentanglement"], ours["completeness"]) == pytest.approx((d, c), abs=1e-6)
        assert ours["informativeness"] == pytest.approx(np.mean(informative), abs=1e-6)

    def test_the_gain_of_histogram_boosting_is_that_of_its_splits(self) -> None:
        """A boosted stump has one split a class and stage: all gain on the feature that tells the classes apart."""
        rng = np.random.default_rng(0)
        features = rng.standard_normal((300, 3))
        model = HistGradientBoostingClassifier(max_iter=5, max_depth=1).fit(features, features[:, 1] > 0)
        assert importance._gain(model, 3).tolist() == [0, 1, 0]
        both = (features[:, 1] > 0) * 1 + 2 * (features[:, 2] > 0)
        gain = importance._gain(HistGradientBoostingClassifier(max_iter=20, max_depth=2).fit(features, both), 3)
        assert gain.sum() == pytest.approx(1)
        assert gain[0] < 0.05
        assert gain[1] == pytest.approx(0.5, abs=0.1)

    @pytest.mark.parametrize(("protocol", "bins", "q"), [("locatello", 20, 0.99), ("original", None, 1.0)])
    def test_irs_is_the_sources_loop(self, protocol: str, bins: int | None, q: float) -> None:
        factors = grid((3, 30, 4))
        codes = oracle_codes(factors, "rotated", 4) * [1, 7, 0.3]
        ours = irs.irs(CodeTable(codes, factors), irs.PROTOCOLS[protocol], np.random.default_rng(5))["score"]
        if protocol == "locatello":
            rows = np.random.default_rng(5).integers(len(codes), size=10_000)
            codes, factors = codes[rows], factors[rows]
        reach = abs(codes - codes.mean(axis=0)).max(axis=0)
        total = np.zeros((3, 3))
        for k in range(3):
            column = factors[:, k]
            values = column if bins is None else np.digitize(column, np.histogram(column, bins)[1][:-1])
            for value in set(values.tolist()):
                group = codes[values == value]
                total[:, k] += np.quantile(abs(group - group.mean(axis=0)), q, axis=0) / len(set(values.tolist()))
        expected = np.average((1 - total / reach[:, None]).max(axis=1), weights=reach)
        assert ours == pytest.approx(expected, abs=1e-12)


def whole(kind: str, seed: int = 0) -> np.ndarray:
    """The codes of all of dSprites by an oracle that tells all orientations apart."""
    return cases.whole(kind, seed, see_all=True).codes


class TestOracles:
    """Codes with a known relation to the factors of dSprites have known scores."""

    @pytest.mark.parametrize("protocol", FAST)
    @pytest.mark.parametrize("kind", ["ideal", "constant-added"])
    def test_a_perfect_code_is_disentangled_and_complete(self, kind: str, protocol: str) -> None:
        result = score("dci", whole(kind), grid(DSPRITES), protocol)
        assert (result["disentanglement"], result["completeness"]) == pytest.approx((1, 1), abs=1e-3)
        assert result["active_codes"] == 5, "constants must not count"
        assert result["informativeness"] > 0.78

    @pytest.mark.parametrize(
        ("protocol", "expected"), [("ib-gan", 0.7), ("robust", 0.7), ("infogan-cr-lasso", 1), ("original", 1)]
    )
    def test_a_code_twice_is_disentangled_and_half_as_complete_to_trees(self, protocol: str, expected: float) -> None:
        result = score("dci", whole("duplicated"), grid(DSPRITES), protocol)
        assert result["disentanglement"] == pytest.approx(1, abs=1e-3)
        assert result["completeness"] == pytest.approx(expected, abs=0.03)  # 1 - ln 2 / ln 10 = .699

    @pytest.mark.parametrize("protocol", ["ib-gan", "infogan-cr-lasso", "robust"])
    def test_random_codes_are_neither(self, protocol: str) -> None:
        result = score("dci", whole("random"), grid(DSPRITES), protocol)
        assert result["disentanglement"] < 0.14
        assert result["completeness"] < 0.11
        assert result["informativeness"] < 0.15

    def test_rotated_codes_lie_between(self) -> None:
        found = [score("dci", whole("rotated", seed), grid(DSPRITES), "ib-gan", seed) for seed in range(3)]
        assert 0.3 < np.mean([result["disentanglement"] for result in found]) < 0.8

    @pytest.mark.parametrize("protocol", BOOSTED)
    def test_boosting_with_1000_rows(self, protocol: str) -> None:
        """1, 1, 1 on ideal codes, and no disentanglement in ten random ones; two of the factors, as each takes long."""
        setting = replace(dci.PROTOCOLS[protocol], train=1_000, test=500)
        factors = grid(DSPRITES)[:, :2]
        ideal, noise = (
            dci.dci(CodeTable(whole(kind), factors), setting, np.random.default_rng(0)) for kind in ("ideal", "random")
        )
        assert [ideal[key] for key in dci.METRIC.keys] == pytest.approx([1, 1, 1], abs=0.02)
        assert noise["disentanglement"] < 0.05
        assert noise["informativeness"] < 0.3

    @pytest.mark.slow
    @pytest.mark.parametrize("protocol", BOOSTED)
    def test_boosting_in_full(self, protocol: str) -> None:
        result = score("dci", whole("ideal"), grid(DSPRITES), protocol)
        assert [result[key] for key in dci.METRIC.keys] == pytest.approx([1, 1, 1], abs=0.01)

    @pytest.mark.parametrize(
        ("kind", "locatello", "original", "robust"),
        [
            ("ideal", 0.986, 1, 1),
            ("constant-added", 0.986, 1, 1),
            ("duplicated", 0.986, 1, 1),
            ("random", 0.36, 0.16, 0.0),
            ("constant", 0, 0, 0),
        ],
    )
    def test_irs(self, kind: str, locatello: float, original: float, robust: float) -> None:
        for protocol, expected in (("locatello", locatello), ("original", original), ("robust", robust)):
            result = score("irs", whole(kind), grid(DSPRITES), protocol)
            assert result["score"] == pytest.approx(expected, abs=0.02), protocol
            assert result["active_codes"] == {"duplicated": 10, "random": 10, "constant": 0}.get(kind, 5)

    def test_irs_of_rotated_codes_and_of_a_sum(self) -> None:
        scores = [score("irs", whole("rotated", seed), grid(DSPRITES), "locatello", seed)["score"] for seed in range(8)]
        assert np.mean(scores) == pytest.approx(0.488, abs=0.04)
        summed = whole("ideal").sum(axis=1, keepdims=True)
        assert score("irs", summed, grid(DSPRITES), "locatello")["score"] == pytest.approx(0.369, abs=0.02)

    @pytest.mark.parametrize("protocol", FAST)
    def test_constants_score_0(self, protocol: str) -> None:
        result = score("dci", oracle_codes(grid(SMALL), "constant"), grid(SMALL), protocol)
        assert [result[key] for key in ("disentanglement", "completeness", "active_codes")] == [0, 0, 0]
        assert result["informativeness"] == (pytest.approx(0.19, abs=0.03) if protocol == "robust" else 0)

    @pytest.mark.parametrize("name", ["dci", "irs"])
    def test_degrading_a_code_lowers_the_score(self, name: str) -> None:
        ideal, noise = oracle_codes(grid(SMALL), "ideal"), np.random.default_rng(0).standard_normal((7680, 5))
        results = [score(name, ideal + amount * noise, grid(SMALL), "robust") for amount in (0, 0.7, 30)]
        for key in registry.get("metric", name).keys:
            scores = [result[key] for result in results]
            assert scores == sorted(scores, reverse=True), key
            assert scores[0] > scores[-1] + 0.3, key


class TestAnyInput:
    """Any finite codes give numbers within the range, and no numpy fault."""

    @any_protocol
    @few(8)
    @given(codes=codes_of(FINITE), seed=st.integers(0, 2**32))
    @extremes
    def test_finite_and_in_range(self, name: str, protocol: str, codes: np.ndarray, seed: int) -> None:
        result = quick(name, protocol, codes, FACTORS, seed)
        assert all(0 <= result[key] <= 1 for key in registry.get("metric", name).keys)
        assert 0 <= result["active_codes"] <= codes.shape[1]

    @any_protocol
    @pytest.mark.parametrize("dtype", [bool, np.int8, np.float32])
    def test_other_types_score_as_their_float64(self, name: str, protocol: str, dtype: type) -> None:
        codes = (FACTORS % 3).astype(dtype)
        assert quick(name, protocol, codes, FACTORS) == quick(name, protocol, codes.astype(float), FACTORS)

    @any_protocol
    def test_a_large_mean_and_a_power_of_two_cost_no_digits(self, name: str, protocol: str) -> None:
        before, after = (quick(name, protocol, codes, FACTORS) for codes in (FACTORS, FACTORS * 4.0 + 2**20))
        for key in registry.get("metric", name).keys:
            assert after[key] == pytest.approx(before[key], abs=1e-9)

    @any_protocol
    def test_single_valued_factors_are_left_out_and_listed(self, name: str, protocol: str) -> None:
        codes = oracle_codes(FACTORS, "rotated")
        more = quick(name, protocol, codes, np.insert(FACTORS, 1, 7, axis=1))
        assert more["left_out"] == ["factor1"]
        without = quick(name, protocol, codes, FACTORS)
        for key in registry.get("metric", name).keys:
            assert more[key] == without[key]
        if name == "dci":
            assert np.array_equal(np.delete(more["importance"], 1, axis=1), without["importance"])
            assert not np.array(more["importance"])[:, 1].any()

    @pytest.mark.parametrize("protocol", DEPTHS)
    def test_five_depths_take_five_factors(self, protocol: str) -> None:
        assert "5 factors, and in this data 3 vary" in score("dci", FACTORS, FACTORS, protocol)["skip"]
        six = np.insert(grid((2, 2, 2, 2, 2)), 0, 0, axis=1)
        assert score("dci", six, six, protocol)["left_out"] == ["factor0"], "a colour that never changes has no depth"

    @any_protocol
    def test_nothing_to_predict_is_a_reason_and_one_factor_is_not(self, name: str, protocol: str) -> None:
        codes = np.random.default_rng(0).standard_normal((24, 2))
        assert set(score(name, codes, np.zeros((24, 2), int), protocol)) == {"skip"}
        one = quick(name, protocol, FACTORS, FACTORS[:, [2]])
        assert all(0 <= one[key] <= 1 for key in registry.get("metric", name).keys)
        assert name == "irs" or one["disentanglement"] == 1

    @any_protocol
    def test_one_code_and_two_rows(self, name: str, protocol: str) -> None:
        one = quick(name, protocol, FACTORS[:, [2]], FACTORS)
        assert name == "irs" or one["completeness"] > 0
        two = quick(name, protocol, [[0.0], [1.0]], np.array([[0, 0], [1, 1]]))
        assert name == "irs" or all(0 <= two[key] <= 1 for key in registry.get("metric", name).keys)
        assert name != "irs" or set(two) == {"skip"}, "no two rows share a value"

    @pytest.mark.parametrize("estimator", ["forest-classifier", "boosting", "histogram-boosting", "forest", "lasso"])
    def test_classes_missing_from_either_split(self, estimator: Any) -> None:
        features = np.arange(40.0)[:, None]
        fitted = importance.predict_factor(estimator, features, np.arange(40) // 5, 20, 3, 0)
        assert fitted[1] == 0 or estimator == "lasso", "no class that is judged was ever seen, but a line goes on"
        single = importance.predict_factor(estimator, features, (np.arange(40) >= 30) * 1, 20, 3, 0)
        assert not single[0].any()
        assert single[1] == (0 if estimator in ("forest", "lasso") else 0.5)


class TestSymmetries:
    @pytest.mark.parametrize("name", ["dci", "irs"])
    @pytest.mark.parametrize("kind", ["ideal", "rotated"])
    def test_robust_knows_neither_scale_nor_shift_nor_sign_nor_order(self, name: str, kind: str) -> None:
        codes = oracle_codes(grid(SMALL), kind)
        moved = (codes * [1e-3, -7.0, 1e9, -1.0, 0.3] + [5.0, 0.0, 1e10, -2.0, 1.0])[:, [3, 1, 4, 0, 2]]
        before, after = (score(name, c, grid(SMALL), "robust") for c in (codes, moved))
        for key in registry.get("metric", name).keys:  # a forest draws the codes' order at each split
            assert after[key] == pytest.approx(before[key], abs=0.02 if name == "dci" else 1e-9)

    @pytest.mark.parametrize("name", ["dci", "irs"])
    def test_constants_change_nothing_under_robust(self, name: str) -> None:
        codes = oracle_codes(grid(SMALL), "rotated")
        more = np.insert(codes, [0, 2, 5], [0.0, 1e6, -3.0], axis=1)
        before, after = (score(name, c, grid(SMALL), "robust") for c in (codes, more))
        assert all(after[key] == before[key] for key in (*registry.get("metric", name).keys, "active_codes"))

    def test_factor_labels_may_be_any_whole_numbers_to_a_classifier(self) -> None:
        codes = oracle_codes(FACTORS, "rotated")
        for protocol in (*BOOSTED, "robust"):
            assert quick("dci", protocol, codes, FACTORS * 10 - 7) == quick("dci", protocol, codes, FACTORS)

    @pytest.mark.parametrize("name", ["dci", "irs"])
    def test_identical_images_are_one_value_under_robust(self, name: str) -> None:
        result = score_table(name, golden.table("ideal"), "robust")
        assert all(result[key] == pytest.approx(1, abs=5e-3) for key in registry.get("metric", name).keys)

    def test_an_outlier_moves_robust_little(self) -> None:
        codes = oracle_codes(grid(SMALL), "ideal")
        codes[:3] = 1e6
        assert score("irs", codes, grid(SMALL), "robust")["score"] > 0.98
        assert score("dci", codes, grid(SMALL), "robust")["disentanglement"] > 0.98


class TestInterface:
    @any_protocol
    def test_same_seed_same_bytes(self, name: str, protocol: str) -> None:
        codes = oracle_codes(FACTORS, "rotated") + 0.1 * np.random.default_rng(0).standard_normal((24, 3))
        first, second, other = (json.dumps(quick(name, protocol, codes, FACTORS, seed)) for seed in (3, 3, 4))
        assert first == second
        assert first != other or protocol == "original", "the original takes every row once"

    def test_the_number_of_cores_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        codes = oracle_codes(FACTORS, "rotated")
        results = []
        for cores in (1, 3):
            monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
            results.append(json.dumps(quick("dci", "locatello", codes, FACTORS)))
        assert results[0] == results[1]

    def test_a_slow_protocol_says_its_cost_before_it_starts(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = []
        stub = replace(dci.METRIC, compute=lambda *arguments: said.append(capsys.readouterr().err) or {"skip": "stub"})
        monkeypatch.setattr(registry, "get", lambda kind, name: stub)
        for protocol in ("locatello", "robust"):
            score("dci", FACTORS, FACTORS, protocol)
        assert said[0] == "dci, locatello: trains 800 boosted trees, about 6 s of processor time\n"
        assert said[1] == ""

    def test_input_is_not_changed(self) -> None:
        codes, factors = oracle_codes(FACTORS, "rotated"), FACTORS.copy()
        kept = codes.copy()
        for name, protocol in PROTOCOLS:
            quick(name, protocol, codes, factors)
        assert np.array_equal(codes, kept)
        assert np.array_equal(factors, FACTORS)
