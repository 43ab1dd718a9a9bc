"""What results take on the disk, and what of it can go: checkpoints, codes and logs of ended trials; records never."""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from filelock import Timeout

from disentangle_bench.errors import UserError
from disentangle_bench.studies.study import read_study, study_names
from disentangle_bench.trials.records import Workspace

Kind = Literal["checkpoints", "codes", "logs", "pictures", "records", "leftovers"]
KINDS: tuple[Kind, ...] = get_args(Kind)
REMOVABLE: tuple[Kind, ...] = ("checkpoints", "codes", "logs", "leftovers")
KIND_OF: dict[str, Kind] = {
    "checkpoint.pt": "checkpoints", "codes.npy": "codes", "traversal.png": "pictures", "samples.png": "pictures",
}  # fmt: skip
LOGS = ("tensorboard", "wandb")  # folders of a trial
ABANDONED = 3600.0  # seconds since a temporary file was written to, after which its process is taken for dead


@dataclass
class Freed:
    """What a cleaning removed: files and bytes; and the trials that it left alone."""

    files: int = 0
    bytes: int = 0
    at_work: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)


def kind_of(path: Path, folder: Path) -> Kind:
    """What a file of a trial's folder is. What is small and tells what happened, curves too, counts as records."""
    if path.name.endswith(".partial"):
        return "leftovers"
    first = path.relative_to(folder).parts[0]
    return "logs" if first in LOGS else KIND_OF.get(first, "records")


def trial_folders(workspace: Workspace) -> list[Path]:
    """The folders of all trials."""
    runs = workspace.results / "runs"
    return [folder for folder in sorted(runs.glob("*")) if re.fullmatch("[0-9a-f]{12}", folder.name)]


def files_in(folder: Path) -> Iterable[Path]:
    """The files of a trial's folder, links not followed."""
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def usage(workspace: Workspace) -> dict[str, Counter[Kind]]:
    """Bytes by kind, of each study's trials, of those in no study (""), and of all ("all"), each counted once there."""
    sizes: dict[str, Counter[Kind]] = {}
    for folder in trial_folders(workspace):
        sizes[folder.name] = Counter()
        for path in files_in(folder):
            sizes[folder.name][kind_of(path, folder)] += path.stat().st_size
    taken, left = {}, set(sizes)
    for name in study_names(workspace):
        ids = {trial.id for trial in read_study(workspace, name).trials}
        taken[name] = sum((sizes[id] for id in ids & sizes.keys()), Counter[Kind]())
        left -= ids
    taken[""] = sum((sizes[id] for id in left), Counter[Kind]())
    return taken | {"all": sum(sizes.values(), Counter[Kind]())}


def clean(workspace: Workspace, name: str | None, kinds: Collection[Kind], dry: bool = False) -> Freed:
    """Remove files of these kinds from the trials of a study, or of all where `name` is None, that have their record.

    A trial at work, or without a record, keeps all but leftovers; those are temporary files that nobody has written to
    for an hour. dry: only say what would go. `UserError` where codes are to go and checkpoints to stay: the next run
    would encode them anew.
    """
    if "codes" in kinds and "checkpoints" not in kinds:
        raise UserError("codes of a trial with its checkpoint are encoded anew by the next run; add --checkpoints.")
    chosen = None if name is None else {trial.id for trial in read_study(workspace, name).trials}
    freed = Freed()
    for folder in trial_folders(workspace):
        if chosen is None or folder.name in chosen:
            clean_trial(folder, workspace, kinds, dry, freed)
    return freed


def clean_trial(folder: Path, workspace: Workspace, kinds: Collection[Kind], dry: bool, freed: Freed) -> None:
    """Remove what may go of one trial."""
    doomed = [path for path in files_in(folder) if kind_of(path, folder) in kinds]
    if not doomed:
        return
    try:
        with workspace.lock(folder.name).acquire(timeout=0):
            ended = (folder / "record.json").is_file()
            if not ended and set(kinds) - {"leftovers"}:
                freed.unfinished.append(folder.name)
            for path in doomed:
                size, left_over = path.stat().st_size, kind_of(path, folder) == "leftovers"
                if time.time() - path.stat().st_mtime < ABANDONED if left_over else not ended:
                    continue
                freed.files += 1
                freed.bytes += size
                if not dry:
                    path.unlink(missing_ok=True)
            if ended and "logs" in kinds and not dry:
                for log in filter(Path.is_dir, (folder / name for name in LOGS)):
                    shutil.rmtree(log)  # what is left of it: empty folders, links
    except Timeout:
        freed.at_work.append(folder.name)
    except OSError as error:
        raise UserError(f"{error.filename} can't be removed ({error.strerror}); mend its folder's rights.") from error
