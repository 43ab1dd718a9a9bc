"""What the metrics promise: on oracle codes, on hand-worked tables, against plain loops, and for any finite input."""

import functools
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from disentangle_bench import metrics, registry
from disentangle_bench.contracts import CodeTable, Dataset, Metric
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.calibration import calibrate
from disentangle_bench.evaluation.oracles import ORACLES, oracle_codes
from disentangle_bench.metrics import beta_vae, classifiers, factor_vae, preparation, score, score_table
from tests.helpers import ROOT
from tests.metrics import golden
from tests.metrics.cases import DSPRITES, FACTORS, FINITE, NAMES, SMALL, codes_of, extremes, few, grid, whole

VOTING = ("factor-vae", "beta-vae")  # the metrics that hold a factor fixed; the others have test files of their own
PROTOCOLS = [(name, protocol) for name in VOTING for protocol in registry.get("metric", name).protocols]
FACTOR_VAE = [protocol for name, protocol in PROTOCOLS if name == "factor-vae"]
BETA_VAE = [protocol for name, protocol in PROTOCOLS if name == "beta-vae"]

# Each protocol with fewer votes and points, for properties that hold whatever their number.
QUICK: dict[tuple[str, str], Any] = {
    (name, protocol): replace(settings, train_votes=60, eval_votes=min(settings.eval_votes, 30), group=8)
    if name == "factor-vae"
    else replace(settings, train_points=60, eval_points=min(settings.eval_points, 30), pairs=8)
    for name, protocol in PROTOCOLS
    for settings in [registry.get("metric", name).protocols[protocol]]
}


@functools.cache
def part(kind: str, seed: int = 0) -> CodeTable:
    """The codes of 30,000 random dSprites images: not a full grid."""
    rows = np.random.default_rng(5).choice(len(grid(DSPRITES)), size=30_000, replace=False)
    table = whole(kind, seed)
    return CodeTable(table.codes[rows], table.factors[rows], NAMES, table.same_image)


