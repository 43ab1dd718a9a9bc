"""Studies made up for reports: records and files as trials leave them, without a training."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from disentangle_bench.studies.config import IntervalsConfig
from disentangle_bench.studies.study import Study, write_study
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.trials.pending import Scoring
from disentangle_bench.trials.records import Record, Workspace, write_record
from disentangle_bench.trials.spec import TrialSpec
from tests.helpers import MINI_RECORDS

METRICS = {"factor-vae": ["robust"], "mig": ["robust"]}
KINDS = ("traversal", "samples")


def spec(model: str, seed: int, dataset: str = "dsprites-32") -> TrialSpec:
    return TrialSpec(
        model=model, model_source=None, configuration="small", config={"steps": 100, "lr": 0.001}, dataset=dataset,
        dataset_checksum="c0ffee", seed=seed, numerics=Numerics(),
    )  # fmt: skip


def record(trial: TrialSpec, value: float) -> Record:
    scores = {"factor-vae": {"robust": {"score": value}}, "mig": {"robust": {"score": value / 10}}}
    return Record(
        id=trial.id, spec=trial, status="finished", code_source="encoder", code_width=10, scores=scores,
        environment={"device": "a machine", "torch": "2.13.0"}, seconds={"train": 60.0, "encode": 3.0},
        parameters={"vae": 1000},
    )  # fmt: skip


def made_up(place: Workspace, models: Sequence[str], seeds: int, name: str = "made-up") -> Study:
    """A study of these models whose trials all finished: model k's seed s scores 0.9 - k / 10 + s / 1000."""
    trials = [spec(model, seed) for model in models for seed in range(seeds)]
    study = Study(name, "Made up for a test.", Scoring(METRICS), {}, IntervalsConfig(), trials)
    write_study(study, place)
    for trial in trials:
        value = 0.9 - models.index(trial.model) / 10 + trial.seed / 1000
        write_record(place.record(trial.id), record(trial, value))
    return study


def mini(place: Workspace) -> Path:
    """The study mini as the repository has it, an archive of records; its folder."""
    return Path(shutil.copytree(MINI_RECORDS.parent, place.study("mini")))
