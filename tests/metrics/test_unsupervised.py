"""Unsupervised scores, downstream accuracy, UDR, ModelCentrality, and scoring an encoder in one call."""

import json
import math
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import mutual_info_score
from sklearn.model_selection import KFold

from disentangle_bench import metrics, registry
from disentangle_bench.contracts import CodeTable, Dataset
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import (
    classifiers,
    downstream,
    from_representation_function,
    score,
    score_encoder,
    score_table,
)
from disentangle_bench.metrics.model_centrality import PROTOCOLS as CENTRALITY
from disentangle_bench.metrics.model_centrality import Peer, model_centrality, vote_score
from disentangle_bench.metrics.preparation import ROUNDING
from disentangle_bench.metrics.udr import relative_strength, udr
from tests.metrics.cases import EXTREMES, FACTORS, FINITE, codes_of, extremes, few, whole

KEYS = registry.get("metric", "unsupervised").keys
ACCURACIES = registry.get("metric", "downstream").keys
both_protocols = pytest.mark.parametrize("protocol", ["locatello", "robust"])


def correlated(rho: float, rows: int = 200_000) -> np.ndarray:
    """Two standard normal codes of correlation rho, exactly so over all rows."""
    white = np.random.default_rng(0).standard_normal((rows, 2))
    white = np.linalg.qr(white - white.mean(axis=0))[0] * math.sqrt(rows)
    return white @ np.array([[1, rho], [0, math.sqrt(1 - rho**2)]])


