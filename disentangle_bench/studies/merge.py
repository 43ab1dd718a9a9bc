"""The trials and studies of other results folders brought into this one: by id, whole, and nothing overwritten."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from disentangle_bench.contracts import Progress, silent
from disentangle_bench.errors import UserError
from disentangle_bench.files import copy_file
from disentangle_bench.studies.plan import completed, difference, joined
from disentangle_bench.studies.study import Study, read_study, read_study_at, study_file, write_study
from disentangle_bench.trials.records import Record, Workspace, read_record

OF_ITS_MACHINE = ("lock", "progress.json")  # of a trial's folder; they mean nothing elsewhere
KEPT_RESULTS = ("calibration", "comparisons")  # beside the trials; they are named by what they depend on

Files = dict[str, Path]  # of one trial, by their path within its folder


@dataclass
class Merged:
    """What came of a merge: ids of trials taken, completed with files that were missing, and there already; studies
    taken or extended; and a sentence for each thing that was left out."""

    taken: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    studies: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


def merge(others: Sequence[Path], workspace: Workspace, progress: Progress = silent) -> Merged:
    """Copy into the workspace's results what others hold and it lacks.

    others: results folders (with `runs/`), or archives of records (with `records/` and perhaps `study.yaml`). A trial
    is one that its folder's name says it is, by its record; one without a record comes with its checkpoint, to go on
    from. A trial that is here with other content stays as it is, and is named among the conflicts. Killed midway, the
    same merge goes on: a trial's record is its last file. `UserError` where one of `others` holds no results, before
    anything is copied, or where a file can't be written.
    """
    found = [(other, trials_of(other)) for other in others]
    total, done, merged = sum(len(trials) for _, trials in found), 0, Merged()
    for other, trials in found:
        if other.resolve() == workspace.results.resolve():
            raise UserError(f"{other} is the results folder itself; name another, or another --results to merge into.")
        for id, files in trials.items():
            try:
                take_trial(id, files, other, workspace, merged)
            except Conflict as conflict:
                merged.conflicts.append(str(conflict))
            done += 1
            progress(done, total)
        for kind in KEPT_RESULTS:
            for path in sorted((other / "runs" / kind).glob("*.json")):
                here = workspace.results / "runs" / kind / path.name
                if not here.exists():
                    copy_file(path, here)
        for path in sorted([*other.glob("*/study.yaml"), *other.glob("study.yaml")]):
            try:
                take_study(path, workspace, merged)
            except UserError as error:
                merged.conflicts.append(f"study {path}: {error}")
    return merged


class Conflict(Exception):
    """A trial that can't be taken: one sentence."""


def trials_of(other: Path) -> dict[str, Files]:
    """The files of each trial that a results folder or an archive of records holds; links are not followed."""
    runs, records = other / "runs", other / "records"
    if runs.is_dir():
        folders = [folder for folder in sorted(runs.iterdir()) if re.fullmatch("[0-9a-f]{12}", folder.name)]
        return {folder.name: files_of(folder) for folder in folders}
    if records.is_dir():
        return {path.stem: {"record.json": path} for path in sorted(records.glob("*.json"))}
    raise UserError(f"{other} holds no results: neither runs/, as a results folder, nor records/, as an archive.")


def files_of(folder: Path) -> Files:
    """A trial's files, its record the last."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    named = {str(path.relative_to(folder)): path for path in files if not path.name.endswith(".partial")}
    return dict(sorted(named.items(), key=lambda item: item[0] == "record.json"))


def take_trial(id: str, files: Files, other: Path, workspace: Workspace, merged: Merged) -> None:
    """Copy what is missing of one trial; `Conflict` where it is not what it seems, or other than the one here."""
    theirs = {name: path for name, path in files.items() if name not in OF_ITS_MACHINE}
    if not theirs.keys() & {"record.json", "checkpoint.pt"}:
        return  # nothing was done yet
    there = record_of(id, theirs)
    folder = workspace.trial(id)
    with at_rest(id, files.get("lock"), f"in {other}"), at_rest(id, lock_here(workspace, id), "here"):
        ours = {name: path for name, path in files_of(folder).items() if name not in OF_ITS_MACHINE}
        if any(not filecmp.cmp(theirs[name], ours[name], shallow=False) for name in theirs.keys() & ours.keys()):
            refuse_if_other(record_of(id, ours), there, folder, other)
            merged.known.append(id)
            return
        missing = [name for name in theirs if name not in ours]
        for name in missing:
            copy_file(theirs[name], folder / name)
    (merged.taken if not ours else merged.completed if missing else merged.known).append(id)


def record_of(id: str, files: Files) -> Record | None:
    """The record among a trial's files, if it is there; `Conflict` where it is damaged or another trial's."""
    if "record.json" not in files:
        return None
    try:
        record = read_record(files["record.json"])
    except UserError as error:
        raise Conflict(f"{id}: {str(error).partition(';')[0]}; the trial was left out.") from error
    if not id == record.id == record.spec.id:
        raise Conflict(f"{id}: {files['record.json']} is of another trial, {record.spec.id}; it was left out.")
    return record


def refuse_if_other(here: Record | None, there: Record | None, folder: Path, other: Path) -> None:
    """Raise `Conflict` where a trial's other record tells what ours does not; machines and seconds may differ."""
    if there is None:
        return
    named, remedy = f"{there.id} ({there.spec.title})", f"to take the other, move {folder} away and merge again."
    state = here.status if here is not None else "begun"
    if state != there.status:
        raise Conflict(f"{named} is {there.status} in {other} and {state} here, which was kept; {remedy}")
    assert here is not None
    metrics = sorted(m for m in {*here.scores, *there.scores} if here.scores.get(m) != there.scores.get(m))
    if metrics:
        raise Conflict(f"{named} has other scores of {', '.join(metrics)} in {other}; those here were kept; {remedy}")


def lock_here(workspace: Workspace, id: str) -> Path:
    """The lock of the trial here, whose folder is made."""
    return Path(workspace.lock(id).lock_file)


@contextmanager
def at_rest(id: str, lock: Path | None, where: str) -> Iterator[None]:
    """Hold a trial's lock meanwhile; `Conflict` where a process is at work on it. None, or not ours to hold: go on."""
    if lock is None:
        yield
        return
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise Conflict(f"{id} is being worked on {where}; merge again when that is done.") from None
    except OSError:  # a folder that can only be read: nobody here works in it
        yield
        return
    try:
        yield
    finally:
        held.release()


def take_study(path: Path, workspace: Workspace, merged: Merged) -> None:
    """Take a study, or join it with the one of its name here; `UserError` where they contradict each other."""
    theirs = read_study_at(path)
    with workspace.lock_of(workspace.study(theirs.name)):
        if study_file(workspace, theirs.name).exists():
            ours = read_study(workspace, theirs.name)
            agree(ours, theirs)
            union = joined(theirs, workspace)
            if union == ours:
                return
            theirs = union
        write_study(theirs, workspace)
    merged.studies.append(theirs.name)


def agree(ours: Study, theirs: Study) -> None:
    """Raise `UserError` where two studies of one name mean different things by one model on one dataset."""
    here = ours.cells()
    for key, trials in theirs.cells().items():
        if key in here and completed(here[key][0]) != completed(trials[0]):
            changed = difference(completed(here[key][0]), completed(trials[0]))
            raise UserError(
                f"it means other trials by {key[1]} on {key[0]} than the one here ({changed}). The one here was kept; "
                "to have both, rename the other: its folder, and `name` in its study.yaml."
            )
