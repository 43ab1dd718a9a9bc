"""One trial, brought to its record; it resumes where it stopped, and needs no Ray."""

from __future__ import annotations

import traceback

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.models.base import Model
from disentangle_bench.plugins import cause, plugin_name
from disentangle_bench.training.engine import out_of_memory
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.trials.attempt import Attempt, Company, TrialSteps
from disentangle_bench.trials.heartbeat import Heartbeat
from disentangle_bench.trials.pending import TrialOptions, existing_record, has_codes, missing_scores
from disentangle_bench.trials.records import Record, Workspace, environment, write_record
from disentangle_bench.trials.spec import TrialSpec


def run_trial(spec: TrialSpec, workspace: Workspace, options: TrialOptions) -> Record:
    """Bring a trial to its record, doing only what is not done yet; a failure becomes a record with its traceback.

    A finished trial is not trained again, and a metric that its record lacks is scored from the stored codes. A crash
    is retried `options.retries` times, each time from the last checkpoint. `UserError` passes through: nothing failed
    that the user can't mend.
    """
    set_up_process(spec.numerics.precision, spec.numerics.deterministic)
    for plugin in workspace.plugins:
        registry.load_plugin(plugin)
    steps = trial_steps(spec, workspace, options, Company())
    with threads(spec.numerics.threads):
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value


def trial_steps(
    spec: TrialSpec, workspace: Workspace, options: TrialOptions, company: Company, patience: float = -1
) -> TrialSteps:
    """As `run_trial`, yielding after each step of training, in a process that is set up.

    patience: seconds to wait for another process that is at work on the trial, then `filelock.Timeout`; -1: for ever.
    In company, a lack of memory passes through: with fewer trials there may be enough.
    """
    folder = workspace.trial(spec.id)
    with workspace.lock(spec.id).acquire(timeout=patience):
        record = existing_record(workspace, spec)
        if record is not None and has_codes(record, workspace) and not missing_scores(record, options.scoring):
            return record
        heartbeat = Heartbeat(folder)
        try:
            for attempt in range(options.retries + 1):
                try:
                    record = yield from Attempt(spec, workspace, options, heartbeat, company).run(record)
                    break
                except UserError:
                    raise
                except Exception as error:
                    if company.size > 1 and out_of_memory(error):
                        raise
                    if attempt < options.retries:
                        continue
                    if record is not None:
                        raise UserError(
                            f"scoring failed ({cause(error)}); the trial keeps its earlier scores."
                        ) from error
                    record = failure(spec, cause(error), traceback.format_exc())
            assert record is not None
            write_record(workspace.record(spec.id), record)
        finally:
            heartbeat.end()
        return record


def failure(spec: TrialSpec, reason: str, trace: str | None) -> Record:
    """The record of a trial that crashed."""
    cls: type[Model] = registry.get("model", spec.model)
    return Record(
        id=spec.id, spec=spec, status="failed", cause=reason, traceback=trace, plugin=plugin_name(cls),
        paper=cls.paper, code_source=cls.code_source, environment=environment(),
    )  # fmt: skip
