"""Traversals sweep each code over what its prior says: a range, a normal's middle, or each of its values."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from disentangle_bench import registry
from disentangle_bench.models.base import Model
from disentangle_bench.pictures.traversal import STEPS, sweeps, traverse, write_traversal
from disentangle_bench.training.trainer import build_model
from tests.helpers import TESTS


def model(name: str, shape: tuple[int, int, int] = (1, 32, 32), **changes: object) -> Model:
    cls = registry.get("model", name)
    config = cls.configurations["small"].model_copy(update=changes)
    return build_model(cls, config, shape, 0, 3 if cls.conditional else 0)


@pytest.fixture(scope="module")
def plugin() -> Model:
    """A plugin's model that says nothing of its codes' range; they are N(0, I)."""
    registry.load_plugin(TESTS / "plugins/faulty.py")
    return model("faulty", (1, 16, 16))


@pytest.mark.parametrize(
    ("name", "changes", "ends"),
    [
        ("vae", {}, (-2, 2)),
        ("factor-vae", {}, (-2, 2)),
        ("ib-gan", {}, (-2, 2)),
        ("gan", {}, (-2, 2)),
        ("dcgan", {"prior": "normal"}, (-2, 2)),
        ("dcgan", {"prior": "uniform"}, (-1, 1)),
        ("infogan-modified", {}, (-1, 1)),
        ("cgan", {}, (0, 1)),
    ],
)
def test_a_range_is_that_of_the_prior(name: str, changes: dict[str, object], ends: tuple[float, float]) -> None:
    subject = model(name, **changes)
    assert len(sweeps(subject)) == subject.sample_codes(1, torch.Generator().manual_seed(0)).shape[1]
    for k, sweep in enumerate(sweeps(subject)):
        assert sweep.columns == [k]
        assert np.array_equal(sweep.values[:, 0], np.linspace(*ends, STEPS))


def test_a_model_that_says_no_range_is_swept_over_the_middle_of_its_own_codes(plugin: Model) -> None:
    for sweep in sweeps(plugin):
        assert sweep.values[0, 0] == pytest.approx(-2, abs=0.3)
        assert sweep.values[-1, 0] == pytest.approx(2, abs=0.3)
    assert np.array_equal(sweeps(plugin)[0].values, sweeps(plugin)[0].values)


def test_a_categorical_code_shows_each_of_its_values() -> None:
    hot, *others = sweeps(model("infogan-original", categorical=(3,), continuous=2))
    assert hot.columns == [0, 1, 2]
    assert np.array_equal(hot.values, np.eye(3))
    assert [(each.columns, each.values[0, 0], each.values[-1, 0]) for each in others] == [([3], -1, 1), ([4], -1, 1)]
    whole, *others = sweeps(model("infogan-original", categorical=(3,), continuous=1, encode_as="argmax"))
    assert (whole.columns, whole.values.tolist()) == ([0], [[0], [1], [2]])
    assert others[0].values[:, 0].tolist() == np.linspace(-1, 1, STEPS).tolist()


def test_only_the_swept_code_moves() -> None:
    subject = model("infogan-original", categorical=(3,), continuous=2)
    seen: list[torch.Tensor] = []
    generate = subject.generate
    subject.generate = lambda codes: seen.append(codes) or generate(codes)  # type: ignore[method-assign]
    rows = traverse(subject, 0, sweeps(subject))
    assert [len(row) for row in rows] == [3, STEPS, STEPS]
    (codes,) = seen
    first, second, third = codes[:3], codes[3 : 3 + STEPS], codes[3 + STEPS :]
    assert torch.equal(first[:, :3], torch.eye(3))
    assert len(first[:, 3:].unique(dim=0)) == len(second[:, [0, 1, 2, 4]].unique(dim=0)) == 1
    assert len(third[:, :4].unique(dim=0)) == 1
    assert rows[0].dtype == np.uint8


@pytest.mark.parametrize("name", ["vae", "infogan-original"])
def test_the_same_seed_gives_the_same_picture(name: str, tmp_path: Path) -> None:
    digests = []
    for seed in (0, 0, 1):
        write_traversal(model(name), seed, tmp_path / "t.png", name)
        digests.append(hashlib.sha256((tmp_path / "t.png").read_bytes()).hexdigest())
    assert digests[0] == digests[1] != digests[2]
