"""Studies and trials as they are typed: presets, settings, identities, and a sentence for every mistake."""

import pytest

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.studies.config import (
    PRESETS,
    IntervalsConfig,
    load_study,
    parse_seeds,
    resolve_configs,
    resolve_trials,
)
from disentangle_bench.studies.study import Study
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.trials.pending import Scoring
from disentangle_bench.trials.spec import TrialSpec


def study(place, *settings, **changes):
    return load_study(None, {"models": "ib-gan", "datasets": "tiny", "seeds": "0", **changes}, list(settings))


def trials(place, *settings, **changes):
    config = study(place, *settings, **changes)
    return resolve_trials(config, {"tiny": registry.get("dataset", "tiny")(place.data)})


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0-3", [0, 1, 2, 3]), ("5", [5]), ("0-1, 7,9-9", [0, 1, 7, 9]), (4, [4]), ([1, 2], [1, 2])],
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


def test_every_preset_loads():
    found = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    assert "quickstart" in found
    for name in found:
        assert load_study(name, {}, []).name == name


def test_the_quickstart_is_three_models_and_two_seeds(data_root):
    from disentangle_bench.datasets import load

    config = load_study("quickstart", {}, [])
    specs = resolve_trials(config, {"dsprites-32-draft": load("dsprites-32-draft", data_root)})
    assert len(specs) == 6
    assert {(spec.configuration, spec.config["steps"]) for spec in specs} == {("small-changed", 1_500)}


def test_the_published_preset_is_the_published_configuration(data_root):
    from disentangle_bench.datasets import load

    specs = resolve_trials(load_study("ib-gan-dsprites", {}, []), {"dsprites": load("dsprites", data_root)})
    assert len(specs) == 96
    assert {(s.configuration, s.config["steps"], s.config["batch_size"]) for s in specs} == {("dsprites", 150_000, 64)}


def test_settings_reach_models_and_study(place):
    [trial] = trials(place, "ib-gan.beta=0.2", "steps=50", "ib-gan.d_lr=1e-4", "numerics.threads=2")
    assert (trial.config["beta"], trial.config["steps"], trial.config["d_lr"]) == (0.2, 50, 1e-4)
    assert trial.numerics.threads == 2


def test_an_id_is_a_function_of_what_could_change_the_result(place):
    [base] = trials(place)
    assert base.id == trials(place)[0].id
    others = [
        trials(place, "ib-gan.beta=0.2")[0],
        trials(place, "steps=7")[0],
        trials(place, "numerics.threads=2")[0],
        trials(place, seeds="1")[0],
        base.model_copy(update={"dataset_checksum": "other"}),
        base.model_copy(update={"model_source": "other"}),
        base.model_copy(update={"code_format": 2}),
    ]
    assert len({base.id, *(other.id for other in others)}) == 8


def test_what_changes_no_result_changes_no_id(place):
    assert trials(place, "intervals.log=7", "metrics.factor-vae=robust")[0].id == trials(place)[0].id


def test_a_plugins_source_is_part_of_its_trials_identity(place):
    [trial] = trials(place, models="faulty")
    assert len(trial.model_source) == 64
    assert trials(place)[0].model_source is None


def test_a_spec_survives_its_own_json(place):
    [trial] = trials(place)
    assert TrialSpec.model_validate_json(trial.model_dump_json()).id == trial.id


