"""DCI-ES: curves worked by hand, forests cut at a depth beside forests grown to it, and codes with known answers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from disentangle_bench.contracts import CodeTable
from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import dci_es, forests, score
from disentangle_bench.metrics.forests import Curve
from tests.metrics.cases import SMALL, grid, whole

KEYS = dci_es.METRIC.keys


def quick(codes: Any, factors: np.ndarray, protocol: str = "original", **changes: Any) -> dict[str, Any]:
    """A score under a protocol with few trees and rows."""
    setting = replace(dci_es.PROTOCOLS[protocol], **({"trees": 5, "train": 600, "test": 300} | changes))
    return dci_es.dci_es(CodeTable(codes, factors), setting, np.random.default_rng(0))


class TestByHand:
    def curve(self, loss: Any, blind: float = 0.5) -> Curve:
        return Curve(np.array(loss, dtype=float), np.zeros((len(loss), 1)), blind)

    def test_explicitness_of_curves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """κ 1, 2, 4 and ℓ⁰ = ½: under ½ to ¼ lies 3/8, under ¼ to 0 lies 1/4, of 3 · ½ in all."""
        monkeypatch.setattr(dci_es, "CAPACITIES", (1, 2, 4))
        assert dci_es._explicitness(self.curve([0.5, 0.25, 0]), False) == pytest.approx(1 - 2 * (3 / 8 + 1 / 4) / 1.5)
        assert dci_es._explicitness(self.curve([0, 0, 0]), False) == 1
        assert dci_es._explicitness(self.curve([0.5, 0.5, 0.5]), False) == 1, "noise is explicit to the paper"
        assert dci_es._explicitness(self.curve([0.5, 0.5, 0.5]), True) == 0, "and not to robust"
        assert dci_es._explicitness(self.curve([0.5, 0.5, 0]), False) == 0, "a bend late in the curve is below 0"

    def test_a_loss_that_rises_again_is_its_smallest_so_far_and_none_is_worse_than_blind(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dci_es, "CAPACITIES", (1, 2, 3))
        flat = dci_es._explicitness(self.curve([0.5, 0.2, 0.2]), False)
        assert dci_es._explicitness(self.curve([0.7, 0.2, 0.3]), False) == flat == pytest.approx(1 - 2 * 0.15)
        assert dci_es._explicitness(self.curve([0.5, 0.2, 0.2]), True) == pytest.approx(flat * 0.6)

    def test_size_is_how_few_codes_hold_the_factors(self) -> None:
        factors = grid((3, 4, 5))
        for copies, size in ((1, 1), (2, 1 / 2)):
            assert quick(np.hstack([factors] * copies), factors)["size"] == size
        assert quick(factors[:, :2], factors)["size"] == 1, "fewer codes than factors can't be better than 1"
        padded = np.hstack([factors, np.ones((60, 3))])
        assert (quick(padded, factors)["size"], quick(padded, factors, "robust")["size"]) == (1 / 2, 1)

    def test_names_decide_what_is_classified(self) -> None:
        """Shapes have no order and are classified: a guess loses 2/3. A width is regressed: it loses 1."""
        factors = grid((3, 40))
        blind = np.ones((120, 1))
        setting = replace(dci_es.PROTOCOLS["original"], trees=1, train=3000, test=3000)
        for name, loss in (("shape", 2 / 3), ("width", 1.0)):
            table = CodeTable(blind, factors[:, [0]], (name,))
            found = dci_es.dci_es(table, setting, np.random.default_rng(0))
            assert found["loss"] == [pytest.approx([loss] * len(dci_es.CAPACITIES), abs=0.03)]


class TestForests:
    """A forest read down to a depth is the forest grown to it, where no two splits are equally good."""

    DEPTHS = (1, 2, 3, 5, 9)

    @pytest.mark.parametrize(
        ("classified", "leaf", "tolerance"),
        [(True, 10, 1e-9), (False, 10, 1e-9), (False, 1, 0.03)],  # a node of two rows has as many best splits as codes
    )
    def test_a_cut_forest_is_one_grown_to_that_depth(self, classified: bool, leaf: int, tolerance: float) -> None:
        rng = np.random.default_rng(0)
        factors = grid((4, 5, 40))
        codes = oracle_codes(factors, "rotated", 1) + 0.2 * rng.standard_normal((800, 3))
        rows = rng.permutation(800)
        features, target = codes[rows].astype(np.float32), factors[rows, 1 if classified else 2]
        curve = forests.capacity_curve(features, target, 500, self.DEPTHS, 7, leaf, classified, 3)
        for i, depth in enumerate(self.DEPTHS):
            kind: Any = RandomForestClassifier if classified else RandomForestRegressor
            model = kind(7, max_depth=depth, min_samples_leaf=leaf, random_state=3, max_features=None)
            model.fit(features[:500], target[:500])
            assert curve.loss[i] == pytest.approx(1 - model.score(features[500:], target[500:]), abs=tolerance)
            assert np.allclose(curve.importance[i], model.feature_importances_, atol=tolerance)

    def test_votes_counted_in_parts_are_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        codes = np.random.default_rng(0).standard_normal((60, 2))
        arguments = (codes, grid((3, 20))[:, 0], 40, (1, 3), 4, 1, True, 0)
        whole_at_once = forests.capacity_curve(*arguments)
        monkeypatch.setattr(forests, "MOST_VOTES", 30)
        assert np.array_equal(forests.capacity_curve(*arguments).loss, whole_at_once.loss)

    @pytest.mark.parametrize("classified", [True, False])
    def test_one_value_to_fit_to_or_to_judge(self, classified: bool) -> None:
        features = np.arange(40.0)[:, None]
        fitted = forests.capacity_curve(features, (np.arange(40) >= 30) * 1, 20, (1, 2), 3, 1, classified, 0)
        assert not fitted.importance.any()
        assert fitted.loss.tolist() == ([0.5, 0.5] if classified else [1, 1])
        judged = forests.capacity_curve(features, (np.arange(40) >= 10) * 1, 20, (1, 2), 3, 1, classified, 0)
        assert judged.loss.tolist() == ([0, 0] if classified else [1, 1]), "R² of one value is not defined"


class TestOracles:
    def test_perfect_codes_and_copies(self) -> None:
        factors = grid(SMALL)
        for protocol, changes in (("original", {"trees": 10}), ("robust", {})):
            setting = replace(dci_es.PROTOCOLS[protocol], **changes)
            once, twice = (
                dci_es.dci_es(CodeTable(oracle_codes(factors, kind), factors), setting, np.random.default_rng(0))
                for kind in ("ideal", "duplicated")
            )
            assert [once[key] for key in KEYS] == pytest.approx([1, 1, 1, 1, 1], abs=0.03), protocol
            assert [twice[key] for key in KEYS] == pytest.approx([1, 0.7, 1, 1, 0.5], abs=0.05), protocol

    def test_a_rotation_takes_more_capacity(self) -> None:
        factors = grid(SMALL)
        straight, rotated = (score("dci-es", oracle_codes(factors, kind), factors) for kind in ("ideal", "rotated"))
        assert rotated["explicitness"] < straight["explicitness"] - 0.1
        assert rotated["disentanglement"] < 0.7

    def test_noise_is_explicit_in_the_original_alone(self) -> None:
        noise = np.random.default_rng(0).standard_normal((7680, 5))
        assert quick(noise, grid(SMALL), train=2000, test=1000)["explicitness"] > 0.9
        robust = quick(noise, grid(SMALL), "robust", train=2000, test=1000)
        assert robust["explicitness"] < 0.05
        assert robust["disentanglement"] < 0.1

    @pytest.mark.slow
    def test_dsprites_in_full(self) -> None:
        found = dci_es.dci_es(whole("ideal", see_all=True), dci_es.PROTOCOLS["original"], np.random.default_rng(0))
        assert [found[key] for key in KEYS] == pytest.approx([1, 1, 1, 1, 1], abs=0.01)


def test_the_original_says_its_cost() -> None:
    assert "processor time" in dci_es.METRIC.slow["original"]
    assert dci_es.METRIC.default_protocol not in dci_es.METRIC.slow
