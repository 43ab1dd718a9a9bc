"""The presets: each expands to its trials, cites its source, and its models train on images of the right shape."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from disentangle_bench import registry
from disentangle_bench.contracts import Dataset, ImageMetric
from disentangle_bench.studies.config import PRESETS, load_study, resolve_trials
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.process import threads
from disentangle_bench.training.trainer import Intervals, Trainer, build_model

TRIALS = {
    "quickstart": 3 * 2,
    "mini": 8 * 5,
    "ib-gan-dsprites": 3 * 32,
    "ib-gan-color-dsprites": 32,
    "ib-gan-chairs3d": 2 * 5,
    "ib-gan-celeba": 5,
    "infogan-cr-dsprites": 2 * 50,
    "infogan-mnist": 10,
    "c-infogan-mnist": 2 * 10,
    "infogan-digits": 3,
    "c-infogan-digits": 2 * 2,
    "quantised-shapes3d": 5 * 3,
    "locatello-dsprites": 6 * 6 * 50,
}
OURS = {"quickstart", "mini", "infogan-digits", "c-infogan-digits"}  # no published number belongs to them


def stand_in(name: str) -> Dataset:
    """Twelve random images of the shape and with the classes of a dataset, which need not be prepared."""
    cls = registry.get("dataset", name)
    classes = cls.factor_sizes[cls.factor_names.index(cls.label_factor)] if cls.label_factor else len(cls.class_names)

    class StandIn(Dataset):
        description, no_factors = "random images", "they are random"
        image_shape = cls.image_shape
        class_names = tuple(map(str, range(classes)))

        def __init__(self, root: Path) -> None:
            self.rows = np.random.default_rng(0).integers(256, size=(12, *self.image_shape), dtype=np.uint8)
            self.label_table = np.arange(12) % max(1, classes)
            self.checksum = hashlib.sha256(self.rows.tobytes()).hexdigest()

    StandIn.name = name
    return StandIn(Path())


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_a_preset_expands_to_its_trials_and_cites_its_source(preset):
    config = load_study(preset, {}, [])
    trials = resolve_trials(config, {name: stand_in(name) for name in config.datasets})
    assert len({trial.id for trial in trials}) == len(trials) == TRIALS[preset]
    text = (PRESETS / f"{preset}.yaml").read_text()
    if preset not in OURS:
        assert " 20" in text.split("description:")[0], "its comment should name the paper, with the year"
        dataset = config.datasets[0]
        assert all(trial.configuration.startswith(dataset.removesuffix("-train")) for trial in trials)


LARGE = {
    "ib-gan-celeba",
    "ib-gan-chairs3d",
    "infogan-cr-dsprites",
    "locatello-dsprites",
    "mini",
    "infogan-mnist",
    "quantised-shapes3d",
}


@pytest.mark.parametrize(
    "preset", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in sorted(TRIALS)]
)
def test_a_presets_models_train_20_steps(preset, tmp_path):
    config = load_study(preset, {}, ["batch_size=4"])
    data = {name: stand_in(name) for name in config.datasets}
    one_each = {(trial.model, trial.dataset): trial for trial in resolve_trials(config, data)}
    for trial in one_each.values():
        cls, settings = registry.get("model", trial.model), trial.typed_config()
        settings = settings.model_copy(update={"steps": 20})
        model = build_model(cls, settings, data[trial.dataset].image_shape, 0, data[trial.dataset].classes())
        images = DeviceImages(data[trial.dataset], model.device, model.image_range)
        with threads(1):
            trainer = Trainer(model, images, settings, 0, trial.id, tmp_path / f"{trial.id}.pt")
            trainer.train(Intervals(log=10, diagnose=20))
        assert trainer.step == 20


@pytest.mark.parametrize("preset", sorted(TRIALS))
def test_a_presets_metrics_take_its_datasets(preset):
    """What is skipped on every dataset of a study has no place in it."""
    config = load_study(preset, {}, [])
    for metric in config.metrics:
        chosen = registry.get("metric", metric)
        classes = [registry.get("dataset", name) for name in config.datasets]
        if not isinstance(chosen, ImageMetric) and chosen.needs_factors:
            assert all(cls.factor_names for cls in classes), metric
