"""Trials of one cell that train in one process by turns, so that one device is shared by several seeds.

Each has its own generators, checkpoint, curves, heartbeat, lock and record; its results are those that it has alone.
"""

from __future__ import annotations

import gc
import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from filelock import Timeout

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.plugins import cause
from disentangle_bench.training.engine import out_of_memory
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.trials.attempt import Company
from disentangle_bench.trials.pending import TrialOptions, existing_record, missing_scores
from disentangle_bench.trials.records import Workspace, write_record
from disentangle_bench.trials.scorers import Scorers
from disentangle_bench.trials.spec import TrialSpec
from disentangle_bench.trials.trial import failure, trial_steps


def packs(trials: Sequence[TrialSpec], sizes: dict[str, int]) -> list[list[TrialSpec]]:
    """The trials in groups of at most their cell's size, in their order; trials of different cells are never together.

    sizes: by `cell_of`.
    """
    cells: dict[str, list[TrialSpec]] = {}
    for trial in trials:
        cells.setdefault(cell_of(trial), []).append(trial)
    return [
        cell[start : start + sizes[key]] for key, cell in cells.items() for start in range(0, len(cell), sizes[key])
    ]


def cell_of(trial: TrialSpec) -> str:
    """What trials of one cell have in common: everything but the seed."""
    return json.dumps(trial.without_seed(), sort_keys=True)


@dataclass
class Outcome:
    """What became of trials that took turns: sentences for the user, and those that could not run together."""

    mistakes: list[str] = field(default_factory=list)
    busy: list[TrialSpec] = field(default_factory=list)  # another process is at work on them
    crowded: list[TrialSpec] = field(default_factory=list)  # for which memory did not suffice


def run_pack(
    trials: Sequence[TrialSpec], workspace: Workspace, options: TrialOptions, scorers: Scorers | None = None
) -> list[str]:
    """Bring trials of one cell to their records, by turns; returns the sentences of those that only the user can mend.

    scorers: other processes, which get the trials that are trained and are still at work on them when this returns.

    One that crashes or diverges leaves the others alone. Where memory runs out, the trial that noticed waits until the
    others are done, and those that waited go on from their checkpoints, half as many together.
    """
    numerics = trials[0].numerics
    set_up_process(numerics.precision, numerics.deterministic)
    for plugin in workspace.plugins:
        registry.load_plugin(plugin)
    mistakes, waiting, size, note = [], list(trials), len(trials), ""
    with threads(numerics.threads):
        while waiting:
            now, waiting = waiting[:size], waiting[size:]
            outcome = take_turns(now, workspace, options, note, scorers)
            mistakes += outcome.mistakes
            for trial in outcome.busy:  # waited for alone: holding one lock and waiting for another could last for ever
                mistakes += take_turns([trial], workspace, options, scorers=scorers).mistakes
            if outcome.crowded:
                size, note = max(1, len(now) // 2), f"memory ran out in a pack of {len(now)}"
                waiting = outcome.crowded + waiting
                sys.stderr.write(f"Note: {note}; {len(waiting)} trials go on, {size} at a time.\n")
    return mistakes


def take_turns(
    trials: Sequence[TrialSpec],
    workspace: Workspace,
    options: TrialOptions,
    note: str = "",
    scorers: Scorers | None = None,
) -> Outcome:
    """One step of each trial after the other, until all have their records or have said why not.

    note: for the records, why they are no more. scorers: as in `run_pack`.
    """
    outcome = Outcome()
    company = Company(len(trials), note, scored_elsewhere=scorers is not None)
    outside = Generators(trials[0].numerics.device)
    members = [Member(trial, workspace, options, company) for trial in trials]
    try:
        while members:
            for member in list(members):
                trial = member.trial
                try:
                    if member.step():
                        continue
                    if scorers is not None and not is_done(trial, workspace, options):
                        scorers.submit(trial)
                except Timeout:
                    outcome.busy.append(trial)
                except UserError as error:
                    outcome.mistakes.append(f"{trial.title}: {error}")
                except Exception as error:
                    if out_of_memory(error):
                        outcome.crowded.append(trial)
                    else:  # outside the attempts that `trial_steps` guards; the other trials go on
                        outcome.mistakes += record_crash(trial, workspace, cause(error), traceback.format_exc())
                members.remove(member)
                member.end()
    finally:
        for member in members:
            member.steps.close()
        outside.put()
    return outcome


class Member:
    """One trial at work: its steps, and what torch holds for a whole process and each trial must have for itself.

    That is the state of the global generators and, on CUDA, the current stream.
    """

    def __init__(self, trial: TrialSpec, workspace: Workspace, options: TrialOptions, company: Company) -> None:
        self.trial = trial
        self.cuda = trial.numerics.device == "cuda"
        self.steps = trial_steps(trial, workspace, options, company, patience=0 if company.size > 1 else -1)
        self.generators = Generators(trial.numerics.device, copy=True)
        self.stream = torch.cuda.Stream() if self.cuda and company.size > 1 else None

    def step(self) -> bool:
        """Do one step of training, or after the last one all the rest; False where the trial is done."""
        self.generators.put()
        try:
            with torch.cuda.stream(self.stream) if self.stream is not None else nullcontext():
                next(self.steps)
            return True
        except StopIteration:
            return False
        finally:
            self.generators.take()

    def end(self) -> None:
        """Give the trial's memory back; raises where an error has cost the process its device: no trial can go on."""
        self.steps.close()
        gc.collect()
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()


class Generators:
    """The states of torch's global generators, which dropout draws from, as they were when last taken.

    CUDA's default generator isn't given another's numbers but another's state as a whole: the graphs that are captured
    with it read their seeds from that state's own memory, so that trials on several streams don't mix them up.
    """

    def __init__(self, device: str, copy: bool = False) -> None:
        """copy: a CUDA state of its own, equal to the present one."""
        self.cpu = torch.get_rng_state()
        self.cuda: torch.Generator | None = None
        if device == "cuda":
            default = default_generator()
            self.cuda = default.clone_state() if copy else default.graphsafe_get_state()

    def put(self) -> None:
        """Make these the states in use."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            default_generator().graphsafe_set_state(self.cuda)

    def take(self) -> None:
        """Remember what was drawn since; CUDA's state is the one in use itself, unless it was replaced by another."""
        self.cpu = torch.get_rng_state()
        if self.cuda is not None:
            self.cuda = default_generator().graphsafe_get_state()


def default_generator() -> torch.Generator:
    """The current CUDA device's."""
    torch.cuda.init()
    return torch.cuda.default_generators[torch.cuda.current_device()]


def record_crash(trial: TrialSpec, workspace: Workspace, reason: str, trace: str) -> list[str]:
    """Write a crash that `run_trial` could not; a trial that has its record keeps it, and the crash is a sentence."""
    with workspace.lock(trial.id):
        if existing_record(workspace, trial) is not None:
            return [f"{trial.title}: {reason}; the trial keeps its earlier scores."]
        write_record(workspace.record(trial.id), failure(trial, reason, trace))
        return []


def is_done(trial: TrialSpec, workspace: Workspace, options: TrialOptions) -> bool:
    """Whether a trial's record says all that it was asked for."""
    record = existing_record(workspace, trial)
    return record is not None and not missing_scores(record, options.scoring)
