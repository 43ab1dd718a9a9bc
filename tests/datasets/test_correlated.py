"""Correlated factors: what training draws against numeric integration, and what stays as it is."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.stats import chisquare

from disentangle_bench import conformance, registry
from disentangle_bench.datasets import load
from disentangle_bench.datasets.correlated import grid_weights
from disentangle_bench.datasets.folder import Folder
from disentangle_bench.errors import UserError
from disentangle_bench.studies.config import load_study, resolve_trials
from disentangle_bench.training.images import DeviceImages
from tests.helpers import ROOT

NAME = "dsprites-circular-corr-0.1-angle+radius"
SIGMAS = st.floats(0.02, 10)
SIZES = st.lists(st.integers(2, 6), min_size=2, max_size=4)


def integrated(sigma: float) -> float:
    """The correlation of two numbers in [0, 1] with density ∝ exp(−(x − y)² / 2σ²)."""

    def mean(f):
        return dblquad(lambda y, x: f(x, y) * np.exp(-((x - y) ** 2) / (2 * sigma**2)), 0, 1, 0, 1, epsabs=1e-7)[0]

    whole = mean(lambda x, y: 1.0)
    variance = mean(lambda x, y: (x - 0.5) ** 2) / whole
    return mean(lambda x, y: (x - 0.5) * (y - 0.5)) / whole / variance


def correlation(table: np.ndarray) -> float:
    """Of the values' numbers, under a joint distribution (m, n)."""
    x, y = np.meshgrid(*map(np.arange, table.shape), indexing="ij")
    return float(np.cov(np.stack([x.ravel(), y.ravel()]), aweights=table.ravel(), ddof=0)[0, 1]) / float(
        np.sqrt(np.cov(x.ravel(), aweights=table.ravel(), ddof=0) * np.cov(y.ravel(), aweights=table.ravel(), ddof=0))
    )


def test_worked_by_hand() -> None:
    """Three values beside two, σ = 0.5: distances 0, ½ and 1, so exponents 0, −½ and −2."""
    near, far = np.exp(-0.5), np.exp(-2)
    assert grid_weights((3, 2), [(0, 1)], 0.5) == pytest.approx([1, far, near, near, far, 1])
    both = grid_weights((2, 2, 2), [(0, 1), (0, 2)], 0.5).reshape(2, 2, 2)
    assert both[0] == pytest.approx(np.array([[1, far], [far, far**2]]))


@pytest.mark.parametrize("sigma", [0.4, 0.1, 0.04])
def test_the_correlation_is_the_integrals(sigma: float) -> None:
    fine = grid_weights((400, 400), [(0, 1)], sigma).reshape(400, 400)
    assert correlation(fine) == pytest.approx(integrated(sigma), abs=0.005)


@given(SIZES, SIGMAS)
def test_a_pair_correlates_and_leaves_the_others_alone(sizes: list[int], sigma: float) -> None:
    joint = grid_weights(sizes, [(0, 1)], sigma).reshape(sizes)
    joint = joint / joint.sum()
    pair = joint.sum(axis=tuple(range(2, len(sizes))))
    assert correlation(pair) > 0
    assert correlation(pair) >= correlation(grid_weights(sizes[:2], [(0, 1)], 2 * sigma).reshape(sizes[:2])) - 1e-9
    assert pair == pytest.approx(pair[::-1, ::-1]), "small values are as frequent as large ones"
    for k in range(2, len(sizes)):
        others = tuple(each for each in range(len(sizes)) if each != k)
        assert joint.sum(axis=others) == pytest.approx(1 / sizes[k])


@given(SIZES)
def test_without_end_it_is_the_uniform_grid(sizes: list[int]) -> None:
    weights = grid_weights(sizes, [(0, 1)], 1e6)
    assert weights / weights.sum() == pytest.approx(1 / np.prod(sizes), rel=1e-9)


def test_what_is_drawn_has_that_distribution(tmp_path: Path) -> None:
    data = load(NAME, tmp_path)
    images = DeviceImages(data, torch.device("cpu"), (0.0, 1.0))
    index = images.draw(100_000, torch.Generator().manual_seed(0)).numpy()
    weights = data.draw_weights()
    for k in range(2):
        value = data.factors(np.arange(len(data)))[:, k]
        expected = np.bincount(value, weights=weights / weights.sum()) * len(index)
        assert chisquare(np.bincount(value[index], minlength=len(expected)), expected).pvalue > 0.001
    angle, radius = data.factors(index).T
    assert np.corrcoef(angle, radius)[0, 1] == pytest.approx(correlation(weights.reshape(data.factor_sizes)), abs=0.01)
    assert (
        images.draw(5, torch.Generator().manual_seed(1)).tolist()
        == images.draw(5, torch.Generator().manual_seed(1)).tolist()
    )


