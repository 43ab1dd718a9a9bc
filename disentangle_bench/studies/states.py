"""What became of a study's trials so far: their states, those that still need work, their pictures."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Literal

from filelock import Timeout

from disentangle_bench.files import make_folder
from disentangle_bench.studies.study import Study
from disentangle_bench.trials.pending import Scoring, existing_record, has_codes, missing_scores
from disentangle_bench.trials.records import Workspace, read_record
from disentangle_bench.trials.spec import TrialSpec

State = Literal["finished", "diverged", "failed", "running", "interrupted", "waiting"]


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


def only_to_score(trials: list[TrialSpec], workspace: Workspace) -> list[TrialSpec]:
    """Those that are trained, and lack no more than codes or scores."""
    return [trial for trial in trials if existing_record(workspace, trial) is not None]


def headline(study: Study, waiting: list[TrialSpec], workspace: Workspace) -> str:
    """How many trials a study has, and what is to be done with how many of them."""
    to_score = len(only_to_score(waiting, workspace))
    to_run = len(waiting) - to_score
    parts = [f"{len(study.trials)} trials", f"{len(study.trials) - len(waiting)} done"]
    if to_run or not to_score:
        parts.append(f"{to_run} to run")
    if to_score:
        parts.append(f"{to_score} to score")
    return ", ".join(parts)


def kept(trials: list[TrialSpec], workspace: Workspace) -> str:
    """What is left of trials whose run was interrupted, in a sentence."""
    ended = [trial for trial in trials if workspace.record(trial.id).exists()]
    begun = [t for t in trials if t not in ended and (workspace.trial(t.id) / "checkpoint.pt").exists()]
    anew = len(trials) - len(ended) - len(begun)
    parts = [f"{len(ended)} of {len(trials)} trials have their record"]
    if begun:
        parts.append(f"{len(begun)} their last checkpoint")
    if anew:
        parts.append(f"{anew} nothing yet and will begin at step 0")
    return ", ".join(parts) + "."


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
                shutil.copyfile(picture, folder / picture_name(trial))
    return folders


def picture_name(trial: TrialSpec) -> str:
    """What a trial's pictures are called in its study's folders."""
    name = f"{trial.label}_{trial.dataset}_seed{trial.seed}.png"
    return re.sub(r"[^\w.=,()+-]", "-", name)  # a swept text may hold a slash