class TestUnsupervised:
    @pytest.mark.parametrize("kind", ["ideal", "duplicated", "rotated", "random", "scaled"])
    def test_the_published_formulas_give_the_same_on_the_same_rows(self, kind: str) -> None:
        table = whole(kind)
        ours = score_table("unsupervised", table, "locatello", seed=3)
        codes = table.codes[table.sample(10_000, metrics.generator(3, "unsupervised", "locatello"))]
        cov = np.cov(codes.T)
        if kind != "duplicated":  # infinite there
            expected = 0.5 * (np.log(np.diag(cov)).sum() - np.linalg.slogdet(cov)[1])
            assert ours["total_correlation"] == pytest.approx(expected, abs=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the square root of a singular matrix
            root = np.real(scipy.linalg.sqrtm(cov @ np.diag(np.diag(cov))))
        assert ours["wasserstein_correlation"] == pytest.approx(2 * np.trace(cov) - 2 * np.trace(root), abs=1e-6)
        assert ours["normalised_wasserstein_correlation"] == pytest.approx(
            ours["wasserstein_correlation"] / np.trace(cov), rel=1e-9
        )
        binned = [np.digitize(code, np.histogram(code, 20)[1][:-1]) for code in codes.T]
        information = [mutual_info_score(a, b) for i, a in enumerate(binned) for b in binned[:i]]
        assert ours["mutual_information"] == pytest.approx(np.mean(information), abs=1e-9)

    def test_two_correlated_codes_by_hand(self) -> None:
        """Correlation .6: -½ log(1 - .36) = .2231 and, with eigenvalues 1.6 and .4, 4 - 2(√1.6 + √.4) = .2053."""
        result = score("unsupervised", correlated(0.6), np.arange(200_000)[:, None] % 2, "locatello")
        assert result["total_correlation"] == pytest.approx(0.2231, abs=0.02)
        assert result["wasserstein_correlation"] == pytest.approx(0.2053, abs=0.02)
        assert result["normalised_wasserstein_correlation"] == pytest.approx(0.1026, abs=0.01)

    @both_protocols
    def test_a_copied_code_by_hand(self, protocol: str) -> None:
        """Eigenvalues 2 and 0: -½ log 2 + 21 log 2, the second the cap; 4 - 2√2; and I(c; c) = H(c) = log 4."""
        codes = np.repeat(np.arange(4.0), 25)[:, None] * [1, 1]
        result = score("unsupervised", codes, np.arange(100)[:, None] % 2, protocol)
        variance = 1 if protocol == "robust" else 1.25
        assert result["total_correlation"] == pytest.approx((21 - 0.5) * math.log(2), abs=1e-9)
        assert result["wasserstein_correlation"] == pytest.approx((4 - 2 * math.sqrt(2)) * variance, rel=0.05)
        assert result["normalised_wasserstein_correlation"] == pytest.approx(2 - math.sqrt(2), abs=1e-9)
        assert result["mutual_information"] == pytest.approx(math.log(4), abs=1e-3)
        assert (result["active_codes"], result["singular"]) == (2, 1)

    @both_protocols
    def test_independent_codes_score_0_and_duplicated_ones_the_cap(self, protocol: str) -> None:
        for kind in ("ideal", "random", "rotated"):
            result = score_table("unsupervised", whole(kind), protocol)
            assert result["total_correlation"] < 0.005, kind
            assert result["wasserstein_correlation"] < 0.01, kind
        twice = score_table("unsupervised", whole("duplicated"), protocol)
        assert twice["total_correlation"] == pytest.approx(5 * 20.5 * math.log(2), abs=0.01)
        assert twice["normalised_wasserstein_correlation"] == pytest.approx(2 - math.sqrt(2), abs=0.001)
        assert twice["singular"] == 5

    def test_information_between_codes_sees_what_a_covariance_cannot(self) -> None:
        x = np.random.default_rng(0).uniform(-1, 1, 50_000)
        result = score("unsupervised", np.stack([x, x**2], axis=1), np.arange(50_000)[:, None] % 2, "robust")
        assert result["total_correlation"] < 0.001
        assert result["mutual_information"] > 1

    def test_mutual_information_of_independent_codes_is_the_plug_in_bias(self) -> None:
        """(20 - 1)² / 2N for 20 bins each: .018 for 10,000 rows, a tenth of it for 100,000; the table adds its own."""
        codes = np.random.default_rng(0).uniform(size=(400_000, 2))
        for protocol, rows in {"locatello": 10_000, "robust": 100_000}.items():
            bias = 19**2 / 2 * (1 / rows + 1 / 400_000)
            result = score("unsupervised", codes, np.arange(400_000)[:, None] % 2, protocol)
            assert result["mutual_information"] == pytest.approx(bias, rel=0.25)

    def test_constants_enter_the_mean_of_locatello_alone(self) -> None:
        codes = correlated(0.9, 20_000)
        more = np.insert(codes, [0, 2], [0.1, 1000.0], axis=1)
        factors = np.arange(20_000)[:, None] % 2
        for protocol, share in {"locatello": 6, "robust": 1}.items():  # 4 codes make 6 pairs, 2 make 1
            before, after = (score("unsupervised", each, factors, protocol) for each in (codes, more))
            assert after["mutual_information"] == pytest.approx(before["mutual_information"] / share, rel=1e-12)
            assert after["total_correlation"] == pytest.approx(before["total_correlation"], rel=1e-12)
            assert after["wasserstein_correlation"] == pytest.approx(before["wasserstein_correlation"], rel=1e-12)
            assert after["active_codes"] == 2

    @both_protocols
    @pytest.mark.parametrize("width", [1, 3])
    def test_fewer_than_two_codes_depend_on_nothing(self, protocol: str, width: int) -> None:
        codes = np.column_stack([FACTORS[:, 0], *np.ones((width - 1, 24))])
        for each, active in ((codes, 1), (np.ones((24, width)), 0)):
            result = score("unsupervised", each, FACTORS, protocol)
            assert [result[key] for key in KEYS] == pytest.approx([0, 0, 0], abs=1e-12)
            assert result["active_codes"] == active

    def test_only_the_wasserstein_correlation_of_locatello_has_a_unit(self) -> None:
        """Squared code units: codes a hundredth as large score a ten-thousandth."""
        codes, factors = correlated(0.6, 20_000), np.arange(20_000)[:, None] % 2
        for protocol, change in {"locatello": 1e-4, "robust": 1}.items():
            before, after = (score("unsupervised", each, factors, protocol) for each in (codes, codes / 100))
            assert after["wasserstein_correlation"] == pytest.approx(before["wasserstein_correlation"] * change)
            for key in ("total_correlation", "mutual_information", "normalised_wasserstein_correlation"):
                assert after[key] == pytest.approx(before[key], rel=1e-6)

    def test_outliers_flatten_the_bins_except_under_robust(self) -> None:
        codes = correlated(0.95)
        codes[:20] += 1e4
        factors = np.arange(len(codes))[:, None] % 2
        found = {
            name: score("unsupervised", codes, factors, name)["mutual_information"] for name in ("locatello", "robust")
        }
        assert found["locatello"] < 0.05
        assert found["robust"] > 0.8

    @both_protocols
    def test_more_dependence_raises_all_three(self, protocol: str) -> None:
        factors = np.arange(200_000)[:, None] % 2
        results = [score("unsupervised", correlated(rho), factors, protocol) for rho in (0, 0.5, 0.9, 0.99)]
        for key in KEYS:
            values = [result[key] for result in results]
            assert values == sorted(values), key
            assert values[-1] > values[0] + 0.5, key
        assert not registry.get("metric", "unsupervised").higher_is_better

    def test_a_nearly_copied_code_scores_no_more_than_an_exact_one(self) -> None:
        rng = np.random.default_rng(0)
        code, factors = rng.standard_normal(20_000), np.arange(20_000)[:, None] % 2
        noises = (1.0, 1e-3, 10 * ROUNDING, ROUNDING / 10, 0.0)
        tables = [np.stack([code, code + noise * rng.standard_normal(20_000)], axis=1) for noise in noises]
        results = [score("unsupervised", table, factors, "robust") for table in tables]
        values = [result["total_correlation"] for result in results]
        assert values == pytest.approx(sorted(values), abs=1e-9)
        assert [result["singular"] for result in results] == [0, 0, 0, 1, 1]


class TestDownstream:
    def test_ideal_codes_become_linear_with_enough_labels(self) -> None:
        for kind in ("rotated", "scaled", "constant-added"):
            result = score_table("downstream", whole(kind), "robust")
            assert result["accuracy_10000"] > 0.98, kind
            assert [result[key] for key in ACCURACIES] == sorted(result[key] for key in ACCURACIES), kind

    @pytest.mark.parametrize("kind", ["random", "constant"])
    def test_codes_that_know_nothing_score_chance(self, kind: str) -> None:
        """1/3, 1/6, 1/32, 1/32, and 1/20 for the one orientation of 39 that is two of 40 images."""
        result = score_table("downstream", whole(kind), "robust")
        for key in ACCURACIES:
            assert result[key] == pytest.approx((1 / 3 + 1 / 6 + 2 / 32 + 1 / 20) / 5, abs=0.015)

    @pytest.mark.slow
    def test_the_published_predictor_finds_the_small_penalty(self) -> None:
        result = score_table("downstream", whole("ideal"), "locatello")
        assert result["accuracy_1000"] > 0.9
        assert result["accuracy_10000"] > 0.98

    def test_no_active_code_predicts_the_most_frequent_value(self) -> None:
        factors = np.repeat([0, 1], [300, 100])[:, None]
        for protocol in ("locatello", "robust"):
            result = score("downstream", np.ones((400, 2)), factors, protocol)
            assert result["accuracy_10000"] == pytest.approx(0.75, abs=0.04)
            assert result["active_codes"] == 0

    def test_accuracies_by_factor_average_to_the_score(self, few_labels: None) -> None:
        result = score("downstream", FACTORS * [1, 0, 1], FACTORS, "robust", factor_names=("a", "b", "c"))
        assert list(result["accuracy_of"]) == ["a", "b", "c"]
        assert result["accuracy_40"] == pytest.approx(np.mean(list(result["accuracy_of"].values())))
        assert result["sample_efficiency"] == pytest.approx(result["accuracy_10"] / result["accuracy_40"])
        assert result["accuracy_of"]["a"] == 1 > result["accuracy_of"]["b"]

    def test_training_and_test_images_are_apart_under_robust(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shared = []

        def spy(features: np.ndarray, labels: np.ndarray, informative: bool, protocol: Any) -> np.ndarray:
            train, test = np.split(features[:, 0], [len(labels)])
            shared.append(len(np.intersect1d(train, test)))
            return np.zeros(len(test))

        monkeypatch.setattr(downstream, "_predict", spy)
        codes = np.random.default_rng(0).permutation(np.arange(900.0))[:, None]  # too few to be clipped
        for protocol in ("robust", "locatello"):
            score("downstream", codes, np.arange(900)[:, None] % 2, protocol)
        assert shared[:4] == [0] * 4
        assert min(shared[4:]) > 0

    def test_logistic_regressions_are_scikit_learns(self) -> None:
        rng = np.random.default_rng(0)
        labels = rng.integers(3, size=300)
        features = rng.standard_normal((300, 4)) + np.eye(4)[labels]
        train = np.arange(100)
        ours = classifiers.logistic_regression_cv(features, labels, train)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = LogisticRegressionCV(Cs=np.logspace(-4, 4, 10), cv=KFold(10)).fit(features[:100], labels[:100])
        assert np.array_equal(ours, theirs.predict(features))
        plain = LogisticRegression(C=1e4).fit(features[:100], labels[:100]).predict(features)
        assert np.array_equal(classifiers.logistic_regression(features, labels, train, "lbfgs", 100, 1e4), plain)

    def test_a_fold_without_two_labels_falls_back(self) -> None:
        labels = np.array([0] * 9 + [1] + [0] * 5)
        features = np.arange(15.0)[:, None]
        expected = LogisticRegression().fit(features[:10], labels[:10]).predict(features)
        assert np.array_equal(classifiers.logistic_regression_cv(features, labels, np.arange(10)), expected)

    @both_protocols
    def test_single_valued_factors_are_left_out(self, protocol: str, few_labels: None) -> None:
        more = np.insert(FACTORS, 1, 7, axis=1)
        result = score("downstream", FACTORS, more, protocol, factor_names=("a", "colour", "b", "c"))
        assert result["left_out"] == ["colour"]
        assert "colour" not in result["accuracy_of"]
        assert set(score("downstream", FACTORS, np.zeros((24, 2), int), protocol)) == {"skip"}


@pytest.fixture
def few_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downstream, "SIZES", (5, 10, 20, 40))
    chosen = registry.get("metric", "downstream")
    monkeypatch.setattr(
        registry, "get", lambda kind, name: replace(chosen, keys=("accuracy_40",)) if name == "downstream" else None
    )


any_codes = codes_of(FINITE)


def compute(name: str, protocol: str, codes: np.ndarray, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A score with numpy's faults as errors, checked to be finite."""
    chosen = registry.get("metric", name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        used = replace(chosen.protocols[protocol], **changes)
        result = chosen.compute(CodeTable(codes, FACTORS), used, np.random.default_rng(seed))
    return metrics._plain(result, name)


class TestAnyInput:
    """Any finite codes give finite numbers within the range, and no numpy fault."""

    @both_protocols
    @few(25)
    @given(codes=any_codes, seed=st.integers(0, 2**32))
    @extremes
    def test_unsupervised(self, protocol: str, codes: np.ndarray, seed: int) -> None:
        result = compute("unsupervised", protocol, codes, seed, rows=50)
        cap = -math.log(ROUNDING) * codes.shape[1]
        assert 0 <= result["total_correlation"] <= cap
        assert 0 <= result["normalised_wasserstein_correlation"] <= 2
        assert 0 <= result["mutual_information"] <= math.log(20)
        assert result["wasserstein_correlation"] >= 0

    @both_protocols
    @few(4)
    @given(codes=any_codes, seed=st.integers(0, 2**32))
    @extremes
    def test_downstream(self, protocol: str, codes: np.ndarray, seed: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(downstream, "SIZES", (5, 12))  # the second is cross-validated
            result = compute("downstream", protocol, codes, seed, test_rows=20)
        assert 0 <= result["accuracy_5"] <= 1
        assert 0 <= result["accuracy_12"] <= 1

    @few(25)
    @given(first=any_codes, second=any_codes, protocol=st.sampled_from(["lasso", "spearman"]))
    @example(first=EXTREMES[1], second=EXTREMES[2], protocol="lasso")
    @example(first=EXTREMES[3], second=EXTREMES[4], protocol="spearman")
    @example(first=EXTREMES[0], second=EXTREMES[1], protocol="lasso")
    def test_udr(self, first: np.ndarray, second: np.ndarray, protocol: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            result = udr([first, second], protocol)
        assert np.isfinite(result["pairwise"]).all()
        assert min(result["scores"]) >= 0
        assert max(result["scores"]) <= 1 + 1e-9

    @pytest.mark.parametrize("codes", EXTREMES)
    def test_votes(self, codes: np.ndarray) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            assert 0 <= vote_score(codes.reshape(6, 4, -1), np.arange(6) % 2) <= 1

    @both_protocols
    @few(25)
    @given(data=st.data())
    def test_unsupervised_knows_neither_order_sign_nor_shift(self, protocol: str, data: st.DataObject) -> None:
        rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
        codes = rng.standard_normal((24, 4)) @ rng.standard_normal((4, 4))
        moved = rng.choice([-1.0, 1.0], size=4) * codes[:, rng.permutation(4)] + rng.integers(-8, 8, size=4)
        if protocol == "robust":
            moved = moved * 10.0 ** rng.integers(-50, 50, size=4)
        before, after = (compute("unsupervised", protocol, each, rows=500) for each in (codes, moved))
        for key in ("total_correlation", "wasserstein_correlation"):
            assert after[key] == pytest.approx(before[key], rel=1e-6)
        assert after["mutual_information"] == pytest.approx(before["mutual_information"], rel=0.05)  # a bin's edge

    @both_protocols
    @pytest.mark.parametrize("name", ["unsupervised", "downstream"])
    def test_same_seed_same_bytes(self, name: str, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(downstream, "SIZES", (5, 50))
        codes = oracle_codes(FACTORS, "rotated")
        first, again, other = (json.dumps(compute(name, protocol, codes, seed)) for seed in (3, 3, 4))
        assert first == again
        assert first != other


class TestUDR:
    @pytest.mark.parametrize(
        ("matrix", "expected"),
        [
            (np.eye(3), 1),
            (np.ones((3, 3)), 1 / 3),
            (np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]), 2 / 3),
            (np.zeros((3, 3)), 0),
            (np.array([[1.0, 1.0]]), 0.75),  # columns 1 and 1, the row 1/2
        ],
    )
    def test_relative_strength_by_hand(self, matrix: np.ndarray, expected: float) -> None:
        assert relative_strength(matrix) == pytest.approx(expected)

    def test_identical_independent_codes_reach_what_the_penalty_leaves(self) -> None:
        codes = oracle_codes(FACTORS, "ideal")
        assert udr([codes, codes])["scores"] == pytest.approx([0.9, 0.9])
        assert udr([codes, codes], "spearman")["scores"] == pytest.approx([1, 1])

    def test_order_sign_and_scale_do_not_matter_and_a_rotation_does(self) -> None:
        codes = oracle_codes(FACTORS, "ideal")
        moved = codes[:, [2, 0, 1]] * [-3.0, 2.0, 1.0] + 5
        rotated = oracle_codes(FACTORS, "rotated")
        result = udr([codes, moved, codes * 1e-3, rotated], "spearman")
        assert result["scores"][:3] == pytest.approx([1, 1, 1])
        assert result["scores"][3] < 0.8
        pairwise = np.array(result["pairwise"])
        assert np.all(np.diag(pairwise) == 0)
        assert result["scores"] == pytest.approx(
            [np.median([pairwise[i, j] for i in range(4) if i != j]) for j in range(4)]
        )

    def test_spearman_is_scipys(self) -> None:
        rng = np.random.default_rng(0)
        first = rng.integers(5, size=(60, 3)).astype(float)  # with ties
        second = first[:, :2] + rng.standard_normal((60, 2))
        similarity = np.abs(scipy.stats.spearmanr(first, second).statistic[:3, 3:])
        assert udr([first, second], "spearman")["pairwise"][0][1] == pytest.approx(relative_strength(similarity))

    def test_lasso_predicts_the_second_model_from_the_first(self) -> None:
        """Independent x, y: from (x, y), x + y has the coefficients 1/√2 - .1 each, and x has .9; in reverse, the
        columns' penalties differ."""
        codes = oracle_codes(np.stack(np.unravel_index(np.arange(64), (8, 8)), axis=1), "ideal")
        mixed = np.column_stack([codes.sum(axis=1), codes[:, 0]])
        c = 1 / math.sqrt(2) - 0.1
        expected = relative_strength(np.array([[c, 0.9], [c, 0.0]]))
        assert udr([codes, mixed * [1, 2]], "lasso")["pairwise"][0][1] == pytest.approx(expected, abs=1e-3)

    def test_inactive_codes_are_found_by_variance_or_kl(self) -> None:
        codes = oracle_codes(FACTORS, "ideal")
        noise = np.random.default_rng(0).standard_normal((24, 2))
        padded = np.hstack([codes, 0.05 * noise, np.ones((24, 1))])
        result = udr([padded, padded], "spearman")
        assert result["active_codes"] == [3, 3]
        assert result["scores"] == pytest.approx([1, 1])
        by_kl = udr([padded, padded], "spearman", kl=[[1, 1, 0.01, 5, 0, 5]] * 2)
        assert by_kl["active_codes"] == [3, 3], "codes 0, 1 and 3; the constant has no rank"

    def test_a_model_without_active_codes_scores_0(self) -> None:
        codes = oracle_codes(FACTORS, "ideal")
        result = udr([codes, np.ones((24, 3)), codes[:, :2]], "lasso")
        assert result["scores"][1] == 0
        assert result["active_codes"] == [3, 0, 2]

    @pytest.mark.parametrize(
        ("codes", "options", "message"),
        [
            ([FACTORS], {}, "two arrays"),
            ([FACTORS, FACTORS[:5]], {}, "same images"),
            ([FACTORS, np.where(FACTORS == 3, np.nan, 1.0)], {}, "model 1: codes column 2"),
            ([FACTORS, 3.0], {}, "model 1"),
            ([FACTORS, FACTORS], {"kl": [[1, 1, 1], [1, 1]]}, "kl"),
            ([FACTORS, FACTORS], {"protocol": "laso"}, "Did you mean 'lasso'"),
        ],
    )
    def test_a_mistake_is_named(self, codes: Any, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError, match=message):
            udr(codes, **options)


def uniform(width: int) -> Any:
    return lambda count, rng: rng.uniform(-1, 1, (count, width))


def peer(matrix: np.ndarray, groups: list[list[int]] | None = None) -> Peer:
    """A model whose images are its codes, and whose codes of images are linear in them."""
    return Peer(uniform(len(matrix)), lambda codes: codes, lambda images: images @ matrix, groups)


class TestModelCentrality:
    ROTATION = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0]

    def test_peers_that_agree_but_for_order_sign_and_scale_score_1(self) -> None:
        other = np.eye(4)[[2, 0, 3, 1]] * [-1.0, 5.0, 0.01, 2.0]
        result = model_centrality([peer(np.eye(4)), peer(other)])
        assert result["similarity"] == [[1, 1], [1, 1]]
        assert result["scores"] == [1, 1]

    def test_the_odd_one_out_is_last(self) -> None:
        result = model_centrality([peer(np.eye(4)), peer(self.ROTATION), peer(np.eye(4)[::-1])])
        assert result["scores"][1] < min(result["scores"][0], result["scores"][2])
        similarity = np.array(result["similarity"])
        both = (similarity + similarity.T) / 2
        assert result["scores"] == pytest.approx([(both[i].sum() - both[i, i]) / 2 for i in range(3)])

    def test_similarity_is_encoder_by_generator(self) -> None:
        """Encoder 1 gives constants: its row is 0, while encoder 0 reads both generators."""
        result = model_centrality([peer(np.eye(3)), peer(np.zeros((3, 3)))])
        assert result["similarity"] == [[1, 1], [0, 0]]
        assert result["scores"] == [0.5, 0.5]

    def test_noise_is_never_fixed(self) -> None:
        """Encoders that read the two codes alone, out of two codes and two noise columns."""
        reads_codes = np.eye(4)[:, :2]
        assert model_centrality([peer(reads_codes, [[0], [1]])] * 2)["scores"] == [1, 1]
        assert model_centrality([peer(reads_codes)] * 2)["scores"][0] < 0.8

    def test_the_columns_of_a_one_hot_code_are_held_together(self) -> None:
        """A code of three values, as one-hots, beside a continuous one: no vote sees what is no code."""
        seen = []

        def sample(count: int, rng: np.random.Generator) -> np.ndarray:
            return np.column_stack([np.eye(3)[rng.integers(3, size=count)], rng.uniform(-1, 1, count)])

        def generate(codes: np.ndarray) -> np.ndarray:
            seen.append(codes.copy())
            return codes

        one = Peer(sample, generate, lambda images: images, [[0, 1, 2], [3]])
        model_centrality([one, one])
        codes = np.concatenate(seen).reshape(-1, 100, 4)
        assert (codes[..., :3].sum(axis=2) == 1).all()
        still = (codes == codes[:, :1]).all(axis=1)  # (V, 4)
        assert still[0::2, :3].all()
        assert still[1::2, 3].all()
        assert not still[1::2, :3].all(axis=1).any()

    def test_each_code_is_fixed_in_turn_at_one_value_a_vote(self) -> None:
        seen = []

        def generate(codes: np.ndarray) -> np.ndarray:
            seen.append(codes.copy())
            return codes

        model_centrality([Peer(uniform(3), generate, lambda images: images), peer(np.eye(3))])
        groups = np.concatenate(seen).reshape(500, 100, 3)
        held = (groups == groups[:, :1]).all(axis=1)
        assert np.array_equal(held, np.arange(3) == (np.arange(500) % 3)[:, None])
        assert len(np.unique(groups[::3, 0, 0])) == len(groups[::3])

    def test_a_vote_score_is_the_factor_vae_rule(self) -> None:
        rng = np.random.default_rng(0)
        fixed = np.arange(60) % 3
        codes = rng.standard_normal((60, 8, 4)) + 0.5 * np.eye(4)[fixed][:, None] * rng.standard_normal((60, 1, 4))
        variance = codes.reshape(-1, 4).var(axis=0, ddof=1)
        winners = [int(np.argmin(group.var(axis=0, ddof=1) / variance)) for group in codes]
        majority = sum(max(np.bincount(fixed[np.equal(winners, d)], minlength=3)) for d in range(4))
        assert vote_score(codes, fixed) == pytest.approx(majority / 60)
        assert vote_score(np.insert(codes, 0, 3.0, axis=2) * 1e-9, fixed) == pytest.approx(majority / 60)

    def test_same_seed_same_bytes(self) -> None:
        peers = [peer(np.eye(4)), peer(self.ROTATION)]
        first, again, other = (json.dumps(model_centrality(peers, seed=seed)) for seed in (3, 3, 4))
        assert first == again
        assert first != other
        alone = model_centrality([peers[0], peers[1], peers[0]], seed=3)
        assert np.array(alone["similarity"])[:2, :2].tolist() == json.loads(first)["similarity"]

    def test_mistakes(self) -> None:
        good = peer(np.eye(2))
        with pytest.raises(UserError, match="two peers"):
            model_centrality([good])
        with pytest.raises(UserError, match="groups must name columns 0 to 1"):
            model_centrality([good, replace(good, groups=[[2]])])
        with pytest.raises(UserError, match="peer 1: encode must give"):
            model_centrality([good, replace(good, encode=lambda images: images[:3])])
        with pytest.raises(UserError, match="column 0 holds a value that is not finite"):
            model_centrality([good, replace(good, encode=lambda images: images * np.nan)])
        with pytest.raises(UserError, match="Did you mean 'infogan-cr'"):
            model_centrality([good, good], "infogan-crr")
        assert CENTRALITY["infogan-cr"].group == 100


class Coloured(Dataset):
    """A 4 × 5 × 3 grid of 1×2 images with three channels, whose pixels are the factors; one factor shows nowhere."""

    name = "coloured"
    description = "a grid for tests"
    image_shape = (3, 1, 2)
    factor_names = ("a", "b", "c")
    factor_sizes = (4, 5, 3)

    def __init__(self, root: Path = Path()) -> None:
        factors = np.stack(np.unravel_index(np.arange(60), self.factor_sizes), axis=1).astype(np.uint8)
        self.rows = np.repeat(factors[:, :, None, None], 2, axis=3) * 50
        self.checksum = "0" * 64


class TestScoreEncoder:
    @pytest.mark.parametrize("batch_size", [1, 7, 60, 1000])
    def test_scores_are_those_of_the_table(self, batch_size: int) -> None:
        dataset = Coloured()
        blocks = []

        def encode(images: np.ndarray) -> np.ndarray:
            assert images.dtype == np.uint8
            blocks.append(len(images))
            return images[:, :, 0, 0].astype(np.float32) / 255

        result = score_encoder(encode, dataset, ["factor-vae", "unsupervised"], seed=5, batch_size=batch_size)
        assert sum(blocks) == 60, "each image is encoded once, however many metrics there are"
        assert max(blocks) <= batch_size
        table = CodeTable.of(dataset, dataset.rows[:, :, 0, 0].astype(np.float32) / 255)
        for name, scores in result.items():
            assert scores == score_table(name, table, "robust", seed=5)
        assert result["factor-vae"]["score"] == 1

    def test_a_representation_function_gets_float_images_with_channels_last(self) -> None:
        def representation(images: np.ndarray) -> np.ndarray:
            assert images.shape[1:] == (1, 2, 3)
            assert images.dtype == np.float32
            assert images.min() >= 0
            assert images.max() <= 1
            return images[:, 0, 0]

        encode = from_representation_function(representation)
        images = Coloured().rows
        assert np.array_equal(encode(images), images[:, :, 0, 0] / np.float32(255))
        assert score_encoder(encode, Coloured(), ["factor-vae"])["factor-vae"]["score"] == 1

    def test_every_metric_by_default_and_a_reason_where_one_lacks_the_protocol(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(registry, "names", lambda kind: ["factor-vae", "unsupervised"])
        result = score_encoder(lambda images: images[:, :, 0, 0], Coloured(), protocol="original")
        assert result["factor-vae"]["score"] == 1
        assert set(result["unsupervised"]) == {"skip"}

    @pytest.mark.parametrize(
        ("encode", "options", "message"),
        [
            (lambda images: images, {}, r"codes \(B, D\)"),
            (lambda images: images[:2, :, 0, 0], {}, r"codes \(B, D\)"),
            (lambda images: np.zeros((len(images), len(images))), {}, "always as many columns"),
            (lambda images: np.full((len(images), 2), np.nan), {}, "codes column 0"),
            (None, {"metrics": ["factor-vea"]}, "Did you mean 'factor-vae'"),
            (None, {"protocol": "robst"}, "protocol of factor-vae"),
            (None, {"batch_size": 0}, "batch_size"),
        ],
    )
    def test_a_mistake_is_named_before_encoding_where_it_can_be(
        self, encode: Any, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UserError, match=message):
            score_encoder(encode, Coloured(), **{"metrics": ["factor-vae"], "batch_size": 32, **options})


def test_none_of_it_imports_torch_or_ray() -> None:
    code = (
        "import sys, numpy as np\n"
        "from disentangle_bench.metrics import score, score_encoder, from_representation_function\n"
        "from disentangle_bench.metrics.udr import udr\n"
        "from disentangle_bench.metrics.model_centrality import model_centrality\n"
        "factors = np.stack(np.unravel_index(np.arange(24), (2, 3, 4)), axis=1)\n"
        "score('unsupervised', factors, factors), score('downstream', factors, factors, 'robust')\n"
        "udr([factors, factors]), udr([factors, factors], 'spearman')\n"
        "print(sorted({'torch', 'ray', 'h5py'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
