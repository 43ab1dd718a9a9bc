"""A study on disk: which trials it holds, what came of each, and the guard against changing it unawares."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from filelock import Timeout

from disentangle_bench import datasets, registry
from disentangle_bench.contracts import Dataset, ImageMetric, Progress, silent
from disentangle_bench.errors import UserError, unknown
from disentangle_bench.files import make_folder, write_file
from disentangle_bench.settings import validated
from disentangle_bench.studies.config import IntervalsConfig, StudyConfig, resolve_trials
from disentangle_bench.training.trainer import Intervals
from disentangle_bench.trials.pending import Metrics, Scoring, TrialOptions, existing_record, has_codes, missing_scores
from disentangle_bench.trials.records import Workspace, read_record
from disentangle_bench.trials.spec import TrialSpec

STUDY_FORMAT = 1
WITHOUT_FACTORS: Metrics = {"unsupervised": ["robust"], "frechet-random": ["conv-1k"]}
State = Literal["finished", "diverged", "failed", "running", "interrupted", "waiting"]


@dataclass(frozen=True)
class Study:
    """The trials of a study and how they are scored, as its `study.yaml` holds them."""

    name: str
    description: str
    scoring: Scoring
    comparisons: Metrics
    intervals: IntervalsConfig
    trials: list[TrialSpec]

    def cells(self) -> dict[tuple[str, str], list[TrialSpec]]:
        """Trials by (dataset, model's label): the same but for the seed."""
        cells: dict[tuple[str, str], list[TrialSpec]] = {}
        for trial in self.trials:
            cells.setdefault((trial.dataset, trial.label), []).append(trial)
        return cells

    def options(self, tensorboard: bool = False, retries: int = 1) -> TrialOptions:
        """What each trial does beside training."""
        return TrialOptions(self.scoring, Intervals(**self.intervals.model_dump()), tensorboard, retries)


def load_datasets(config: StudyConfig, workspace: Workspace, progress: Progress = silent) -> dict[str, Dataset]:
    """The study's datasets, prepared where they are missing."""
    return {name: datasets.load(name, workspace.data, progress=progress) for name in config.datasets}


def prepare_metrics(
    study: Study, workspace: Workspace, data: Mapping[str, Dataset], progress: Progress = silent
) -> None:
    """Have at hand what the study's metrics of images need, such as Inception's weights, before anything is trained."""
    for name in study.scoring.metrics:
        metric = registry.get("metric", name)
        if not isinstance(metric, ImageMetric):
            continue
        least = min(getattr(metric.protocols[each], "images", 0) for each in study.scoring.metrics[name])
        if any(metric.reason_to_skip(each) is None and len(each) >= least for each in data.values()):
            metric.prepare(workspace.data, progress)


def metrics_for(config: StudyConfig, data: Iterable[Dataset]) -> Metrics:
    """The study's metrics; where it names none, and a dataset has no factors to score by, those that need none, too."""
    if "metrics" in config.model_fields_set or all(each.factor_names for each in data):
        return dict(config.metrics)
    return config.metrics | WITHOUT_FACTORS


def plan(config: StudyConfig, workspace: Workspace, data: dict[str, Dataset]) -> Study:
    """The study that the configuration asks for, joined with what it already holds.

    More models, datasets, seeds or metrics extend a study. Any other change to a cell that has records raises
    `UserError` with the difference.
    """
    scoring = Scoring(metrics_for(config, data.values()), config.repeats)
    trials = resolve_trials(config, data)
    new = Study(config.name, config.description, scoring, dict(config.comparisons), config.intervals, trials)
    path = study_file(workspace, config.name)
    if not path.exists():
        return new
    old = read_study(workspace, config.name)
    for metric in old.scoring.metrics:
        if metric not in registry.names("metric"):
            raise UserError(
                f"study '{old.name}' also scores '{metric}', which is not known here; give its --plugin, "
                f"or remove it from `metrics` in {path}."
            )
    cells = new.cells()
    for key, trials in old.cells().items():
        before, after = trials[0].without_seed(), cells[key][0].without_seed() if key in cells else None
        if after is not None and completed(trials[0]) == after:  # perhaps of an older version, with fewer settings
            earlier = {trial.seed: trial for trial in trials}
            cells[key] = [earlier.pop(trial.seed, trial) for trial in cells[key]] + list(earlier.values())
            continue
        recorded = [trial for trial in trials if existing_record(workspace, trial) is not None]
        if after is not None and before != after:
            if recorded:
                raise UserError(
                    f"study '{config.name}' has {len(recorded)} records of {key[1]} on {key[0]} that were made with "
                    f"another configuration: {difference(before, after)}. Give this one its own name with --name, "
                    f"or delete {workspace.study(config.name)} to begin anew."
                )
            continue
        known = {trial.id for trial in cells.get(key, [])}
        cells[key] = cells.get(key, []) + [trial for trial in trials if trial.id not in known]
    ordered = [trial for trials in cells.values() for trial in sorted(trials, key=lambda trial: trial.seed)]
    metrics, comparisons = (
        {name: list(dict.fromkeys([*asked.get(name, []), *before.get(name, [])])) for name in [*asked, *before]}
        for asked, before in ((new.scoring.metrics, old.scoring.metrics), (new.comparisons, old.comparisons))
    )
    scoring = Scoring(metrics, max(new.scoring.repeats, old.scoring.repeats))
    return Study(new.name, new.description, scoring, comparisons, new.intervals, ordered)


def completed(trial: TrialSpec) -> dict[str, Any]:
    """A specification but for its seed, with the defaults of settings that its version did not have."""
    try:
        config = trial.typed_config().model_dump(mode="json")
    except UserError:  # it had settings that are gone
        config = trial.config
    return trial.without_seed() | {"config": config}


def difference(before: dict[str, Any], after: dict[str, Any], path: str = "") -> str:
    """The fields in which two specifications differ, as `field: old -> new`."""
    found = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found.append(difference(old, new, f"{path}{key}."))
        elif old != new:
            found.append(f"{path}{key}: {short(old)} -> {short(new)}")
    return ", ".join(part for part in found if part)


def short(value: Any) -> str:
    """A value for a message; a checksum is cut to what tells it apart."""
    text = str(value)
    return text if len(text) <= 32 else text[:12] + "…"


def study_file(workspace: Workspace, name: str) -> Path:
    """A study's `study.yaml`."""
    return workspace.study(name) / "study.yaml"


def write_study(study: Study, workspace: Workspace) -> None:
    """Save the study beside its results, every setting written out."""
    cells = [{**trials[0].without_seed(), "seeds": [t.seed for t in trials]} for trials in study.cells().values()]
    content = {
        "format": STUDY_FORMAT,
        "name": study.name,
        "description": study.description,
        "metrics": study.scoring.metrics,
        "repeats": study.scoring.repeats,
        "comparisons": study.comparisons,
        "intervals": study.intervals.model_dump(),
        "cells": cells,
    }
    write_file(study_file(workspace, study.name), yaml.safe_dump(content, sort_keys=False, width=100))


def read_study(workspace: Workspace, name: str) -> Study:
    """A study by name; `UserError` where there is none or its file is damaged."""
    path = study_file(workspace, name)
    if not path.is_file():
        known = [file.parent.name for file in workspace.results.glob("*/study.yaml")]
        raise unknown(f"study under {workspace.results}:", name, known)
    try:
        content = yaml.safe_load(path.read_text())
        if content["format"] != STUDY_FORMAT:
            raise ValueError(f"format {content['format']}")
        trials = []
        for cell in content["cells"]:
            seeds = cell.pop("seeds")
            trials += [validated(TrialSpec, {**cell, "seed": seed}, "") for seed in seeds]
        comparisons = content.get("comparisons", {})
        scoring = Scoring(content["metrics"], content.get("repeats", 1))
        intervals = validated(IntervalsConfig, content["intervals"], "intervals.")
        return Study(content["name"], content["description"], scoring, comparisons, intervals, trials)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())[:200]}); delete it and run the study again: "
            "finished trials are found by their records."
        ) from error


