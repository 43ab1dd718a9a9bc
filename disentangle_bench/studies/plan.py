"""What a study is to hold: its trials planned, and joined with those that it has; refused where they contradict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from disentangle_bench import datasets, registry
from disentangle_bench.contracts import Dataset, ImageMetric, Progress, silent
from disentangle_bench.errors import UserError
from disentangle_bench.studies.config import StudyConfig, parse_seeds, resolve_trials, seed_ranges
from disentangle_bench.studies.study import Study, read_study, study_file
from disentangle_bench.trials.pending import Metrics, Scoring, existing_record
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec

WITHOUT_FACTORS: Metrics = {"unsupervised": ["robust"], "frechet-random": ["conv-1k"]}


def unprepared(names: Iterable[str], workspace: Workspace) -> list[str]:
    """The datasets among these that are not prepared yet."""
    return [name for name in names if registry.get("dataset", name).prepared(workspace.data) is None]


def load_datasets(names: Iterable[str], workspace: Workspace, progress: Progress = silent) -> dict[str, Dataset]:
    """Datasets by name, prepared where they are missing."""
    return {name: datasets.load(name, workspace.data, progress=progress) for name in names}


def verify_datasets(data: Mapping[str, Dataset], progress: Progress = silent) -> None:
    """Hash again what is stored of each dataset; `UserError` where it is not what was prepared.

    Once before trials are trained or scored, as each of them maps the file and takes its bytes as they are.
    """
    for dataset in data.values():
        if type(dataset).verify is not Dataset.verify:  # something is stored
            dataset.verify(progress)


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
    """The study that the configuration asks for, joined with what it already holds."""
    return joined(asked(config, data), workspace)


def asked(config: StudyConfig, data: dict[str, Dataset]) -> Study:
    """The study that the configuration asks for, whatever is on disk."""
    scoring = Scoring(metrics_for(config, data.values()), config.repeats)
    trials = resolve_trials(config, data)
    return Study(config.name, config.description, scoring, dict(config.comparisons), config.intervals, trials)


def joined(new: Study, workspace: Workspace) -> Study:
    """A study together with what it holds on disk.

    More models, datasets, seeds or metrics extend a study. Any other change to a cell that has records raises
    `UserError` with the difference.
    """
    path = study_file(workspace, new.name)
    if not path.exists():
        return new
    old = read_study(workspace, new.name)
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
                    f"study '{new.name}' has {len(recorded)} records of {key[1]} on {key[0]} that were made with "
                    f"another configuration: {difference(before, after)}. Give this one its own name with --name, "
                    f"or delete {workspace.study(new.name)} to begin anew."
                )
            continue
        known = {trial.id for trial in cells.get(key, [])}
        kept = recorded if trials[0].outdated else trials  # what has no record of an outdated one can't be trained
        cells[key] = cells.get(key, []) + [trial for trial in kept if trial.id not in known]
    ordered = [trial for trials in cells.values() for trial in sorted(trials, key=lambda trial: trial.seed)]
    metrics, comparisons = (
        {name: list(dict.fromkeys([*asked.get(name, []), *before.get(name, [])])) for name in [*asked, *before]}
        for asked, before in ((new.scoring.metrics, old.scoring.metrics), (new.comparisons, old.comparisons))
    )
    scoring = Scoring(metrics, max(new.scoring.repeats, old.scoring.repeats))
    return Study(new.name, new.description, scoring, comparisons, new.intervals, ordered)


def beyond(study: Study, new: Study) -> list[TrialSpec]:
    """The trials that a joined study holds from earlier runs, and that were not asked for now."""
    wanted = {(trial.dataset, trial.label, trial.seed) for trial in new.trials}
    return [trial for trial in study.trials if (trial.dataset, trial.label, trial.seed) not in wanted]


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


def summary(trials: list[TrialSpec]) -> str:
    """Trials in a few words: how many, of which models and seeds."""
    cells: dict[str, list[int]] = {}
    for trial in trials:
        cells.setdefault(f"{trial.label} on {trial.dataset}", []).append(trial.seed)
    named = [f"{cell}, seed {seed_ranges(seeds)}" for cell, seeds in list(cells.items())[:3]]
    others = "; ..." if len(cells) > 3 else ""
    return f"{len(trials)} trial{'s' * (len(trials) > 1)} more ({'; '.join(named)}{others})"


def going_on(study: Study, changes: Mapping[str, Any], settings: list[str]) -> Study:
    """A study that exists, to go on with, or to extend by seeds; `UserError` where anything else is to change."""
    given = {"--models": changes["models"], "--dataset": changes["datasets"], "--name": changes["name"]}
    given["--set"] = settings[0] if settings else None
    for option, value in given.items():
        if value is not None:
            raise UserError(
                f"{option} {value}: study '{study.name}' exists, and going on with it takes no change but --seeds; "
                f"extend it through its preset or file, or by --models and --dataset with --name {study.name}."
            )
    if changes["seeds"] is None:
        return study
    try:
        return with_seeds(study, list(dict.fromkeys(parse_seeds(changes["seeds"]))))
    except ValueError as error:
        raise UserError(f"seeds = {changes['seeds']!r}: {error}.") from error


def with_seeds(study: Study, seeds: list[int]) -> Study:
    """The study with these seeds of each of its cells."""
    firsts = [trials[0] for trials in study.cells().values()]
    return replace(study, trials=[first.model_copy(update={"seed": seed}) for first in firsts for seed in seeds])


def check_sources(study: Study, data: Mapping[str, Dataset]) -> None:
    """Raise `UserError` where a study's plugins or data are not those that its trials were planned with."""
    for trial in study.trials:
        if trial.model_source is not None and trial.model not in registry.names("model"):
            raise UserError(
                f"study '{study.name}': its model '{trial.model}' came from a plugin; give that with --plugin FILE.py."
            )
        if registry.source_hash("model", trial.model) != trial.model_source:
            what = f"the plugin of {trial.model}"
        elif data[trial.dataset].checksum != trial.dataset_checksum:
            what = trial.dataset
        else:
            continue
        raise UserError(
            f"{what} has changed since study '{study.name}' was planned; "
            "run the new one by --models and --dataset, or by a study file, under a --name of its own."
        )
