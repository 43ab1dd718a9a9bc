"""InfoMEC: worked by hand, against scikit-learn, on oracle codes, and what its traps give."""

import functools
import math
from typing import Any

import numpy as np
import pytest
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mutual_info_score
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import infomec, score, score_table
from disentangle_bench.metrics.neighbours import neighbour_information
from tests.metrics.cases import SMALL, grid, whole

KEYS = ("modularity", "explicitness", "compactness")


@functools.cache
def result(kind: str, protocol: str) -> dict[str, Any]:
    codes = oracle_codes(grid(SMALL), "ideal" if kind == "noise-added" else kind)
    if kind == "noise-added":
        codes = np.hstack([codes, np.random.default_rng(0).standard_normal((len(codes), 5))])
    return score("infomec", codes, grid(SMALL), protocol)


def scores(kind: str, protocol: str) -> list[float]:
    return [result(kind, protocol)[key] for key in KEYS]


class TestOracles:
    @pytest.mark.parametrize("protocol", ["original", "qlae", "robust"])
    @pytest.mark.parametrize(("kind", "compact"), [("ideal", 1), ("duplicated", 4 / 9)])  # (1/2 - 1/10) / (1 - 1/10)
    def test_perfect_codes(self, kind: str, compact: float, protocol: str) -> None:
        assert scores(kind, protocol) == pytest.approx([1, 1, compact], abs=0.015)

    @pytest.mark.slow
    @pytest.mark.parametrize(("kind", "compact"), [("ideal", 0.998), ("duplicated", 0.443)])
    def test_perfect_codes_of_dsprites(self, kind: str, compact: float) -> None:
        found = score_table("infomec", whole(kind, see_all=True), "original")
        assert [found[key] for key in KEYS] == pytest.approx(
            [compact if kind == "ideal" else 0.996, 1, compact], abs=4e-3
        )

    def test_a_code_scaled_down_is_dropped_by_the_original_and_kept_by_robust(self) -> None:
        """The largest range sets the threshold: four codes are left, and one factor has none."""
        codes = oracle_codes(grid(SMALL), "ideal") * [1, 1, 1, 1, 0.01]
        original, robust = (score("infomec", codes, grid(SMALL), protocol) for protocol in ("original", "robust"))
        assert original["active_codes"] == 4
        assert original["compactness"] < 0.95
        assert [robust[key] for key in KEYS] == pytest.approx([1, 1, 1], abs=0.006)

    def test_one_outlier_leaves_the_original_one_code(self) -> None:
        codes = oracle_codes(grid(SMALL), "ideal")
        codes[0, 0] = 1e6
        original, robust = (score("infomec", codes, grid(SMALL), protocol) for protocol in ("original", "robust"))
        assert original["active_codes"] == 1
        assert original["compactness"] == pytest.approx(0.2), "one factor is all in it: 0/0 in the paper's code"
        assert robust["active_codes"] == 5
        assert robust["compactness"] > 0.99

    def test_noise_is_modular_by_chance_and_the_floor_says_so(self) -> None:
        noise = result("random", "original")
        assert noise["modularity"] > 0.4
        assert noise["floor_modularity"] > 0.4
        assert noise["explicitness"] < 0.01
        assert scores("random", "robust") == pytest.approx([0, 0, 0], abs=1e-3)
        assert result("random", "robust")["floor_modularity"] == 0

    def test_noise_beside_a_perfect_code_costs_robust_nothing(self) -> None:
        assert scores("noise-added", "robust") == pytest.approx([1, 1, 1], abs=0.006)
        assert result("noise-added", "robust")["active_codes"] == 5
        assert result("noise-added", "original")["modularity"] < 0.9

    def test_quantised_codes_are_labels(self) -> None:
        """A code that numbers a factor's values in any order knows it, and is read from one feature a value."""
        factors = grid((3, 4, 5))
        shuffled = np.array([3.0, 0.0, 4.0, 1.0, 2.0])[factors[:, 2]]
        codes = np.column_stack([factors[:, 0], factors[:, 1], shuffled])
        for protocol in ("original-quantised", "factorqvae-quantised"):
            found = score("infomec", codes, factors, protocol)
            assert [found[key] for key in KEYS] == pytest.approx([1, 1, 1], abs=2e-3)

    def test_real_codes_are_no_quantised_ones(self) -> None:
        assert "use a protocol of real codes" in result("random", "original-quantised")["skip"]


