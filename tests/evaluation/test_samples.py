"""A model's images: judged by metrics in a trial, beside noise and real images, and drawn for people."""

import numpy as np
import pytest
import torch
from PIL import Image

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.calibration import calibrate
from disentangle_bench.evaluation.samples import ModelSamples, draw
from disentangle_bench.evaluation.scoring import score_rows
from disentangle_bench.studies.config import load_study
from disentangle_bench.studies.plan import load_datasets, plan
from disentangle_bench.training.trainer import build_model
from disentangle_bench.trials.pending import Scoring, TrialOptions
from disentangle_bench.trials.trial import run_trial


def first_trial(place, models="gan", settings=()):
    config = load_study(None, {"models": models, "datasets": "tiny", "seeds": "0"}, ["steps=2", *settings])
    return plan(config, place, load_datasets(config.datasets, place)).trials[0]


def model_of(name, place, seed=0):
    cls = registry.get("model", name)
    data = registry.get("dataset", "tiny")(place.data)
    return build_model(cls, cls.configurations["small"], data.image_shape, seed, data.classes()), data


@pytest.mark.parametrize("name", ["gan", "vae", "infogan-original", "c-infogan"])
def test_samples_are_bytes_and_follow_the_generator(name, place):
    model, data = model_of(name, place)
    samples = ModelSamples(model, data, place.data)
    first, again, other = (samples.fake(300, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (first.shape, first.dtype) == ((300, 1, 16, 16), np.uint8)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert model.training, "sampling must leave the mode as it was"


def test_a_conditional_models_samples_are_of_the_classes_that_were_asked_for(place):
    model, data = model_of("cgan", place)
    asked = []
    made = model.generate_class
    model.generate_class = lambda codes, labels: (asked.append(labels), made(codes, labels))[1]
    _, labels = ModelSamples(model, data, place.data).fake_labelled(400, np.random.default_rng(0))
    assert torch.cat(asked).tolist() == labels.tolist()
    assert sorted(set(labels.tolist())) == [0, 1, 2]


def test_a_model_without_labels_says_so(place):
    model, data = model_of("gan", place)
    with pytest.raises(UserError, match="given no labels"):
        ModelSamples(model, data, place.data).fake_labelled(3, np.random.default_rng(0))
    with pytest.raises(NotImplementedError, match="is given no labels"):
        model.generate_class(torch.zeros(1, 10), torch.zeros(1, dtype=torch.int64))


def test_an_image_does_not_depend_on_the_others_of_its_batch(place):
    model, _ = model_of("dcgan", place)
    few, many = (draw(model, n, torch.Generator().manual_seed(0)) for n in (1, 200))
    codes = model.sample_codes(200, torch.Generator().manual_seed(0))
    assert many.shape[0] == 200
    alone = model.eval().generate(codes[:1])
    assert torch.allclose(alone, model.generate(codes)[:1], atol=1e-5)
    assert few.shape == (1, 1, 16, 16)


# --- in a trial


@pytest.fixture
def judged(place):
    """A metric of images that gives their mean, registered for one test."""
    registry._plugins["metric"]["brightness"] = BRIGHTNESS
    yield "brightness"
    del registry._plugins["metric"]["brightness"]


def brightness(samples, protocol, rng):
    return {"score": float(samples.fake(protocol, rng).mean() / 255), "real": float(samples.real(9, rng).mean())}


from disentangle_bench.contracts import ImageMetric  # noqa: E402

BRIGHTNESS = ImageMetric(
    name="brightness", title="Brightness", cite="none", compute=brightness, protocols={"50": 50, "slow": 51},
    slow={"slow": "it takes a while"},
)  # fmt: skip


def test_a_metric_of_images_is_scored_once_and_added_without_training(place, judged, capsys):
    spec = first_trial(place)
    record = run_trial(spec, place, TrialOptions(Scoring({"factor-vae": ["robust"]})))
    checkpoint = place.trial(spec.id) / "checkpoint.pt"
    before = checkpoint.stat().st_mtime_ns
    record = run_trial(spec, place, TrialOptions(Scoring({"factor-vae": ["robust"], judged: ["50"]}, repeats=3)))
    assert checkpoint.stat().st_mtime_ns == before
    assert 0 < record.scores[judged]["50"]["score"] < 1
    assert "sampling" not in record.scores[judged]["50"]
    assert record.scores["factor-vae"]["robust"]["sampling"]["repeats"] == 3
    # From the checkpoint, not from weights as they were before training:
    fresh = run_trial(spec, type(place)(place.results / "b", place.data, place.plugins),
                      TrialOptions(Scoring({judged: ["50"]})))  # fmt: skip
    assert fresh.scores[judged] == record.scores[judged]


def test_pictures_show_samples_and_a_conditional_models_classes(place):
    plain, labelled = first_trial(place), first_trial(place, "c-infogan")
    for spec in (plain, labelled):
        run_trial(spec, place, TrialOptions(Scoring({"factor-vae": ["robust"]})))
    sizes = [Image.open(place.trial(spec.id) / "samples.png").size for spec in (plain, labelled)]
    assert sizes[0][1] > sizes[1][1], "eight rows of samples, and one for each of three classes"


def test_noise_is_the_floor_and_real_images_are_the_ceiling(place, judged):
    data = registry.get("dataset", "tiny")(place.data)
    ends = calibrate(data, judged, "50", 7, place.results)
    assert ends["score"]["floor"] == pytest.approx(0.5, abs=0.01)
    assert ends["score"]["ceiling"] == pytest.approx(data.rows.mean() / 255, abs=0.02)
    assert calibrate(data, judged, "50", 3, place.results) == ends, "images have no codes whose width could matter"
    assert calibrate(data, judged, "slow", 7, place.results) == {}


def test_stored_codes_cannot_be_judged_as_images():
    with pytest.raises(UserError, match="frechet-random judges images, not codes"):
        score_rows(None, ["frechet-random"])


# --- on datasets without factors


def test_a_dataset_without_factors_gets_scores_of_codes_and_images_and_a_reason_for_the_rest(place, tmp_path):
    config = load_study(
        None,
        {"models": "c-infogan", "datasets": "digits", "seeds": "0"},
        ["steps=2", "metrics={factor-vae: [robust], unsupervised: [robust], label-accuracy: ['700']}"],
    )
    trial = plan(config, place, load_datasets(config.datasets, place)).trials[0]
    record = run_trial(trial, place, TrialOptions(Scoring(dict(config.metrics))))
    assert record.status == "finished"
    assert record.scores["factor-vae"]["robust"] == {
        "skip": "digits has no factors: its images are annotated with their digit alone"
    }
    assert record.scores["unsupervised"]["robust"]["mutual_information"] >= 0
    assert 0 <= record.scores["label-accuracy"]["700"]["score"] <= 1
    assert record.scores["label-accuracy"]["700"]["real"] > 0.9
    assert (record.classes, record.image_shape, record.evaluated) == (10, (1, 28, 28), (1797, 1797))
    assert (place.trial(trial.id) / "samples.png").exists()


@pytest.mark.parametrize(
    ("dataset", "settings", "added"),
    [("digits", [], True), ("tiny", [], False), ("digits", ["metrics={mig: [robust]}"], False)],
)
def test_by_default_a_dataset_without_factors_is_scored_by_what_needs_none(dataset, settings, added, place):
    config = load_study(None, {"models": "infogan-original", "datasets": dataset, "seeds": "0"}, settings)
    metrics = plan(config, place, load_datasets(config.datasets, place)).scoring.metrics
    assert ("unsupervised" in metrics and "frechet-random" in metrics) == added