def state(trial: TrialSpec, workspace: Workspace, scoring: Scoring) -> State:
    """What became of a trial so far."""
    path = workspace.record(trial.id)
    running = (workspace.trial(trial.id) / "progress.json").exists() and is_locked(trial, workspace)
    if path.exists() and not running:
        record = read_record(path)
        lacks = missing_scores(record, scoring) or not has_codes(record, workspace)
        return "waiting" if lacks else record.status
    if running:
        return "running"
    folder = workspace.trial(trial.id)
    return "interrupted" if (folder / "checkpoint.pt").exists() else "waiting"


def is_locked(trial: TrialSpec, workspace: Workspace) -> bool:
    """Whether a process is at work on the trial."""
    lock = workspace.lock(trial.id)
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def pending(study: Study, workspace: Workspace) -> list[TrialSpec]:
    """The trials that still need work: no record yet, a crash to try again, or a metric to add."""
    done = {"finished", "diverged"}
    return [trial for trial in study.trials if state(trial, workspace, study.scoring) not in done]


def count_states(study: Study, workspace: Workspace) -> Counter[State]:
    """How many trials are in each state."""
    return Counter(state(trial, workspace, study.scoring) for trial in study.trials)


def collect_pictures(study: Study, workspace: Workspace) -> list[Path]:
    """Copy the trials' traversals and samples into two folders of the study, under names that people can read."""
    folders = []
    for kind in ("traversal", "samples"):
        folder = workspace.study(study.name) / f"{kind.removesuffix('s')}s"
        make_folder(folder)
        folders.append(folder)
        for trial in study.trials:
            picture = workspace.trial(trial.id) / f"{kind}.png"
            if picture.exists():
                name = f"{trial.label}_{trial.dataset}_seed{trial.seed}.png"
                shutil.copyfile(picture, folder / re.sub(r"[^\w.=,()+-]", "-", name))  # a swept text may hold a slash
    return folders
