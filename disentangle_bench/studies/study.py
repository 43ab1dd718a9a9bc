"""A study as its `study.yaml` holds it: which trials, and how they are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from disentangle_bench.errors import UserError, unknown
from disentangle_bench.files import write_file
from disentangle_bench.settings import validated
from disentangle_bench.studies import plain_yaml
from disentangle_bench.studies.config import (
    IntervalsConfig,
    is_file_name,
    preset_names,
    read_study_file,
    study_name,
)
from disentangle_bench.training.trainer import Intervals
from disentangle_bench.trials.pending import Metrics, Scoring, TrialOptions
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec

STUDY_FORMAT = 1


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

    def datasets(self) -> list[str]:
        """The names of its datasets."""
        return list(dict.fromkeys(trial.dataset for trial in self.trials))

    def options(self, loggers: Sequence[str] = (), retries: int = 1) -> TrialOptions:
        """What each trial does beside training."""
        intervals = Intervals(**self.intervals.model_dump())
        return TrialOptions(self.scoring, intervals, tuple(loggers), self.name, retries)


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


def study_names(workspace: Workspace) -> list[str]:
    """The studies under the results root."""
    return sorted(file.parent.name for file in workspace.results.glob("*/study.yaml"))


def read_study(workspace: Workspace, name: str) -> Study:
    """A study by name; `UserError` where there is none or its file is damaged."""
    path = study_file(workspace, name)
    if name not in study_names(workspace) or not path.is_file():
        raise unknown(f"study under {workspace.results}:", name, study_names(workspace))
    return read_study_at(path)


def read_study_at(path: Path) -> Study:
    """The study in a `study.yaml`; `UserError` where that is damaged."""
    try:
        content = plain_yaml.load(path.read_text())
        if content["format"] != STUDY_FORMAT:
            raise ValueError(f"format {content['format']}")
        trials = []
        for cell in content["cells"]:
            seeds = cell.pop("seeds")
            trials += [validated(TrialSpec, {**cell, "seed": seed}, "") for seed in seeds]
        comparisons = content.get("comparisons", {})
        scoring = Scoring(content["metrics"], content.get("repeats", 1))
        intervals = validated(IntervalsConfig, content["intervals"], "intervals.")
        return Study(study_name(content["name"]), content["description"], scoring, comparisons, intervals, trials)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())[:200]}); delete it and run the study again: "
            "finished trials are found by their records."
        ) from error


def existing_study(source: str | None, workspace: Workspace) -> Study | None:
    """The study that `source` names, by its name under the results root or by its `study.yaml`; None: it names none.

    A preset's name stays the preset's, which asks for the same trials.
    """
    if source is None or source in preset_names():
        return None
    if not is_file_name(source):
        return read_study(workspace, source) if source in study_names(workspace) else None
    path = Path(source)
    return read_study_at(path) if path.is_file() and "cells" in read_study_file(source) else None
