"""What a trial's identity is made of, and what of it is new: older trials keep their ids."""

import pytest

from disentangle_bench import registry
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.trials.records import read_record
from disentangle_bench.trials.spec import TrialSpec
from tests.helpers import MINI_RECORDS


def spec(model="vae", configuration="small", **changes) -> TrialSpec:
    config = registry.get("model", model).configurations["small"].model_dump(mode="json")
    return TrialSpec(
        model=model, configuration=configuration, config=config, dataset="tiny", dataset_checksum="c", seed=0,
        numerics=Numerics(), **changes,
    )  # fmt: skip


def test_a_models_first_version_is_not_written_and_later_ones_are_other_trials():
    first, second = spec(), spec(model_version=2)
    assert "model_version" not in first.model_dump()
    assert second.model_dump()["model_version"] == 2
    assert len({first.id, spec(model_version=1).id, second.id}) == 2
    for each in (first, second):
        assert TrialSpec.model_validate_json(each.model_dump_json()) == each


def test_the_ids_of_recorded_trials_are_those_of_their_specifications():
    records = [read_record(path) for path in MINI_RECORDS.glob("*.json")]
    assert len(records) == 40
    assert all(record.spec.id == record.id for record in records)


@pytest.mark.parametrize(
    ("configuration", "shown"),
    [
        ("small", "small(version=1)"),
        ("small-changed", "small(version=1)-changed"),
        ("small(beta=4)-changed", "small(beta=4)(version=1)-changed"),
    ],
)
def test_an_outdated_trial_says_so_in_its_name(configuration, shown, monkeypatch):
    trial = spec(configuration=configuration)
    assert (trial.outdated, trial.shown_configuration) == (False, configuration)
    monkeypatch.setattr(registry.get("model", "vae"), "version", 2)
    assert (trial.outdated, trial.shown_configuration) == (True, shown)
    assert trial.label == "vae" + shown.removeprefix("small").removesuffix("-changed")
    assert not spec(configuration=configuration, model_version=2).outdated
    assert trial.changes() == {}


def test_a_model_that_is_not_at_hand_is_not_called_outdated():
    trial = spec().model_copy(update={"model": "somebodys-own", "model_source": "0" * 64})
    assert not trial.outdated
    assert trial.title == "somebodys-own tiny seed 0"
