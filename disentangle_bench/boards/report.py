"""One page of a study: everything that its folder holds, gathered for `report_page` to write."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from disentangle_bench import datasets
from disentangle_bench.boards.leaderboard import NUMERICS
from disentangle_bench.boards.study_leaderboard import study_leaderboard
from disentangle_bench.contracts import Dataset
from disentangle_bench.display import Bar
from disentangle_bench.errors import UserError
from disentangle_bench.studies.states import State, picture_name, state
from disentangle_bench.studies.study import Study, study_file
from disentangle_bench.trials.pending import missing_scores
from disentangle_bench.trials.records import Record, Workspace, read_record
from disentangle_bench.trials.spec import TrialSpec

WORDS = ["configuration", "changes", "code_source", "skipped", "evaluated", "skip", *NUMERICS]  # of the tables
KINDS = ("traversal", "samples")  # of pictures that a trial leaves


@dataclass(frozen=True)
class Contents:
    """What a study's folder and its trials' folders hold.

    states: what became of each trial, by id. table, seeds: the leaderboard, and the table of single seeds. pictures:
    the files that are there, by (trial's id, kind). missing: what a reader would look for in vain, in sentences.
    """

    study: Study
    workspace: Workspace
    records: list[Record]
    states: dict[str, State]
    table: pd.DataFrame
    seeds: pd.DataFrame
    pictures: dict[tuple[str, str], Path]
    missing: list[str]

    @property
    def study_yaml(self) -> str:
        """The study's own file."""
        return study_file(self.workspace, self.study.name).read_text(encoding="utf-8")


def gather(study: Study, workspace: Workspace) -> Contents:
    """Read all that there is of a study; nothing is trained, scored, prepared or downloaded.

    Floors and ceilings are computed where they are not kept yet and the dataset is prepared. A study's records may lie
    in its own folder, under `records/`, as an archive has them.
    """
    paths = {trial.id: record_path(trial, study, workspace) for trial in study.trials}
    records = [read_record(path) for path in paths.values() if path is not None]
    known = {record.id: record for record in records}
    states = {trial.id: state_of(trial, known.get(trial.id), study, workspace) for trial in study.trials}
    archived = any(path is not None and path != workspace.record(id) for id, path in paths.items())
    table, seeds, missing = tables(study, workspace, records, archived)
    pictures = {
        (trial.id, kind): path
        for trial in study.trials
        for kind in KINDS
        if (path := picture_path(trial, kind, study, workspace)) is not None
    }
    missing = [*unfinished(study, states, known), *missing, *without_files(records, pictures, workspace)]
    return Contents(study, workspace, records, states, table, seeds, pictures, missing)


def record_path(trial: TrialSpec, study: Study, workspace: Workspace) -> Path | None:
    """A trial's record, among the runs or in the study's archive; None where it has none."""
    archive = workspace.study(study.name) / "records" / f"{trial.id}.json"
    return next((path for path in (workspace.record(trial.id), archive) if path.is_file()), None)


def picture_path(trial: TrialSpec, kind: str, study: Study, workspace: Workspace) -> Path | None:
    """A trial's traversal or samples, in its folder or among the study's copies; None where it has none."""
    copied = workspace.study(study.name) / f"{kind.removesuffix('s')}s" / picture_name(trial)
    return next((path for path in (workspace.trial(trial.id) / f"{kind}.png", copied) if path.is_file()), None)


def state_of(trial: TrialSpec, record: Record | None, study: Study, workspace: Workspace) -> State:
    """What became of a trial; a folder that isn't there is not made by looking for it."""
    if workspace.trial(trial.id).is_dir():
        return state(trial, workspace, study.scoring)
    if record is None or missing_scores(record, study.scoring):
        return "waiting"
    return record.status


def tables(
    study: Study, workspace: Workspace, records: Sequence[Record], archived: bool
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """The leaderboard, the single seeds, and what they lack.

    They are made from the records. Where floors or codes are out of reach, as a dataset is not prepared here or the
    records are an archive's, they are the ones that `leaderboard` wrote, if those have all of the records' scores.
    """
    data, lacking = at_hand(study, workspace)
    if archived or lacking:
        kept = read_tables(workspace.study(study.name), records)
        if kept is not None:
            why = "the trials' codes are not here" if archived else f"{', '.join(lacking)} can't be opened here"
            said = "The tables are the study's leaderboard.csv and scores.csv as they were found, and not made anew, as"
            return *kept, [f"{said} {why}."]
    with Bar("floors and ceilings") as progress:
        table, seeds = study_leaderboard(study, workspace, data, progress, records)
    return table, seeds, [f"No floors and ceilings on {name}: {why}" for name, why in lacking.items() if records]


def at_hand(study: Study, workspace: Workspace) -> tuple[dict[str, Dataset], dict[str, str]]:
    """The study's datasets that can be opened, and why each of the others can't."""
    found, lacking = {}, {}
    for name in study.datasets():
        try:
            found[name] = datasets.load(name, workspace.data, prepare=False)
        except UserError as error:  # missing, damaged, or a plugin's that was not given
            lacking[name] = str(error)
    return found, lacking


def read_tables(folder: Path, records: Sequence[Record]) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """A study's leaderboard.csv and scores.csv; None where one is missing, or lacks a score of these records."""
    paths = folder / "leaderboard.csv", folder / "scores.csv"
    if not all(path.is_file() for path in paths):
        return None
    table, seeds = (pd.read_csv(path, keep_default_na=False, na_values=[""]) for path in paths)
    for frame in (table, seeds):
        words = [name for name in WORDS if name in frame]
        frame[words] = frame[words].astype(object).fillna("")  # an empty cell is a text without words
    table["rank"] = table["rank"].astype("Int64")
    there = set(zip(seeds["id"], seeds["metric"], seeds["protocol"], strict=True))
    needed = {
        (record.id, metric, protocol)
        for record in records
        for metric, protocols in record.scores.items()
        for protocol in protocols
    }
    known = {record.id for record in records} <= set(seeds["id"])
    return (table, seeds) if known and needed <= there else None


def unfinished(study: Study, states: dict[str, State], records: dict[str, Record]) -> list[str]:
    """The trials that have no scores yet, a sentence a cell."""
    said = []
    for (dataset, model), trials in study.cells().items():
        open_ = [trial for trial in trials if states[trial.id] not in ("finished", "failed", "diverged")]
        for each, count in Counter(states[trial.id] for trial in open_).items():
            seeds = ", ".join(str(trial.seed) for trial in open_ if states[trial.id] == each)
            to_score = [trial for trial in open_ if states[trial.id] == each == "waiting" and trial.id in records]
            more = f"; {len(to_score)} trained, and lack a score" if to_score else ""
            which = "seed" if count == 1 else "seeds"
            said.append(f"{model} on {dataset}: {which} {seeds} {each} ({count} of {len(trials)}){more}.")
    return said


def without_files(records: Sequence[Record], pictures: dict[tuple[str, str], Path], workspace: Workspace) -> list[str]:
    """How many finished trials have no pictures or curves here."""
    done = [record for record in records if record.status == "finished"]
    without = {
        "pictures": sum(all((record.id, kind) not in pictures for kind in KINDS) for record in done),
        "training curves": sum(not (workspace.trial(record.id) / "curves.csv").is_file() for record in done),
    }
    return [
        f"No {what} of {count} of {len(done)} finished trials: their files are not here."
        for what, count in without.items()
        if count
    ]


def trials_table(contents: Contents) -> pd.DataFrame:
    """A row a trial: what it was, what became of it, what it took, and with what it was computed."""
    known = {record.id: record for record in contents.records}
    rows = []
    for trial in contents.study.trials:
        record = known.get(trial.id)
        row = {
            "id": trial.id, "dataset": trial.dataset, "dataset_checksum": trial.dataset_checksum, "model": trial.model,
            "configuration": trial.configuration, "seed": trial.seed, "state": contents.states[trial.id],
        }  # fmt: skip
        if record is not None:
            row |= {"cause": record.cause or "", "code_source": record.code_source, "engine": record.engine}
            row |= {f"seconds/{name}": value for name, value in record.seconds.items()}
            row |= {f"parameters/{name}": count for name, count in record.parameters.items()}
            row |= {f"environment/{name}": value for name, value in record.environment.items()}
        row |= {f"numerics/{name}": value for name, value in trial.numerics}
        row["config"] = json.dumps(trial.config, sort_keys=True)
        rows.append(row)
    return pd.DataFrame(rows)