@pytest.mark.parametrize(
    ("settings", "changes", "sentence"),
    [
        ([], {"models": "ib-gam"}, r"unknown model 'ib-gam'\. Did you mean 'ib-gan'\?"),
        (["ib-gan.bta=0.2"], {}, r"unknown field ib-gan\. 'bta'\. Did you mean 'beta'\?"),
        (["ib-gan.beta=big"], {}, r"ib-gan\.beta = 'big': input should be a valid number"),
        (["ib-gan.beta=-1"], {}, r"ib-gan\.beta = -1: input should be greater than or equal to 0"),
        (["steps=-5"], {}, r"steps = -5: input should be greater than or equal to 0"),
        (["batch_size=1"], {}, r"batch_size = 1: input should be greater than 1"),
        (["ib-gan.steps=1.5"], {}, r"ib-gan\.steps = 1\.5: input should be a valid integer"),
        (["stepz=5"], {}, r"unknown setting 'stepz'\. Did you mean 'steps'\?"),
        (["steps"], {}, r"--set steps: expected PATH=VALUE"),
        (["metrics.factor-vae=[locatelo]"], {}, r"unknown protocol of factor-vae 'locatelo'\. Did you mean"),
        (["metrics.factor-vea=[robust]"], {}, r"unknown metric 'factor-vea'\. Did you mean 'factor-vae'"),
        (["configuration=dsprits"], {}, r"unknown configuration of ib-gan 'dsprits'\. Did you mean 'dsprites'"),
        (["numerics.threads=0"], {}, r"numerics\.threads = 0: input should be greater than or equal to 1"),
        (["gan.d_lr=1"], {}, r"unknown model in overrides 'gan'"),
        (["sweep.ib-gan.bta=[1]"], {}, r"unknown field ib-gan\. 'bta'\. Did you mean 'beta'\?"),
        (["sweep.ib-gan.beta=[1, -1]"], {}, r"ib-gan\.beta = -1: input should be greater than or equal to 0"),
        (["sweep.ib-gan.beta=4"], {}, r"sweep\.ib-gan\.beta = 4: input should be a valid list"),
        (["sweep.ib-gan.beta=[]"], {}, r"sweep\.ib-gan\.beta = \[\]: list should have at least 1 item"),
        (["sweep.gan.d_lr=[1]"], {}, r"unknown model in sweep 'gan'"),
        (
            ["sweep.ib-gan.beta=[1]", "ib-gan.beta=2"],
            {},
            r"sweep\.ib-gan\.beta: the study also sets beta = 2; remove one",
        ),
        (["sweep.ib-gan.steps=[1]", "steps=2"], {}, r"sweep\.ib-gan\.steps: the study also sets steps = 2; remove one"),
        ([], {"seeds": "3-1"}, r"seeds = '3-1': the range '3-1' runs backwards"),
        ([], {"seeds": "many"}, r"seeds = 'many': 'many' is not a list of seeds"),
        ([], {"models": ""}, r"models = .*at least 1 item"),
        ([], {"name": "../up"}, r"name = '\.\./up': a study's name has letters, digits"),
    ],
)
def test_a_mistake_gets_a_sentence(place, settings, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        trials(place, *settings, **changes)


def test_a_changed_configuration_no_longer_has_the_published_name(place):
    assert trials(place, "configuration=dsprites")[0].configuration == "dsprites"
    assert trials(place, "configuration=dsprites", "ib-gan.beta=5")[0].configuration == "dsprites-changed"
    assert trials(place, "configuration=dsprites", "ib-gan.beta=0.141")[0].configuration == "dsprites"


def test_a_swept_value_stands_in_the_name_and_makes_a_cell(place):
    found = trials(place, "sweep.ib-gan.beta=[0.1, 2]", "sweep.ib-gan.r_dim=[5, 10]", seeds="0-2")
    assert len(found) == len({trial.id for trial in found}) == 2 * 2 * 3
    names = list(dict.fromkeys(trial.configuration for trial in found))
    assert names == [
        "small(beta=0.1,r_dim=5)",
        "small(beta=0.1,r_dim=10)",
        "small(beta=2,r_dim=5)",
        "small(beta=2,r_dim=10)",
    ]
    assert [found[0].config["beta"], found[0].config["r_dim"]] == [0.1, 5]
    assert found[0].title == "ib-gan(beta=0.1,r_dim=5) tiny seed 0"
    cells = Study("s", "", Scoring({}), {}, IntervalsConfig(), found).cells()
    assert [len(cell) for cell in cells.values()] == [3, 3, 3, 3]


def test_a_sweep_of_one_model_leaves_the_others_alone(place):
    found = trials(place, "sweep.ib-gan.beta=[0.1, 0.2]", models="ib-gan,gan")
    assert [trial.label for trial in found] == ["ib-gan(beta=0.1)", "ib-gan(beta=0.2)", "gan"]
    assert found[2].id == trials(place, models="gan")[0].id


def test_a_value_given_twice_is_trained_once(place):
    assert len(trials(place, "sweep.ib-gan.beta=[1, 1.0, 2]")) == 2


def test_what_is_swept_does_not_count_as_changed_and_what_is_set_does(place):
    [trial] = trials(place, "configuration=dsprites", "sweep.ib-gan.beta=[0.141]")
    assert trial.configuration == "dsprites(beta=0.141)"
    [trial] = trials(place, "configuration=dsprites", "sweep.ib-gan.beta=[0.141]", "steps=9")
    assert trial.configuration == "dsprites(beta=0.141)-changed"
    assert trial.label == "ib-gan(beta=0.141)"


def test_locatellos_preset_is_the_published_sweep(data_root):
    from disentangle_bench.datasets import load

    specs = resolve_trials(load_study("locatello-dsprites", {}, []), {"dsprites": load("dsprites", data_root)})
    assert len(specs) == len({spec.id for spec in specs}) == 6 * 6 * 50
    values: dict[str, list[str]] = {}
    for spec in specs:
        if spec.seed == 0:
            values.setdefault(spec.model, []).append(spec.configuration)
    assert values["beta-vae"] == [f"dsprites(beta={beta})" for beta in (1, 2, 4, 6, 8, 16)]
    assert values["annealed-vae"][3] == "dsprites(c_max=50)"
    assert {spec.config["steps"] for spec in specs} == {300_000, 150_000}
    assert {spec.config["lambda_d_factor"] for spec in specs if spec.model == "dip-vae-i"} == {10}


def test_files_that_are_not_studies_get_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"unknown preset or study 'quikstart'\. Did you mean 'quickstart'"):
        load_study("quikstart", {}, [])
    with pytest.raises(UserError, match="is not there"):
        load_study(str(tmp_path / "none.yaml"), {}, [])
    broken = tmp_path / "broken.yaml"
    broken.write_text("models: [a")
    with pytest.raises(UserError, match="can't be read as YAML"):
        load_study(str(broken), {}, [])
    broken.write_text("- a")
    with pytest.raises(UserError, match="must hold fields"):
        load_study(str(broken), {}, [])
    broken.write_text("models: [gan]\ndatasets: [dsprites]\nsteeps: 3")
    with pytest.raises(UserError, match=r"unknown field 'steeps'.*Did you mean 'steps'"):
        load_study(str(broken), {}, [])
    with pytest.raises(UserError, match="datasets is missing"):
        load_study(None, {"models": "gan"}, [])


def test_cuda_where_there_is_none_gets_a_sentence(place):
    with pytest.raises(UserError, match=r"numerics\.device is cuda, but torch sees no CUDA device"):
        trials(place, "numerics.device=cuda")
    assert trials(place)[0].numerics == Numerics(device="cpu", threads=1)


def test_protocols_named_as_numbers_may_be_given_as_such():
    study = load_study(None, {"models": "vae", "datasets": "dsprites-32"}, ["metrics.grid-quality=[200]"])
    assert study.metrics["grid-quality"] == ["200"]


@pytest.mark.parametrize(
    ("model", "dataset", "configuration"),
    [("cgan", "mnist-test", "mnist"), ("ib-gan", "celeba-squash-train", "celeba"), ("ib-gan", "dsprites-32", "small")],
)
def test_a_member_of_a_family_has_the_familys_configuration(model, dataset, configuration):
    study = load_study(None, {"models": model, "datasets": dataset}, [])
    assert list(resolve_configs(study, model, dataset)) == [configuration]