def test_an_image_of_weight_0_is_never_drawn(tmp_path: Path) -> None:
    data = load("dsprites-circular-corr-0.001-angle+radius", tmp_path)
    weights = data.draw_weights()
    drawn = DeviceImages(data, torch.device("cpu"), (0.0, 1.0)).draw(50_000, torch.Generator().manual_seed(0))
    assert (weights == 0).any()
    assert (weights[drawn.numpy()] > 0).all()


def test_a_whole_grid_is_drawn_as_before(tmp_path: Path) -> None:
    images = DeviceImages(load("dsprites-circular", tmp_path), torch.device("cpu"), (0.0, 1.0))
    rngs = [torch.Generator().manual_seed(3) for _ in range(2)]
    assert torch.equal(images.draw(64, rngs[0]), torch.randint(1080, (64,), generator=rngs[1]))


def test_all_but_the_training_is_the_whole_grid(tmp_path: Path) -> None:
    whole, data = load("dsprites-circular", tmp_path), load(NAME, tmp_path)
    assert data.name == NAME
    assert data.checksum == whole.checksum + "-corr-0.1-angle+radius"
    assert np.array_equal(data.evaluation(), whole.evaluation())
    assert np.array_equal(data.images(np.arange(9)), whole.images(np.arange(9)))
    assert [path.name for path in tmp_path.glob("*.h5")] == ["dsprites-circular.h5"]
    again = pickle.loads(pickle.dumps(data))
    assert type(again) is type(data)
    assert np.array_equal(again.draw_weights(), data.draw_weights())


@pytest.mark.parametrize("name", [NAME, NAME + "-draft", "dsprites-circular-corr-2-angle+all"])
def test_it_conforms(name: str, tmp_path: Path) -> None:
    load(name, tmp_path)
    findings = conformance.check("dataset", registry.get("dataset", name), tmp_path)
    assert {finding.status for finding in findings} == {"passed"}


def test_a_draft_of_it_draws_as_it_does(tmp_path: Path) -> None:
    assert np.array_equal(load(NAME + "-draft", tmp_path).draw_weights(), load(NAME, tmp_path).draw_weights())


def test_one_factor_with_all_others(data_root: Path) -> None:
    data = load("dsprites-corr-0.1-scale+all", data_root)
    assert data.pairs == ((1, 0), (1, 2), (1, 3), (1, 4))
    assert data.draw_weights()[data.index([2, 5, 39, 31, 31])] == 1


@pytest.mark.parametrize(
    ("correlation", "words"),
    [
        ("0-scale+posX", "σ, a number above 0"),
        ("0.10-scale+posX", "not '0.10'"),
        ("x-scale+posX", "not 'x'"),
        ("-0.1-scale+posX", "not ''"),
        ("0.1-posX+scale", r"factors' order; write scale\+posX"),
        ("0.1-scale+scale", "name two factors"),
        ("0.1-scale+posX-scale+posX", r"write scale\+posX\."),
        ("0.1-scale+posZ", "unknown factor 'posZ'. Did you mean 'pos"),
        ("0.1-all+scale", "unknown factor 'all'"),
        ("0.1-scale+all-posX+posY", r"scale\+all stands alone"),
        ("0.1-scale+posX+posY", "is no pair"),
        ("0.1-shape+scale-shape+posX-shape+posY-scale+posX", "names 4 pairs"),
    ],
)
def test_what_its_name_cant_say(correlation: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        registry.get("dataset", f"dsprites-corr-{correlation}")


def test_names_that_are_no_correlated_ones() -> None:
    with pytest.raises(UserError, match="write -draft at its end"):
        registry.get("dataset", "dsprites-draft-corr-0.1-scale+posX")
    with pytest.raises(UserError, match="unknown dataset"):
        registry.get("dataset", "no-such-corr-0.1-a+b")
    assert issubclass(registry.get("dataset", "folder-my-corr-set"), Folder)


def test_what_is_no_full_grid_cant_correlate(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="are no full grid"):
        load("digits-corr-0.1-a+b", tmp_path)


def test_its_trials_are_others_and_their_records_name_it(tmp_path: Path) -> None:
    names = ["dsprites-circular", NAME]
    config = load_study(None, {"models": "beta-vae", "datasets": ",".join(names), "seeds": "0"}, [])
    trials = resolve_trials(config, {name: load(name, tmp_path) for name in names})
    assert [trial.dataset for trial in trials] == names
    assert len({trial.id for trial in trials}) == 2


def test_the_cards_numbers_are_the_integrals() -> None:
    rows = [row for row in (ROOT / "datasets/correlated.md").read_text().splitlines() if row.startswith("| σ |")]
    sigmas = [float(cell) for cell in rows[0].split("|")[2:-1]]
    after = (ROOT / "datasets/correlated.md").read_text().split("| correlation |")[1].splitlines()[0]
    said = [float(cell) for cell in after.split("|")[:-1]]
    assert said == [pytest.approx(integrated(sigma), abs=0.005) for sigma in sigmas]