class TestByHand:
    def test_peaks(self) -> None:
        """Rows (3, 1) and (0, 2): largest / sum is ¾ and 1, and (¾ - ½) / ½ = ½. Zeros count 0."""
        assert infomec._peak(np.array([[3.0, 1], [0, 2]])) == pytest.approx(0.75)
        assert infomec._peak(np.array([[3.0, 1], [0, 0]])) == pytest.approx(0.25)
        assert infomec._peak(np.array([[3.0], [0]])) == 0.5, "what is in one code is compact; what is in none is not"
        assert infomec._peak(np.zeros((0, 3))) == 0

    def test_a_code_of_two_bits_and_one_of_one(self) -> None:
        """R = [[1, 1], [0, 1]] of two bits: M = (0 + 1) / 2; of factor 0 all is in code 0, of factor 1 half: C = ½."""
        bits = grid((2, 2, 25))[:, :2]
        codes = np.column_stack([2 * bits[:, 0] + bits[:, 1], bits[:, 1]])
        for protocol in ("original-quantised", "robust"):
            found = score("infomec", codes, bits, protocol)
            assert found["normalised_information"] == [[pytest.approx(1), pytest.approx(1)], [0, pytest.approx(1)]]
            assert [found[key] for key in KEYS] == pytest.approx([0.5, 1, 0.5], abs=0.01)

    @pytest.mark.parametrize(
        ("protocol", "active"),
        [
            ("original", [True, True, False]),  # ranges 10, 1 and .1: above 10/20
            ("qlae", [True, False, False]),  # above 10/8
            ("tripod", [True, False, True]),  # middle halves .5, .004 and .05: at or above a tenth
            ("tripod-quantised", [True, False, False]),  # above .1
            ("original-quantised", [True, True, True]),
        ],
    )
    def test_which_codes_are_active(self, protocol: str, active: list[bool]) -> None:
        level = np.arange(1000) / 999
        wide, narrow = level.copy(), 0.008 * level
        wide[-1], narrow[-1] = 10, 1
        codes = np.column_stack([wide, narrow, 0.1001 * level])
        assert infomec._active(codes, infomec.PROTOCOLS[protocol]).tolist() == active

    def test_a_loss_that_halves_the_entropy(self) -> None:
        probability = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
        assert infomec._log_loss(probability, np.arange(4), np.array([0, 3])) == pytest.approx(math.log(2))
        assert infomec._log_loss(probability, np.arange(4), np.array([2, 3])) == pytest.approx(
            (math.log(2) - math.log(np.finfo(float).eps)) / 2
        )


class TestReferences:
    FACTORS = np.column_stack([grid((3, 4, 5, 12)), np.arange(720) // 700 * np.arange(720)])  # the last: 20 of one row

    @pytest.mark.parametrize("neighbours", [1, 3, 10])
    @pytest.mark.parametrize(("kind", "tolerance"), [("random", 1e-10), ("rotated", 0.15)])
    def test_information_is_scikit_learns(self, kind: str, tolerance: float, neighbours: int) -> None:
        """Rotated codes have ties, which noise breaks: they agree up to it."""
        codes = oracle_codes(self.FACTORS[:, :4], kind)[:, :3]
        values = np.stack([np.unique(column, return_inverse=True)[1] for column in self.FACTORS.T], axis=1)
        ours = neighbour_information(codes, values, neighbours, np.random.default_rng(0))
        theirs = [mutual_info_classif(codes, column, n_neighbors=neighbours, random_state=0) for column in values.T]
        assert np.allclose(ours, np.transpose(theirs), atol=tolerance)

    def test_information_of_values_with_few_rows_is_a_plain_loops(self) -> None:
        """Three rows a value, so at most two neighbours; scikit-learn's distances of so few rows are rounded."""
        code, value = np.random.default_rng(0).standard_normal(90), np.arange(90) // 3
        apart = np.abs(code[:, None] - code)
        radius = [np.sort(apart[i][value == value[i]])[2] for i in range(90)]
        within = np.array([(apart[i] < radius[i]).sum() for i in range(90)])
        expected = digamma(90) + digamma(2) - digamma(3) - digamma(within).mean()
        ours = neighbour_information(code[:, None], value[:, None], 10, np.random.default_rng(0))
        assert ours[0, 0] == pytest.approx(max(0, expected), abs=1e-12)
        tight = neighbour_information(np.sort(code)[:, None], value[:, None], 10, np.random.default_rng(0))
        assert tight[0, 0] > 2

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # 100 iterations are the definition
    @pytest.mark.parametrize("protocol", ["original", "original-quantised"])
    def test_the_whole_as_the_text_has_it(self, protocol: str) -> None:
        quantised = protocol.endswith("quantised")
        factors = grid((3, 4, 5, 12))
        codes = oracle_codes(factors, "rotated", 2) + 0.2 * np.random.default_rng(1).standard_normal((720, 4))
        codes = np.round(codes) if quantised else codes * [1, 2, 3, 0.001]
        ours = score("infomec", codes, factors, protocol)
        active = np.ptp(codes, axis=0) > (0 if quantised else np.ptp(codes, axis=0).max() / 20)
        known, explicit = np.empty((4, 4)), []
        features = OneHotEncoder().fit_transform(codes) if quantised else StandardScaler().fit_transform(codes)
        for k, factor in enumerate(factors.T):
            known[:, k] = (
                [mutual_info_score(code, factor) for code in codes.T]
                if quantised
                else mutual_info_classif(StandardScaler().fit_transform(codes), factor, n_neighbors=10, random_state=0)
            )
            known[:, k] /= math.log(len(np.unique(factor)))
            losses = []
            for inputs in (features, np.zeros_like(codes)):
                model = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=100)
                losses.append(log_loss(factor, model.fit(inputs, factor).predict_proba(inputs)))
            explicit.append(1 - losses[0] / losses[1])
        known = known[active]
        modular = np.mean([(row.max() / row.sum() - 1 / 4) / (3 / 4) for row in known])
        share = 1 / len(known)
        compact = np.mean([(column.max() / column.sum() - share) / (1 - share) for column in known.T])
        assert ours["active_codes"] == len(known) == (4 if quantised else 3)
        assert [ours[key] for key in KEYS] == pytest.approx([modular, np.mean(explicit), compact], abs=1e-4)

    def test_robust_explicitness_is_judged_on_rows_that_were_not_seen(self) -> None:
        """Twenty codes of noise tell 60 rows apart by heart; nothing of it holds for others."""
        factors = grid((3, 5, 6))
        noise = np.random.default_rng(0).standard_normal((90, 40))
        assert score("infomec", noise, factors, "original")["explicitness"] > 0.5
        assert score("infomec", noise, factors, "robust")["explicitness"] == 0
