"""What the metrics of information and of single codes promise: MIG, MIG-sup, SAP, modularity and explicitness."""

import functools
import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.svm import LinearSVC

from disentangle_bench import registry
from disentangle_bench.contracts import CodeTable
from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import discretise, modularity_explicitness, sap, score, score_table
from disentangle_bench.metrics.svc import linear_svc
from tests.metrics import golden
from tests.metrics.cases import FACTORS, FINITE, SMALL, codes_of, extremes, few, grid, whole

METRICS = ("mig", "mig-sup", "dcimig", "sap", "modularity-explicitness")
PROTOCOLS = [(name, protocol) for name in METRICS for protocol in registry.get("metric", name).protocols]
GAPS = [pair for pair in PROTOCOLS if pair[0] != "modularity-explicitness"]
LN2 = float(np.log(2))


@functools.cache
def result(name: str, kind: str, protocol: str, see_all: bool = False) -> dict[str, Any]:
    return score_table(name, whole(kind, see_all=see_all), protocol)


def value(name: str, kind: str, protocol: str) -> float:
    return result(name, kind, protocol)["score"]


def strict(name: str, protocol: str, codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """A score in which numpy's faults are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return score(name, codes, factors, protocol, seed)


class TestOracles:
    """Codes of all of dSprites with a known relation to its factors have known scores."""

    @pytest.mark.parametrize("kind", ["ideal", "constant-added", "scaled"])
    def test_mig_of_a_perfect_code_is_what_20_bins_resolve(self, kind: str) -> None:
        assert value("mig", kind, "locatello") == pytest.approx(0.896, abs=0.005)
        assert value("mig", kind, "infogan-cr") == pytest.approx(0.896, abs=0.005)
        assert value("mig", kind, "robust") == 1

    def test_mig_of_40_told_orientations(self) -> None:
        assert result("mig", "ideal", "locatello", see_all=True)["score"] == pytest.approx(0.896, abs=0.002)

    @pytest.mark.parametrize("kind", ["ideal", "constant-added", "duplicated", "scaled"])
    def test_mig_sup_of_a_perfect_code(self, kind: str) -> None:
        """Copies cost nothing, as MIG-sup looks from the codes."""
        assert value("mig-sup", kind, "locatello") == pytest.approx(0.896, abs=0.01)
        assert value("mig-sup", kind, "original") == pytest.approx(0.9, abs=0.01)
        assert value("mig-sup", kind, "robust") == 1

    def test_mig_sup_counts_noise_as_0(self) -> None:
        assert value("mig-sup", "noise-added", "locatello") == pytest.approx(0.896 / 2, abs=0.01)
        assert value("mig-sup", "noise-added", "robust") == pytest.approx(0.5, rel=1e-12)

    @pytest.mark.parametrize("protocol", ["locatello", "infogan-cr", "robust"])
    def test_mig_of_a_code_twice_is_0(self, protocol: str) -> None:
        assert value("mig", "duplicated", protocol) == 0

    def test_noise_beside_a_perfect_code(self) -> None:
        assert value("mig", "noise-added", "locatello") == pytest.approx(0.895, abs=0.005)
        assert value("mig", "noise-added", "robust") == 1
        assert value("sap", "noise-added", "continuous") == pytest.approx(value("sap", "ideal", "continuous"), abs=2e-3)
        assert result("modularity-explicitness", "noise-added", "locatello")["modularity"] == pytest.approx(
            0.827, abs=0.03
        )
        assert result("modularity-explicitness", "noise-added", "robust")["modularity"] == 1

    @pytest.mark.parametrize("kind", ["ideal", "constant-added"])
    def test_sap_of_a_perfect_code(self, kind: str) -> None:
        table = whole(kind, see_all=True)
        assert score_table("sap", table, "locatello")["score"] == pytest.approx(0.245, abs=0.01)
        assert score_table("sap", table, "continuous")["score"] == pytest.approx(0.999, abs=0.002)
        assert value("sap", kind, "robust") == 1

    @pytest.mark.parametrize("protocol", ["locatello", "continuous", "infogan-cr", "robust"])
    def test_sap_of_a_code_twice_is_0(self, protocol: str) -> None:
        assert value("sap", "duplicated", protocol) == pytest.approx(0, abs=1e-12)

    def test_sap_counts_tiny_codes_where_nothing_is_penalised(self) -> None:
        assert value("sap", "scaled", "continuous") == pytest.approx(value("sap", "ideal", "continuous"), abs=1e-9)
        assert value("sap", "scaled", "robust") == 1

    def test_modularity_and_explicitness_of_a_perfect_code(self) -> None:
        for kind, modularity in (("ideal", 1), ("constant-added", 0.5), ("duplicated", 1)):
            scores = result("modularity-explicitness", kind, "locatello")
            assert scores["modularity"] == pytest.approx(modularity, abs=0.005)
            assert scores["explicitness"] == pytest.approx(0.987, abs=0.005)
            scores = result("modularity-explicitness", kind, "robust")
            assert scores["modularity"] == 1
            assert scores["explicitness"] > 0.98

    def test_random_codes(self) -> None:
        for name, protocol in [pair for pair in GAPS if pair != ("sap", "infogan-cr")]:
            assert value(name, "random", protocol) == pytest.approx(0, abs=0.005), (name, protocol)
        scores = result("modularity-explicitness", "random", "locatello")
        assert 0.6 < scores["modularity"] < 0.72
        assert scores["explicitness"] == pytest.approx(0.5, abs=0.01)
        assert scores["information"] < 0.05, "the magnitude tells what modularity hides"
        assert result("modularity-explicitness", "random", "robust")["modularity"] == 0

    def test_rotated_codes_score_between(self) -> None:
        scores = [score_table("mig", whole("rotated", seed), "locatello", seed)["score"] for seed in range(6)]
        assert 0.05 < np.mean(scores) < 0.3  # .143 ± .067 over 20 rotations

    @pytest.mark.parametrize(("name", "protocol"), PROTOCOLS)
    def test_constants(self, name: str, protocol: str) -> None:
        scores = score_table(name, golden.table("constant"), protocol)
        assert scores["active_codes"] == 0
        if name == "modularity-explicitness":
            assert (scores["modularity"], scores["explicitness"], scores["information"]) == (0, 0.5, 0)
        else:
            assert scores["score"] == 0

    @pytest.mark.parametrize(("name", "protocol"), PROTOCOLS)
    def test_degrading_a_code_lowers_the_score(self, name: str, protocol: str) -> None:
        if (name, protocol) == ("modularity-explicitness", "infogan-cr"):
            pytest.skip("its one-against-the-rest classifiers take a second each")
        ideal, factors = oracle_codes(grid(SMALL), "ideal"), grid(SMALL)
        noise = np.random.default_rng(0).standard_normal(ideal.shape)
        key = "explicitness" if name == "modularity-explicitness" else "score"
        scores = [score(name, ideal + amount * noise, factors, protocol)[key] for amount in (0, 1, 10)]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > scores[-1] + 0.15


class TestByHand:
    """Tables small enough to work out on paper."""

    FACTORS = grid((2, 2, 25))  # two bits, and rows enough to tell a bit from chance

    def test_one_code_of_two_bits(self) -> None:
        """Code 0 is both bits, code 1 the second: I = [[ln 2, ln 2], [0, ln 2]], so the gaps are 1 and 0."""
        a, b = self.FACTORS[:, 0], self.FACTORS[:, 1]
        codes, factors = np.column_stack([2 * a + b, b]), self.FACTORS[:, :2]
        for protocol in ("original", "robust"):
            scores = score("mig-sup", codes, factors, protocol)
            assert np.allclose(scores["mutual_information"], [[LN2, LN2], [0, LN2]], rtol=1e-12, atol=1e-15)
            assert scores["score"] == pytest.approx(0.5)  # code 0 knows both alike, code 1 only one
        assert score("mig", codes, factors, "robust")["score"] == pytest.approx(0.5)

    def test_a_factor_counts_by_the_code_that_knows_it_and_little_else(self) -> None:
        """I = [[ln 2, ln 2], [0, ln 2]]: code 0 belongs to factor 0 with no gap, code 1 to factor 1 with all of ln 2.

        So S = (0, ln 2), over entropies of 2 ln 2. A third code, again the second bit, and one of noise change nothing.
        """
        a, b = self.FACTORS[:, 0], self.FACTORS[:, 1]
        noise = np.arange(len(a)) % 25  # the factor that is left out of these two, so independent of both
        for codes in (np.column_stack([2 * a + b, b]), np.column_stack([2 * a + b, b, -b, noise])):
            for protocol in ("carbonneau", "robust"):
                scores = score("dcimig", codes, self.FACTORS[:, :2], protocol)
                assert scores["score"] == pytest.approx(0.5)
                assert scores["code_of_factor"] == [-1, 1]
        swapped = score("dcimig", np.column_stack([b, a]), self.FACTORS[:, :2], "robust")
        assert (swapped["score"], swapped["code_of_factor"]) == (1.0, [1, 0])

    def test_one_code_leads_by_all_that_it_knows(self) -> None:
        codes, factors = self.FACTORS[:, [0]], self.FACTORS[:, :2]
        assert score("mig", codes, factors, "robust")["score"] == pytest.approx(0.5)  # knows one factor of two
        assert score("sap", codes, factors, "robust")["score"] == pytest.approx(0.5)
        assert score("sap", codes, factors, "continuous")["score"] == pytest.approx(0.5, abs=1e-3)

    def test_half_of_a_factor(self) -> None:
        """A code that tells 4 values apart two by two knows ln 2 of ln 4, and guesses right every second time."""
        factors = grid((4, 5, 50))[:, :2]
        codes = factors // np.array([2, 1])
        assert score("mig", codes, factors, "robust")["score"] == pytest.approx(0.75)
        assert score("sap", codes, factors, "robust")["score"] == pytest.approx((1 / 3 + 1) / 2, abs=0.01)

    def test_equal_width_bins_are_numpys(self) -> None:
        rng = np.random.default_rng(0)
        codes = np.column_stack([rng.standard_normal(500), rng.integers(6, size=500), rng.exponential(1e-3, 500)])
        for bins in (5, 20):
            expected = [np.digitize(code, np.histogram(code, bins)[1][:-1]) - 1 for code in codes.T]
            assert np.array_equal(discretise.equal_width(codes, bins), np.transpose(expected))

    def test_equal_count_bins(self) -> None:
        """Nine rows in three bins; ties share the bin of their middle rank; a falling map mirrors the bins."""
        codes = np.array([[5, 1], [6, 1], [9, 1], [1, 1], [2, 1], [1e9, 2], [7, 2], [8, 2], [0, 3]])
        bins = discretise.equal_count(codes, 3)
        assert bins[:, 0].tolist() == [1, 1, 2, 0, 0, 2, 1, 2, 0]
        assert bins[:, 1].tolist() == [0, 0, 0, 0, 0, 2, 2, 2, 2]
        assert np.array_equal(discretise.equal_count(-codes, 3), 2 - bins)

    def test_every_value_of_an_even_code_has_its_own_bin(self) -> None:
        codes = np.repeat(np.arange(40.0), 25)[:, None]
        for bins in (41, 81, 999):
            assert len(np.unique(discretise.equal_count(codes, bins))) == 40

    def test_modularity(self) -> None:
        """I = [2, 1, 0] over three factors: 1 - 1²/(2²·2) = 7/8; a code without information counts 0."""
        information = np.array([[2.0, 1, 0], [0, 0, 0], [0, 3, 0], [1, 1, 1]])
        modular = modularity_explicitness._modularity(information, information.max(axis=1))
        assert modular.tolist() == [7 / 8, 0, 1, 0]

    def test_one_code_of_two_of_ten_factors_has_modularity_eight_ninths(self) -> None:
        information = np.eye(10)[:9]
        information[0, 9] = 1
        modular = modularity_explicitness._modularity(information, information.max(axis=1))
        assert modular[0] == pytest.approx(1 - 1 / 9)

    def test_a_factor_of_many_values_takes_little_memory(self) -> None:
        """A table of all pairs of 20,000 values and twice as many bins would take 6 GB."""
        many = np.random.default_rng(0).permutation(20_000)
        factors = np.column_stack([many, many % 2])
        for name in METRICS[:3]:
            protocol = "continuous" if name == "sap" else "robust"
            assert 0 <= score(name, many[:, None] * 0.5, factors, protocol)["score"] <= 1

    def test_gaps(self) -> None:
        assert discretise.gap(np.array([[3.0, 1], [1, 1], [2, 0]])).tolist() == [1, 0]
        assert discretise.gap(np.array([[3.0, 1]])).tolist() == [3, 1]

    def test_value_numbers(self) -> None:
        factors = np.array([[7, -5], [3, 10**12], [7, 4]])
        assert discretise.value_numbers(factors).tolist() == [[1, 0], [0, 2], [1, 1]]

    def test_chance_is_taken_off(self) -> None:
        """50 random codes of 5,000 rows: what the plug-in shows is bias, the robust form shows nothing."""
        factors = grid((5, 10, 100))[:, :2]
        codes = np.random.default_rng(0).standard_normal((5000, 50))
        plug_in = np.array(score("mig", codes, factors, "locatello")["mutual_information"])
        assert plug_in.mean(axis=0)[1] == pytest.approx(19 * 9 / 2 / 5000, rel=0.6)
        assert not np.any(score("mig", codes, factors, "robust")["mutual_information"])

    def test_an_outlier_flattens_equal_width_bins_alone(self) -> None:
        codes = oracle_codes(grid(SMALL), "ideal")
        codes[0] = 1e6
        assert score("mig", codes, grid(SMALL), "locatello")["score"] < 0.01
        assert score("mig", codes, grid(SMALL), "robust")["score"] > 0.99
        assert score("sap", codes, grid(SMALL), "robust")["score"] > 0.99

    def test_rounding_noise_is_a_constant(self) -> None:
        """A code that tells a factor in its last bits alone would rank as well as any."""
        factors = grid(SMALL)
        codes = np.column_stack([3 + 1e-8 * factors[:, 2], factors[:, 3]])
        scores = score("mig", codes, factors, "robust")
        assert scores["active_codes"] == 1
        assert not any(scores["mutual_information"][0])

    def test_shape_alone_is_classified_by_infogan_cr(self) -> None:
        factors = grid((3, 4, 50))[:, :2]
        codes = factors + 0.3 * np.random.default_rng(0).standard_normal((600, 2))
        by_name = score("sap", codes, factors, "infogan-cr", factor_names=("shape", "scale"))["prediction"]
        plain = score("sap", codes, factors, "infogan-cr")["prediction"]
        assert np.transpose(by_name)[1].tolist() == np.transpose(plain)[1].tolist()
        assert np.transpose(by_name)[0].tolist() != np.transpose(plain)[0].tolist()
        assert by_name[0][0] * 60 == pytest.approx(round(by_name[0][0] * 60)), "an accuracy on the tenth that it saw"


class TestReferences:
    """scikit-learn and plain loops say the same."""

    def test_information_and_entropy_are_scikit_learns(self) -> None:
        rng = np.random.default_rng(1)
        bins, values = rng.integers(7, size=(900, 4)), rng.integers(5, size=(900, 3))
        values[:, 1] = bins[:, 1] // 2
        expected = [[mutual_info_score(v, b) for v in values.T] for b in bins.T]
        assert np.allclose(discretise.mutual_information(bins, values), expected, rtol=1e-12, atol=1e-14)
        assert np.allclose(discretise.entropy(values), [mutual_info_score(v, v) for v in values.T], rtol=1e-12)

    def draws(self, name: str, protocol: str, table: CodeTable) -> tuple[np.ndarray, np.ndarray]:
        """The rows that the protocol `locatello` draws."""
        from disentangle_bench.metrics import generator

        rng = generator(0, name, protocol)
        return rng.integers(len(table.codes), size=10_000), rng.integers(len(table.codes), size=5_000)

    def test_mig_and_modularity_as_the_text_has_them(self) -> None:
        table = golden.table("rotated")
        for name in ("mig", "modularity-explicitness"):
            rows, _ = self.draws(name, "locatello", table)
            codes, factors = table.codes[rows], table.factors[rows]
            binned = [np.digitize(code, np.histogram(code, 20)[1][:-1]) for code in codes.T]
            table_of = [[mutual_info_score(factor, code) for factor in factors.T] for code in binned]
            scores = score_table(name, table, "locatello")
            assert np.allclose(scores["mutual_information"], table_of, rtol=1e-10)
            if name == "mig":
                gaps = []
                for k, factor in enumerate(factors.T):
                    first, second = sorted((row[k] for row in table_of), reverse=True)[:2]
                    gaps.append((first - second) / mutual_info_score(factor, factor))
                assert scores["score"] == pytest.approx(np.mean(gaps), rel=1e-10)
            else:
                squares = np.square(table_of)
                deltas = [(row.sum() - row.max()) / (row.max() * 4) for row in squares]
                assert scores["modularity"] == pytest.approx(1 - np.mean(deltas), rel=1e-10)

    def test_explicitness_is_scikit_learns(self) -> None:
        table = golden.table("rotated")
        train, test = self.draws("modularity-explicitness", "locatello", table)
        mean, spread = table.codes[train].mean(axis=0), table.codes[train].std(axis=0)
        areas = []
        for factor in table.factors.T:
            model = LogisticRegression().fit((table.codes[train] - mean) / spread, factor[train])
            probability = model.predict_proba((table.codes[test] - mean) / spread)
            areas.append(roc_auc_score(np.eye(len(model.classes_))[factor[test]], probability))
        now = score_table("modularity-explicitness", table, "locatello")["explicitness"]
        assert now == pytest.approx(np.mean(areas), abs=1e-9)

    @pytest.mark.parametrize("kind", ["rotated", "ideal", "random"])
    def test_sap_is_scikit_learns(self, kind: str) -> None:
        table = golden.table(kind)
        train, test = self.draws("sap", "locatello", table)
        expected = [
            [
                LinearSVC(C=0.01, class_weight="balanced", dual=False, tol=1e-12)
                .fit(code[train, None], factor[train])
                .score(code[test, None], factor[test])
                for factor in table.factors.T
            ]
            for code in table.codes.T
        ]
        scores = score_table("sap", table, "locatello")
        assert np.allclose(scores["prediction"], expected, rtol=1e-12)
        ordered = np.sort(expected, axis=0)
        assert scores["score"] == pytest.approx((ordered[-1] - ordered[-2]).mean(), abs=1e-12)

    def test_continuous_sap_is_the_squared_correlation(self) -> None:
        table = golden.table("rotated")
        rows, _ = self.draws("sap", "continuous", table)
        expected = np.corrcoef(table.codes[rows].T, table.factors[rows].T)[:5, 5:] ** 2
        scores = score_table("sap", table, "continuous")
        assert np.allclose(scores["prediction"], expected, rtol=1e-9)
        ordered = np.sort(expected, axis=0)
        assert scores["score"] == pytest.approx((ordered[-1] - ordered[-2]).mean())

    @pytest.mark.parametrize(("size", "counted"), [(0.9e-6, False), (1.1e-6, True)])
    def test_continuous_sap_of_a_tiny_code(self, size: float, counted: bool) -> None:
        """Codes ±size have the variance size²; up to 1e-12 it counts as none."""
        factors = grid((2, 5, 20))[:, :2]
        codes = np.column_stack([size * (2 * factors[:, 0] - 1), factors[:, 1]])
        assert (score("sap", codes, factors, "continuous")["prediction"][0][0] > 0.99) == counted

    def test_robust_sap_as_the_text_has_it(self) -> None:
        table = golden.table("rotated").merge_same_images()
        rng = np.random.default_rng(4)
        half = np.random.default_rng(4).permutation(len(table.codes)) % 2
        ours = sap.sap(table, sap.PROTOCOLS["robust"], rng)
        numbers, values, _ = discretise.robust_bins(table)
        code, factor = numbers[:, 1], values[:, 2]
        classes = np.unique(factor)
        seen = {c: (factor[half == 0] == c).sum() for c in classes}
        recalls = dict.fromkeys(classes, 0.0)
        for b in np.unique(code):
            inside = factor[(half == 0) & (code == b)]
            likely = max(classes, key=lambda c, inside=inside: (inside == c).sum() / seen[c])
            recalls[likely] += ((half == 1) & (code == b) & (factor == likely)).sum()
        recall = np.mean([recalls[c] / ((half == 1) & (factor == c)).sum() for c in classes])
        chance = 1 / len(classes)
        assert ours["prediction"][1][2] == pytest.approx(max(0, (recall - chance) / (1 - chance)), rel=1e-12)


any_protocol = pytest.mark.parametrize(("name", "protocol"), PROTOCOLS)


class TestAnyInput:
    """Any finite codes give a number within the range, and no numpy fault."""

    @any_protocol
    @few(12)
    @given(codes=codes_of(FINITE), seed=st.integers(0, 2**32))
    @extremes
    def test_finite_and_in_range(self, name: str, protocol: str, codes: np.ndarray, seed: int) -> None:
        scores = strict(name, protocol, codes, FACTORS, seed)
        assert all(0 <= scores[key] <= 1 for key in registry.get("metric", name).keys)
        assert 0 <= scores["active_codes"] <= codes.shape[1]

    @any_protocol
    @pytest.mark.parametrize("dtype", [np.int8, bool, np.float32])
    def test_other_types_score_as_their_float64(self, name: str, protocol: str, dtype: type) -> None:
        codes = (FACTORS % 3).astype(dtype)
        assert score(name, codes, FACTORS, protocol) == score(name, codes.astype(float), FACTORS, protocol)

    @any_protocol
    def test_single_valued_factors_are_left_out(self, name: str, protocol: str) -> None:
        codes, more = oracle_codes(FACTORS, "rotated"), np.insert(FACTORS, 1, 7, axis=1)
        with_colour = score(name, codes, more, protocol, factor_names=("a", "colour", "b", "c"))
        without = score(name, codes, FACTORS, protocol)
        assert "colour" in with_colour["left_out"]  # a tenth of 24 rows may hold another factor still
        for key in registry.get("metric", name).keys:
            assert with_colour[key] == without[key]

    @any_protocol
    def test_nothing_to_tell_apart_is_a_reason(self, name: str, protocol: str) -> None:
        codes = np.random.default_rng(0).standard_normal((24, 2))
        assert set(score(name, codes, np.zeros((24, 2), int), protocol)) == {"skip"}
        one = score(name, codes, FACTORS[:, [2]], protocol)
        assert (
            set(one) == {"skip"} if name in ("mig-sup", "dcimig", "modularity-explicitness") else 0 <= one["score"] <= 1
        )

    @any_protocol
    def test_two_rows(self, name: str, protocol: str) -> None:
        scores = strict(name, protocol, np.array([[0.0], [1.0]]), np.array([[0, 0], [1, 1]]))
        assert all(0 <= scores[key] <= 1 for key in registry.get("metric", name).keys)

    @any_protocol
    def test_a_value_that_is_missing_from_a_split(self, name: str, protocol: str) -> None:
        """One row in 20,000 has a value of its own: most draws miss it in training, in test, or in both."""
        rng = np.random.default_rng(0)
        factors = rng.integers(3, size=(20_000, 2))
        factors[0] = 9
        codes = factors + 0.1 * rng.standard_normal(factors.shape)
        for seed in range(3):
            scores = strict(name, protocol, codes, factors, seed)
            assert all(0 <= scores[key] <= 1 for key in registry.get("metric", name).keys)

    @any_protocol
    def test_factor_labels_may_be_any_whole_numbers(self, name: str, protocol: str) -> None:
        codes = oracle_codes(FACTORS, "rotated")
        moved, plain = (score(name, codes, factors, protocol) for factors in (FACTORS * 10 - 7, FACTORS))
        for key in registry.get("metric", name).keys:
            assert moved[key] == pytest.approx(plain[key], rel=1e-12)


class TestSymmetries:
    """Under `robust` a score knows neither the codes' order, sign, scale and shift, nor constants among them."""

    @pytest.mark.parametrize("name", METRICS)
    @few(5)
    @given(seed=st.integers(0, 1000))
    def test_robust(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        codes = oracle_codes(grid((3, 4, 30)), "rotated", seed) + 0.1 * rng.standard_normal((360, 3))
        order, sign = rng.permutation(3), rng.choice([-1.0, 1.0], size=3)
        scale = 10.0 ** rng.integers(-100, 100, size=3)
        moved = sign * (codes * scale + scale * rng.uniform(-100, 100, size=3))
        before, after = (score(name, c, grid((3, 4, 30)), "robust") for c in (codes, moved[:, order]))
        assert after["active_codes"] == before["active_codes"]
        for key in registry.get("metric", name).keys:
            tolerance = 0.01 if key == "explicitness" else 1e-12  # the classifier's iterations round differently
            assert after[key] == pytest.approx(before[key], abs=tolerance)

    @pytest.mark.parametrize("name", ["mig", "mig-sup", "dcimig", "sap"])
    def test_robust_knows_ranks_alone(self, name: str) -> None:
        """Any strictly monotone map of a code leaves its score."""
        codes = oracle_codes(grid(SMALL), "rotated")
        before, after = (score(name, c, grid(SMALL), "robust")["score"] for c in (codes, -np.exp(3 * codes)))
        assert after == pytest.approx(before, rel=1e-12)

    @pytest.mark.parametrize(("name", "protocol"), [("mig", "locatello"), ("sap", "continuous")])
    def test_scale_is_nothing_to_equal_width_bins_and_correlations(self, name: str, protocol: str) -> None:
        codes = oracle_codes(grid(SMALL), "rotated")
        before, after = (score(name, c, grid(SMALL), protocol)["score"] for c in (codes, 2.0**-7 * codes))
        assert after == before

    @pytest.mark.parametrize("name", METRICS)
    @pytest.mark.parametrize("kind", ["ideal", "rotated", "random"])
    def test_constants_change_nothing(self, name: str, kind: str) -> None:
        codes = oracle_codes(grid(SMALL), kind)
        more = np.insert(codes, [0, 2, codes.shape[1]], [0.0, 1e6, -3.0], axis=1)
        before, after = (score(name, c, grid(SMALL), "robust") for c in (codes, more))
        for key in (*registry.get("metric", name).keys, "active_codes"):
            assert after[key] == pytest.approx(before[key], rel=1e-12)


class TestInterface:
    @any_protocol
    def test_same_seed_same_bytes(self, name: str, protocol: str) -> None:
        first, second = (json.dumps(score_table(name, golden.table("rotated"), protocol, seed=3)) for _ in range(2))
        assert first == second

    def test_input_is_not_changed(self) -> None:
        codes, factors = oracle_codes(grid((3, 4, 5)), "random"), grid((3, 4, 5)).copy()
        copies = codes.copy(), factors.copy()
        for name, protocol in PROTOCOLS:
            score(name, codes, factors, protocol)
        assert np.array_equal(codes, copies[0])
        assert np.array_equal(factors, copies[1])

    @pytest.mark.parametrize("classes", [2, 3, 40])
    @pytest.mark.parametrize(("scale", "shift"), [(1, 0), (0.01, 0), (30, -5), (1, 100)])
    def test_one_feature_is_classified_as_by_a_converged_linear_svc(
        self, classes: int, scale: float, shift: float
    ) -> None:
        rng = np.random.default_rng(classes)
        labels = 7 * rng.integers(classes, size=2000) ** 2
        feature = shift + scale * (labels % 5 + rng.standard_normal(2000))
        model = LinearSVC(C=0.01, class_weight="balanced", dual=False, tol=1e-13, max_iter=100_000)
        expected = model.fit(feature[:1500, None], labels[:1500]).predict(feature[1500:, None])
        assert np.array_equal(linear_svc(feature[:1500], labels[:1500], feature[1500:]), expected)