def quick(name: str, protocol: str, codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """A score under a protocol with fewer votes; numpy faults inside it are errors."""
    table = CodeTable(codes, factors)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        result = registry.get("metric", name).compute(table, QUICK[name, protocol], np.random.default_rng(seed))
    return metrics._plain(result, name)


def without_votes(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "votes"}


class TestOracles:
    """Codes with a known relation to the factors have known scores."""

    @pytest.mark.parametrize("protocol", FACTOR_VAE)
    @pytest.mark.parametrize("kind", ["ideal", "constant-added", "duplicated"])
    def test_factor_vae_of_a_perfect_code_is_1(self, kind: str, protocol: str) -> None:
        result = score_table("factor-vae", whole(kind), protocol)
        assert result["score"] == 1
        assert result["active_codes"] == (10 if kind == "duplicated" else 5), "constants must not count"

    @pytest.mark.parametrize("protocol", BETA_VAE)
    @pytest.mark.parametrize("kind", ["ideal", "constant-added", "duplicated"])
    def test_beta_vae_of_a_perfect_code_is_1(self, kind: str, protocol: str) -> None:
        assert score_table("beta-vae", part(kind), protocol)["score"] == 1

    @pytest.mark.parametrize("protocol", FACTOR_VAE)
    def test_factor_vae_of_constants_is_0(self, protocol: str) -> None:
        result = score_table("factor-vae", part("constant"), protocol)
        assert (result["score"], result["active_codes"]) == (0, 0)

    @pytest.mark.parametrize("protocol", BETA_VAE)
    def test_beta_vae_of_constants_is_chance(self, protocol: str) -> None:
        assert score_table("beta-vae", part("constant"), protocol)["score"] == pytest.approx(1 / 5)

    def test_random_codes_score_chance_where_held_out_and_more_on_their_own_votes(self) -> None:
        held_out = score_table("factor-vae", whole("random"), "locatello")
        assert held_out["score"] == pytest.approx(0.2, abs=0.015)
        assert held_out["train_score"] > held_out["score"]
        assert score_table("factor-vae", whole("random"), "ib-gan")["score"] == pytest.approx(0.26, abs=0.03)
        assert score_table("factor-vae", whole("random"), "infogan-cr")["score"] == pytest.approx(0.275, abs=0.03)
        assert score_table("beta-vae", whole("random"), "locatello")["score"] == pytest.approx(0.2, abs=0.02)

    def test_rotated_codes_score_between(self) -> None:
        scores = [score_table("factor-vae", part("rotated", seed), "locatello", seed)["score"] for seed in range(10)]
        assert np.mean(scores) == pytest.approx(0.853, abs=0.1)  # .853 ± .107 over 20 rotations
        assert min(scores) > 0.5
        assert max(scores) <= 1

    @pytest.mark.parametrize(
        ("protocol", "expected"),
        [("locatello", 0), ("ib-gan", 0), ("infogan-cr", 1), ("original", 1), ("robust", 1)],
    )
    def test_codes_a_hundredth_as_large_vanish_under_an_absolute_threshold(self, protocol: str, expected: int) -> None:
        assert score_table("factor-vae", whole("scaled"), protocol)["score"] == expected

    def test_one_code_for_all_factors_scores_chance(self) -> None:
        summed = part("ideal").codes.sum(axis=1, keepdims=True)
        assert score("factor-vae", summed, part("ideal").factors, "locatello")["score"] == pytest.approx(0.2, abs=0.03)

    def test_degrading_a_code_lowers_the_score(self) -> None:
        noise = np.random.default_rng(0).standard_normal(part("ideal").codes.shape)
        for name in VOTING:
            scores = [
                score(name, part("ideal").codes + amount * noise, part("ideal").factors, "robust")["score"]
                for amount in (0, 3, 30)
            ]
            assert scores == sorted(scores, reverse=True), name
            assert scores[0] > scores[-1] + 0.3, name

    def test_an_unmerged_duplicate_image_costs_a_perfect_encoder_nothing(self) -> None:
        """Orientations 0 and 39 of dSprites are one image: both protocols must let an encoder of images reach 1."""
        for protocol in ("locatello", "robust"):
            assert score_table("factor-vae", whole("ideal"), protocol)["score"] == 1

    def test_outliers_hide_a_code_except_under_robust(self) -> None:
        """Five outliers in 30,000 rows make code 0 seem never to vary, so it wins every vote."""
        codes = part("ideal").codes + 0.1 * np.random.default_rng(0).standard_normal((30_000, 5))
        codes[:5, 0] = 1e4
        assert score("factor-vae", codes, part("ideal").factors, "original")["score"] < 0.3
        assert score("factor-vae", codes, part("ideal").factors, "robust")["score"] > 0.95

    @pytest.mark.parametrize("kind", ORACLES)
    def test_oracle_encoders_are_what_they_say(self, kind: str) -> None:
        codes = oracle_codes(grid(SMALL), kind, seed=1)
        width = {"ideal": 5, "constant-added": 10, "duplicated": 10, "rotated": 5, "random": 10, "scaled": 5}
        assert codes.shape == (len(grid(SMALL)), width.get(kind, 10))
        assert np.array_equal(codes, oracle_codes(grid(SMALL), kind, seed=1))
        if kind in ("ideal", "rotated"):
            assert np.allclose(codes.T @ codes / len(codes), np.eye(5), atol=1e-9)

    def test_unknown_oracle(self) -> None:
        with pytest.raises(UserError, match="Did you mean 'ideal'"):
            oracle_codes(grid(SMALL), "ideals")


class TestByHand:
    """Tables small enough to work out on paper."""

    def test_unbiased_variance_of_a_group(self) -> None:
        codes = np.array([[0.0, 7.0], [2.0, 7.0], [4.0, 8.0]])
        variance = factor_vae._group_variance(codes, np.array([[0, 1, 2], [0, 0, 1]]))
        assert np.allclose(variance, [[4, 1 / 3], [4 / 3, 0]], rtol=1e-14)

    @pytest.mark.parametrize("chunk", [1, 100, 2**17])
    def test_chunks_change_nothing(self, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(0)
        codes, rows = rng.standard_normal((50, 3)), rng.integers(50, size=(40, 7))
        monkeypatch.setattr(factor_vae, "CHUNK", chunk)
        expected = np.array([codes[group].var(axis=0, ddof=1) for group in rows])
        assert np.allclose(factor_vae._group_variance(codes, rows), expected, rtol=1e-13)

    def test_a_code_of_one_factor_gets_half_of_two(self) -> None:
        """Both codes copy factor 0. Whatever is fixed, their ratios tie, so code 0 wins all 500 votes: 250 a factor."""
        factors = grid((4, 4))
        result = score("factor-vae", factors[:, [0, 0]], factors, "infogan-cr")
        assert result["votes"] == [[250, 250], [0, 0]]
        assert (result["score"], result["revised_score"]) == (0.5, 0.5)

    def test_majorities_count_and_the_revised_score_takes_the_k_best(self) -> None:
        """Of 10 random codes each wins some votes; the score adds all majorities, the revised one the best five."""
        result = score("factor-vae", oracle_codes(grid(SMALL), "random"), grid(SMALL), "infogan-cr")
        majorities = sorted((max(row) for row in result["votes"]), reverse=True)
        assert np.sum(result["votes"], axis=0).tolist() == [100] * 5, "the factors take turns"
        assert result["score"] == pytest.approx(sum(majorities) / 500)
        assert result["revised_score"] == pytest.approx(sum(majorities[:5]) / 500)

    @pytest.mark.parametrize(
        ("protocol", "size", "active"),
        [("locatello", 0.049, 0), ("locatello", 0.051, 1), ("ib-gan", 0.222, 0), ("ib-gan", 0.225, 1)],
    )
    def test_thresholds(self, protocol: str, size: float, active: int) -> None:
        """Codes ±size have a standard deviation of size: the thresholds are .05 and √.05 = .2236."""
        factors = grid((2, 50, 20))
        codes = np.stack([size * (2 * factors[:, 0] - 1), factors[:, 1], factors[:, 2]], axis=1)
        assert score("factor-vae", codes, factors, protocol)["active_codes"] == 2 + active

    def test_votes_are_listed_under_the_codes_own_columns(self) -> None:
        factors = grid((5, 6))
        codes = np.column_stack([np.ones(30), factors[:, 1], np.ones(30), factors[:, 0]])
        votes = np.array(score("factor-vae", codes, factors, "robust")["votes"])
        assert (votes > 0).tolist() == [[False, False], [False, True], [False, False], [True, False]]

    def test_the_feature_of_a_shared_factor_is_0_and_of_others_their_mean_distance(self) -> None:
        """|a - b| of two uniform values out of n has the mean (n² - 1) / 3n."""
        factors = grid((4, 7))
        labels = np.repeat([0, 1], 2000)
        table, protocol = CodeTable(factors, factors), beta_vae.PROTOCOLS["locatello"]
        features = beta_vae._features(table, table.codes, labels, protocol, np.random.default_rng(0))
        assert np.all(features[labels == 0, 0] == 0)
        assert np.all(features[labels == 1, 1] == 0)
        assert features[labels == 1, 0].mean() == pytest.approx(15 / 12, rel=0.01)
        assert features[labels == 0, 1].mean() == pytest.approx(48 / 21, rel=0.01)

    def test_infogan_cr_shares_one_value_over_all_pairs_of_a_point(self) -> None:
        """Code = factor 0 × factor 1. With factor 0 held at 0 in all pairs a feature is 0; mixed values never are."""
        factors = grid((2, 8))
        table = CodeTable(factors[:, [0]] * factors[:, [1]], factors)
        zero = {}
        for name in ("infogan-cr", "locatello"):
            protocol = beta_vae.PROTOCOLS[name]
            labels = np.zeros(1000, dtype=int)
            features = beta_vae._features(table, table.codes, labels, protocol, np.random.default_rng(0))
            zero[name] = (features == 0).mean()
        assert zero["infogan-cr"] == pytest.approx(0.5, abs=0.06)
        assert zero["locatello"] == 0

    def test_scale_free_codes_clip_a_thousandth_at_either_end(self) -> None:
        codes = np.random.default_rng(0).permutation(np.arange(2000.0))[:, None] * 3 - 100
        scaled, active = preparation.scale_free(codes)
        assert active.tolist() == [True]
        assert [(scaled == 0).sum(), (scaled == 1).sum()] == [3, 3]  # two clipped, and the end itself
        assert np.allclose(np.sort(scaled[:, 0])[2:-2], np.arange(1996) / 1995, rtol=1e-12, atol=1e-15)

    def test_scale_free_codes_call_float32_rounding_a_constant(self) -> None:
        rng = np.random.default_rng(0)
        noise = np.float32(3) + np.float32(2**-22) * rng.integers(3, size=500).astype(np.float32)
        codes = np.stack([noise, rng.standard_normal(500) + 1e6], axis=1)
        assert preparation.scale_free(codes)[1].tolist() == [False, True]

    def test_adagrad_is_torchs(self) -> None:
        rng = np.random.default_rng(0)
        labels = rng.integers(3, size=2000)
        features = rng.random((2000, 4)) + 0.5 * np.eye(4)[labels]
        layer = torch.nn.Linear(4, 3, dtype=torch.float64)
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        optimiser = torch.optim.Adagrad(layer.parameters(), lr=0.01, initial_accumulator_value=0.1, eps=0)
        for x, y in zip(torch.tensor(features).split(10), torch.tensor(labels).split(10), strict=True):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(layer(x), y).backward()
            optimiser.step()
        expected = layer(torch.tensor(features)).argmax(dim=1).numpy()
        assert np.array_equal(classifiers.softmax_adagrad(features, labels, np.arange(2000)), expected)


class TestPlainLoops:
    """Both scores again, as the papers' text has it, one vote at a time on the grid; they agree statistically."""

    SEEDS = 12

    def loop_factor_vae(self, codes: np.ndarray, sizes: tuple[int, ...], rng: np.random.Generator) -> float:
        def vote() -> tuple[int, int]:
            k = int(rng.integers(len(sizes)))
            group = [[int(rng.integers(size)) for size in sizes] for _ in range(20)]
            for image in group:
                image[k] = group[0][k]
            normalised = np.array([codes[np.ravel_multi_index(image, sizes)] for image in group]) / s
            return int(np.argmin(np.var(normalised, axis=0))), k

        s = codes.std(axis=0)
        training = [vote() for _ in range(300)]
        majority = {
            d: max(range(len(sizes)), key=lambda k, d=d: sum(v == (d, k) for v in training))
            for d in range(codes.shape[1])
        }
        return float(np.mean([majority[d] == k for d, k in (vote() for _ in range(200))]))

    def loop_beta_vae(self, codes: np.ndarray, sizes: tuple[int, ...], rng: np.random.Generator) -> float:
        features, labels = [], []
        for _ in range(500):
            k = int(rng.integers(len(sizes)))
            differences = []
            for _ in range(10):
                one, two = ([int(rng.integers(size)) for size in sizes] for _ in range(2))
                two[k] = one[k]
                first, second = (codes[np.ravel_multi_index(image, sizes)] for image in (one, two))
                differences.append(abs(first - second))
            features.append(np.mean(differences, axis=0))
            labels.append(k)
        model = LogisticRegression().fit(features[:300], labels[:300])
        return float(model.score(features[300:], labels[300:]))

    @pytest.mark.parametrize("metric", VOTING)
    def test_agree(self, metric: str) -> None:
        codes, sizes = oracle_codes(grid((3, 4, 5)), "rotated", seed=3), (3, 4, 5)
        if metric == "factor-vae":
            loop: Callable[..., float] = self.loop_factor_vae
            protocol: Any = replace(factor_vae.PROTOCOLS["original"], group=20, train_votes=300, eval_votes=200)
        else:
            loop = self.loop_beta_vae
            protocol = replace(beta_vae.PROTOCOLS["locatello"], pairs=10, train_points=300, eval_points=200)
        compute = registry.get("metric", metric).compute
        table = CodeTable(codes, grid(sizes))
        theirs = [loop(codes, sizes, np.random.default_rng(seed)) for seed in range(self.SEEDS)]
        ours = [compute(table, protocol, np.random.default_rng(seed))["score"] for seed in range(10 * self.SEEDS)]
        error = np.hypot(np.std(theirs, ddof=1) / self.SEEDS**0.5, np.std(ours, ddof=1) / (10 * self.SEEDS) ** 0.5)
        assert 0.4 < np.mean(ours) < 0.98, "a score at its end could not tell the two apart"
        assert abs(np.mean(theirs) - np.mean(ours)) < 4 * error


class TestGolden:
    def test_scores_of_the_oracle_encoders_are_those_on_file(self) -> None:
        known = golden.read()
        now = {(metric, protocol, kind, key): value for metric, protocol, kind, key, value in golden.measure()}
        assert now.keys() == known.keys()
        wrong = {names: (now[names], known[names]) for names in known if abs(now[names] - known[names]) > 1e-9}
        assert not wrong

    def test_the_file_covers_every_protocol_and_oracle(self) -> None:
        covered = {names[:3] for names in golden.read()}
        every = {(name, protocol) for name in golden.METRICS for protocol in golden.protocols(name)}
        assert covered == {(name, protocol, kind) for name, protocol in every for kind in ORACLES}


ORDINARY = st.floats(-10, 10, width=32).map(lambda x: round(x, 2))
any_protocol = pytest.mark.parametrize(("name", "protocol"), PROTOCOLS)


class TestAnyInput:
    """Any finite codes give a number within the range, and no numpy fault."""

    @any_protocol
    @few(25)
    @given(codes=codes_of(FINITE), seed=st.integers(0, 2**32))
    @extremes
    def test_finite_and_in_range(self, name: str, protocol: str, codes: np.ndarray, seed: int) -> None:
        result = quick(name, protocol, codes, FACTORS, seed)
        assert all(0 <= result[key] <= 1 for key in result if key.endswith("score"))
        assert 0 <= result["active_codes"] <= codes.shape[1]

    @any_protocol
    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, bool, np.float16, np.float32])
    def test_other_types_score_as_their_float64(self, name: str, protocol: str, dtype: type) -> None:
        codes = (FACTORS % 3).astype(dtype)
        assert quick(name, protocol, codes, FACTORS) == quick(name, protocol, codes.astype(float), FACTORS)

    @any_protocol
    def test_a_large_mean_costs_no_digits(self, name: str, protocol: str) -> None:
        small = FACTORS * (2.0 if "factor" in name else 1.0)
        assert without_votes(quick(name, protocol, small + 1e6, FACTORS)) == without_votes(
            quick(name, protocol, small, FACTORS)
        )

    @any_protocol
    def test_single_valued_factors_are_never_drawn(self, name: str, protocol: str) -> None:
        codes = oracle_codes(FACTORS, "rotated")
        more = np.insert(FACTORS, 1, 7, axis=1)
        result = score(name, codes, more, protocol, factor_names=("a", "colour", "b", "c"))
        assert result["left_out"] == ["colour"]
        if name == "factor-vae":
            assert np.sum(result["votes"], axis=0)[1] == 0

    @any_protocol
    def test_nothing_to_tell_apart_is_a_reason(self, name: str, protocol: str) -> None:
        codes = np.random.default_rng(0).standard_normal((24, 2))
        assert set(score(name, codes, np.zeros((24, 2), int), protocol)) == {"skip"}
        one = score(name, codes, FACTORS[:, [2]], protocol)
        assert set(one) == {"skip"} if name == "beta-vae" else one["score"] == 1

    @any_protocol
    def test_two_rows(self, name: str, protocol: str) -> None:
        result = score(name, [[0.0], [1.0]], [[0, 0], [1, 1]], protocol)
        assert result == {"skip": "most values of factor 'factor0' occur in a single image"}

    @pytest.mark.parametrize("metric", ["factor-vae", "beta-vae", "irs"])
    def test_a_factor_that_numbers_the_images_is_a_reason_to_skip(self, metric: str) -> None:
        """A group that shares its value is one image over and over, on which every code is constant: noise wins."""
        noise = np.random.default_rng(0).standard_normal((300, 5))
        number, third = np.arange(300), np.arange(300) % 3
        result = score(metric, noise, np.stack([number, third], axis=1), "robust", factor_names=("id", "third"))
        assert result == {"skip": "most values of factor 'id' occur in a single image"}
        pairs = score(metric, noise, np.stack([number // 2, third], axis=1), "robust")
        assert "skip" not in pairs

    @any_protocol
    def test_factor_labels_may_be_any_whole_numbers(self, name: str, protocol: str) -> None:
        codes = oracle_codes(FACTORS, "rotated")
        assert quick(name, protocol, codes, FACTORS * 10 - 7) == quick(name, protocol, codes, FACTORS)


class TestSymmetries:
    """Under `robust` a score knows neither the codes' order, sign, scale and shift, nor constants among them."""

    @pytest.mark.parametrize("name", VOTING)
    @few(25)
    @given(codes=codes_of(ORDINARY), data=st.data())
    def test_robust(self, name: str, codes: np.ndarray, data: st.DataObject) -> None:
        rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
        codes = codes + 1e-3 * rng.standard_normal(codes.shape)  # so that no two codes tie
        width = codes.shape[1]
        order = rng.permutation(width)
        sign = rng.choice([-1.0, 1.0], size=width)
        scale = 10.0 ** rng.integers(-100, 100, size=width)
        shift = scale * rng.uniform(-100, 100, size=width)
        moved = sign * (codes * scale + shift)
        before = quick(name, "robust", codes, FACTORS)
        after = quick(name, "robust", moved[:, order], FACTORS)
        assert after["active_codes"] == before["active_codes"]
        tolerance = 1e-12 if name == "factor-vae" else 2 / 30  # the classifier's iterations round differently
        assert after["score"] == pytest.approx(before["score"], abs=tolerance)

    @pytest.mark.parametrize("name", VOTING)
    @pytest.mark.parametrize("kind", ["ideal", "rotated", "random"])
    def test_constants_change_nothing(self, name: str, kind: str) -> None:
        codes = oracle_codes(grid(SMALL), kind)
        more = np.insert(codes, [0, 2, codes.shape[1]], [0.0, 1e6, -3.0], axis=1)
        before, after = (score(name, c, grid(SMALL), "robust") for c in (codes, more))
        assert without_votes(after) == without_votes(before)

    @any_protocol
    def test_factors_in_another_order_score_about_the_same(self, name: str, protocol: str) -> None:
        codes = oracle_codes(grid(SMALL), "rotated")
        first, second = (
            score(name, codes, grid(SMALL)[:, order], protocol) for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1, 3])
        )
        assert first["score"] == pytest.approx(second["score"], abs=0.08)


class TestInterface:
    @any_protocol
    def test_same_seed_same_bytes(self, name: str, protocol: str) -> None:
        table = golden.table("rotated")
        first, second = (json.dumps(score_table(name, table, protocol, seed=3)) for _ in range(2))
        assert first == second
        assert first != json.dumps(score_table(name, table, protocol, seed=4))

    def test_generators_differ_by_seed_metric_and_protocol_and_are_fixed(self) -> None:
        names = [(0, "a", "b"), (1, "a", "b"), (0, "b", "b"), (0, "a", "c")]
        draws = [int(metrics.generator(*name).integers(2**62)) for name in names]
        assert len(set(draws)) == 4
        assert draws[0] == 2754780263664642924, "a change here changes every published score"

    def test_input_is_not_changed(self) -> None:
        codes, factors = oracle_codes(grid(SMALL), "random"), grid(SMALL).copy()
        copies = codes.copy(), factors.copy()
        for name, protocol in PROTOCOLS:
            score(name, codes, factors, protocol)
        assert np.array_equal(codes, copies[0])
        assert np.array_equal(factors, copies[1])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"metric": "factor-vea"}, "Did you mean 'factor-vae'"),
            ({"protocol": "locatelo"}, "protocol of factor-vae 'locatelo'. Did you mean 'locatello'"),
            ({"codes": np.where(FACTORS == 3, np.nan, 1.0)}, "column 2"),
            ({"codes": np.where(np.arange(3) == 1, np.inf, FACTORS)}, "column 1"),
            ({"codes": FACTORS[:5]}, "5 rows"),
            ({"codes": FACTORS[:, 0]}, r"\(N, D\)"),
            ({"codes": FACTORS.astype(str)}, "real numbers"),
            ({"codes": FACTORS + 1j}, "real numbers"),
            ({"codes": np.zeros((24, 0))}, "not be empty"),
            ({"factors": FACTORS + 0.5}, "whole numbers"),
            ({"factors": np.full((24, 3), np.nan)}, "whole numbers"),
            ({"factor_names": ("one",)}, "1 factor names"),
            ({"seed": -1}, "seed"),
            ({"seed": 0.5}, "seed"),
        ],
    )
    def test_a_mistake_is_named(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError, match=message):
            score(**{"metric": "factor-vae", "codes": FACTORS, "factors": FACTORS, **arguments})

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            ({"score": float("nan")}, "bad.*'p'.*'score'"),
            ({"score": np.float64("inf")}, "'score'"),
            ({"score": 0.5, "detail": {"a": [1.0, float("-inf")]}}, "'detail', 'a'"),
            ({"score": 0.5, "detail": object()}, "object"),
            ({"other": 0.5}, "no number for its score 'score'"),
            ({"skip": "x", "other": 0.5}, "no number"),
        ],
    )
    def test_a_metric_that_gives_no_number_is_a_fault(
        self, result: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad = Metric("bad", "", "", lambda table, protocol, rng: result, {"p": None})
        monkeypatch.setattr(registry, "get", lambda kind, name: bad)
        with pytest.raises(RuntimeError, match=message):
            score("bad", FACTORS, FACTORS, "p")

    def test_results_are_plain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = {"score": np.float32(0.5), "count": np.int64(3), "list": np.arange(2), "map": {1: (np.True_, "a")}}
        good = Metric("good", "", "", lambda table, protocol, rng: result, {"p": None})
        monkeypatch.setattr(registry, "get", lambda kind, name: good)
        plain = score("good", FACTORS, FACTORS, "p")
        assert plain == {"score": 0.5, "count": 3, "list": [0, 1], "map": {"1": [True, "a"]}}
        assert [type(plain["score"]), type(plain["count"]), type(plain["map"]["1"][0])] == [float, int, bool]

    def test_scoring_arrays_needs_neither_torch_nor_ray(self) -> None:
        code = (
            "import sys\n"
            "from disentangle_bench.metrics import score\n"
            "assert 'sklearn' not in sys.modules and 'scipy' not in sys.modules\n"
            "import numpy as np\n"
            "factors = np.stack(np.unravel_index(np.arange(24), (2, 3, 4)), axis=1)\n"
            "assert score('factor-vae', factors, factors)['score'] == 1\n"
            "assert score('beta-vae', factors, factors, 'robust')['score'] == 1\n"
            "print(sorted({'torch', 'ray', 'h5py'} & set(sys.modules)))\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "[]"

    def test_every_metric_has_a_card_with_every_protocol(self) -> None:
        for name in registry.BUILT_IN["metric"]:
            card = (ROOT / "metrics" / f"{name}.md").read_text(encoding="utf-8")
            assert all(f"`{protocol}`" in card for protocol in registry.get("metric", name).protocols)


class TestSampling:
    """`CodeTable` draws images that share a factor's value, uniformly."""

    def test_groups_share_their_factor(self) -> None:
        table = CodeTable(grid(SMALL), grid(SMALL))
        factor = np.random.default_rng(0).integers(5, size=500)
        rows = table.sample_sharing(factor, 16, np.random.default_rng(1))
        shared = table.factors[rows, factor[:, None]]
        assert rows.shape == (500, 16)
        assert np.all(shared == shared[:, :1])

    @pytest.mark.parametrize("k", range(3))
    def test_all_factors_are_uniform_and_independent_on_a_grid(self, k: int) -> None:
        sizes = (3, 4, 5)
        table = CodeTable(grid(sizes), grid(sizes))
        rows = table.sample_sharing(np.full(6000, k), 4, np.random.default_rng(k))
        pairs = rows[:, 0] * 60 + rows[:, 1]  # each row is an image: 60 of them
        images = scipy.stats.chisquare(np.bincount(rows[:, 2], minlength=60)).pvalue
        joint = np.bincount(pairs, minlength=3600)
        possible = (grid((60, 60))[:, 0] // np.prod(sizes[k + 1 :], dtype=int)) % sizes[k] == (
            grid((60, 60))[:, 1] // np.prod(sizes[k + 1 :], dtype=int)
        ) % sizes[k]
        assert images > 1e-3
        assert joint[~possible].sum() == 0
        assert scipy.stats.chisquare(joint[possible]).pvalue > 1e-3

    def test_an_anchor_row_is_uniform_where_there_is_no_grid(self) -> None:
        factors = np.repeat([[5], [-2], [9]], [10, 30, 60], axis=0)
        table = CodeTable(np.arange(100)[:, None], factors)
        rows = table.sample_sharing(np.zeros(20_000, int), 2, np.random.default_rng(0))
        assert scipy.stats.chisquare(np.bincount(rows[:, 0], minlength=100)).pvalue > 1e-3
        assert scipy.stats.chisquare(np.bincount(rows[:, 1], minlength=100)).pvalue > 1e-3
        assert np.array_equal(table.factors[rows[:, 0]], table.factors[rows[:, 1]])

    def test_merged_values_are_one(self) -> None:
        table = CodeTable(FACTORS, FACTORS, ("a", "b", "c"), {"c": {3: 0}})
        assert table.merge_same_images().factors[:, 2].max() == 2
        assert table.factors[:, 2].max() == 3
        plain = CodeTable(FACTORS, FACTORS)
        assert plain.merge_same_images() is plain


class Tiny(Dataset):
    """Sixty images with nothing in them."""

    name = "tiny"
    description = "a grid for tests"
    image_shape = (1, 1, 1)
    factor_names = ("a", "b", "same")
    factor_sizes = (4, 5, 3)
    same_image = {"same": {2: 0}}

    def __init__(self, root: Path) -> None:
        self.rows = np.zeros((60, 1, 1, 1), np.uint8)
        self.checksum = "0" * 64


class TestCalibration:
    def test_floor_and_ceiling(self, tmp_path: Path) -> None:
        result = calibrate(Tiny(tmp_path), "factor-vae", "robust", 6, None)
        assert result["score"]["ceiling"] == 1
        assert 0.2 < result["score"]["floor"] < 0.6  # sixty random codes repeat within groups
        assert result == calibrate(Tiny(tmp_path), "factor-vae", "robust", 6, None)
        assert result != calibrate(Tiny(tmp_path), "factor-vae", "robust", 7, None)

    def test_cached(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        dataset, cache = Tiny(tmp_path), tmp_path / "cache"
        first = calibrate(dataset, "factor-vae", "original", 4, cache)
        assert len(list(cache.iterdir())) == 1, "one whole file, no temporary one"
        monkeypatch.setattr("disentangle_bench.evaluation.calibration._measure", lambda *arguments: {})
        assert calibrate(dataset, "factor-vae", "original", 4, cache) == first
        assert calibrate(dataset, "factor-vae", "original", 5, cache) == {}
        dataset.checksum = "1" * 64
        assert calibrate(dataset, "factor-vae", "original", 4, cache) == {}

    @pytest.mark.parametrize("damage", ["", "{", "[]", '{"identity": 3}', "\x00\xff", "nan", "wrong", "truncated"])
    def test_a_damaged_file_is_made_again(self, damage: str, tmp_path: Path) -> None:
        first = calibrate(Tiny(tmp_path), "factor-vae", "original", 4, tmp_path / "cache")
        (file,) = (tmp_path / "cache").iterdir()
        content = file.read_text()
        damaged = {
            "nan": json.dumps(json.loads(content) | {"calibration": {"score": {"floor": float("nan"), "ceiling": 1}}}),
            "wrong": json.dumps(json.loads(content) | {"calibration": {"score": 3}}),
            "truncated": content[: len(content) // 2],
        }
        file.write_text(damaged.get(damage, damage), encoding="latin-1")
        assert calibrate(Tiny(tmp_path), "factor-vae", "original", 4, tmp_path / "cache") == first
        assert file.read_text() == content

    def test_a_metric_that_skips_has_neither(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        by_result = Metric("skips", "", "", lambda table, protocol, rng: {"skip": "no"}, {"p": None})
        by_dataset = replace(by_result, skip=lambda dataset: "no")
        for metric in (by_result, by_dataset):
            monkeypatch.setattr(registry, "get", lambda kind, name, metric=metric: metric)
            assert calibrate(Tiny(tmp_path), "skips", "p", 2, tmp_path / "cache") == {}

    def test_width_must_be_positive(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="width"):
            calibrate(Tiny(tmp_path), "factor-vae", "robust", 0, None)
