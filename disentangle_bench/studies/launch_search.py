"""Candidates of a search onto Ray, where the worse ones end early; or one after the other in this process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from disentangle_bench.errors import UserError
from disentangle_bench.plugins import fault
from disentangle_bench.studies.cluster import LaunchOptions, asha, map_on_ray, report, session
from disentangle_bench.studies.search import FAILED, REDUCTION, Candidate, Outcome, halve, train_candidate
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec


def search(
    drawn: list[Candidate],
    budgets: list[int],
    objective: str,
    early_stopping: bool,
    workspace: Workspace,
    where: LaunchOptions,
    told: Callable[[Outcome], None],
) -> list[Outcome]:
    """Train candidates from rung to rung and judge them; with early stopping the worse ones end before the last.

    On Ray that is Tune's ASHA, which decides as results come in, so which candidates end early depends on their pace;
    in this process it is successive halving, which waits for all. `told` is called with each outcome.
    """
    if where.local:
        found = []
        train = functools.partial(train_candidate, budgets=budgets, objective=objective, workspace=workspace)
        for outcome in halve(drawn, budgets, train, keep_all=not early_stopping):
            told(outcome)
            found.append(outcome)
        return found
    return search_ray(drawn, budgets, objective, early_stopping, workspace, where, told)


def search_ray(
    drawn: list[Candidate],
    budgets: list[int],
    objective: str,
    early_stopping: bool,
    workspace: Workspace,
    where: LaunchOptions,
    told: Callable[[Outcome], None],
) -> list[Outcome]:
    """The search as one Ray Tune experiment: a candidate is a Tune trial."""
    paths = Workspace(workspace.results.absolute(), workspace.data.absolute(), workspace.plugin_paths())
    found: list[Outcome] = []

    def came(result: dict[str, Any]) -> None:
        if "objective" in result and "mistake" not in result:
            found.append(Outcome(result["candidate"], result["steps"], result["objective"]))
            told(found[-1])

    def train(packed: tuple[int, dict[str, Any], list[dict[str, Any]]]) -> None:
        number, values, trials = packed
        candidate = Candidate(number, values, [TrialSpec.model_validate(trial) for trial in trials])
        try:
            for outcome in train_candidate(candidate, budgets, objective, paths):
                report({"candidate": number, "steps": outcome.steps, "objective": outcome.objective})
        except Exception as error:
            mistake = error if isinstance(error, UserError) else fault(error)
            if mistake is None:
                raise
            report({"mistake": str(mistake), "steps": budgets[-1], "objective": FAILED})  # which the scheduler wants

    packed = [(each.number, each.values, [t.model_dump(mode="json") for t in each.trials]) for each in drawn]
    with session(where, [drawn[0].trials[0].numerics]) as needs:
        scheduler = asha("steps", "objective", budgets[0], budgets[-1], REDUCTION) if early_stopping else None
        ends = map_on_ray(train, packed, needs, where.concurrent, scheduler, came)
    for end in ends:
        if (end.metrics or {}).get("mistake"):
            raise UserError((end.metrics or {})["mistake"])
        if end.error is not None:
            raise RuntimeError(f"a candidate of the search crashed: {end.error}")
    return found
