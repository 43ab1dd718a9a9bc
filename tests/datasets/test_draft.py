"""Drafts: whole datasets to train on, a fixed sample of them to score."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from disentangle_bench import registry
from disentangle_bench.datasets import load
from disentangle_bench.datasets.draft import IMAGES
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.calibration import calibrate


def test_a_draft_trains_on_all_and_is_scored_on_a_sample(data_root: Path) -> None:
    whole, draft = load("dsprites-32", data_root), load("dsprites-32-draft", data_root)
    sample = draft.evaluation()
    assert (len(draft), draft.image_shape, draft.factor_sizes) == (len(whole), whole.image_shape, whole.factor_sizes)
    assert len(sample) == len(set(sample)) == IMAGES
    assert (np.diff(sample) > 0).all()
    assert np.array_equal(sample, load("dsprites-32-draft", data_root).evaluation())
    assert np.array_equal(draft.images(sample[:50]), whole.images(sample[:50]))
    values = draft.factors(sample)
    assert [len(np.unique(column)) for column in values.T] == list(whole.factor_sizes)


def test_a_draft_is_another_dataset_in_every_identity(data_root: Path) -> None:
    whole, draft = load("dsprites-32", data_root), load("dsprites-32-draft", data_root)
    assert draft.name == "dsprites-32-draft"
    assert draft.checksum != whole.checksum
    assert registry.get("dataset", "dsprites-32-draft") is type(draft)
    assert registry.families("dsprites-32-draft")[0] == "dsprites-32"


def test_a_draft_shares_the_prepared_file(data_root: Path) -> None:
    whole, draft = (registry.get("dataset", name) for name in ("dsprites", "dsprites-draft"))
    assert draft.prepared(data_root) == whole.prepared(data_root) == draft.prepare(data_root)


def test_a_small_dataset_is_its_own_draft(tmp_path: Path) -> None:
    draft = load("dsprites-circular-draft", tmp_path)
    assert np.array_equal(draft.evaluation(), np.arange(1080))
    assert (tmp_path / "dsprites-circular.h5").exists()


def test_members_of_families_have_drafts(data_root: Path) -> None:
    assert registry.get("dataset", "celeba-squash-test-draft").whole.name == "celeba-squash-test"
    colours = load("dsprites-color8-draft", data_root)
    assert set(colours.evaluation()) <= set(load("dsprites-color8", data_root).evaluation())
    with pytest.raises(UserError, match=r"unknown dataset 'no-such-draft'"):
        registry.get("dataset", "no-such-draft")


def test_a_pickled_draft_is_its_place(data_root: Path) -> None:
    draft = load("dsprites-32-draft", data_root)
    content = pickle.dumps(draft)
    assert len(content) < 1_000
    again = pickle.loads(content)
    assert type(again) is type(draft)
    assert np.array_equal(again.evaluation(), draft.evaluation())


def test_floors_and_ceilings_are_of_the_sample(data_root: Path) -> None:
    ends = calibrate(load("dsprites-32-draft", data_root), "factor-vae", "robust", 10)
    assert ends["score"]["ceiling"] == 1
    assert 0 < ends["score"]["floor"] < 0.35
