"""Trials onto Ray, local or a cluster; or, without Ray, one pack after the other in this process."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal

from disentangle_bench.errors import UserError
from disentangle_bench.studies.cluster import LaunchOptions, map_on_ray, report, session
from disentangle_bench.studies.watch import Watch
from disentangle_bench.trials.pack import cell_of, is_done, packs, record_crash, run_pack
from disentangle_bench.trials.pending import TrialOptions
from disentangle_bench.trials.probe import best_size
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.scorers import Scorers, free_cores
from disentangle_bench.trials.spec import TrialSpec


def launch(trials: list[TrialSpec], workspace: Workspace, options: TrialOptions, where: LaunchOptions) -> list[str]:
    """Run trials to their records; returns the sentences of those that only the user can mend."""
    together = packs(trials, pack_sizes(trials, workspace, where.pack))
    with Watch(trials, workspace, options.scoring.metrics):
        if where.local:
            return launch_here(together, workspace, options)
        return launch_ray(together, workspace, options, where)


def launch_here(together: list[list[TrialSpec]], workspace: Workspace, options: TrialOptions) -> list[str]:
    """One pack after the other in this process; other processes score what is trained, where that frees a device.

    That is so for packs, and for trials on a GPU, where a core is free; but not with loggers, which a trial's scores
    are sent to by the process that trained it.
    """
    shared = any(len(pack) > 1 or pack[0].numerics.device != "cpu" for pack in together)
    free = free_cores(max(pack[0].numerics.threads for pack in together))
    if not shared or not free or options.loggers:
        return [mistake for pack in together for mistake in run_pack(pack, workspace, options)]
    with Scorers(min(free, sum(map(len, together))), workspace, options) as scorers:
        mistakes = [mistake for pack in together for mistake in run_pack(pack, workspace, options, scorers)]
        return mistakes + scorers.wait()


def pack_sizes(trials: list[TrialSpec], workspace: Workspace, pack: int | Literal["auto"]) -> dict[str, int]:
    """How many trials of each cell take turns in one process."""
    sizes = {}
    for trial in trials:
        if (cell := cell_of(trial)) not in sizes:
            sizes[cell] = best_size(trial, workspace) if pack == "auto" else pack
            if pack == "auto":
                sys.stderr.write(f"Note: {trial.label} {trial.dataset}: packs of {sizes[cell]}.\n")
    return sizes


def launch_ray(
    together: list[list[TrialSpec]], workspace: Workspace, options: TrialOptions, where: LaunchOptions
) -> list[str]:
    """All packs as one Ray Tune grid: a pack is a Tune trial. Workers get names and paths, never data."""
    paths = Workspace(workspace.results.absolute(), workspace.data.absolute(), workspace.plugin_paths())

    def train(packed: list[dict[str, Any]]) -> None:
        pack = [TrialSpec.model_validate(spec) for spec in packed]
        try:
            mistakes = run_pack(pack, paths, options)
        except UserError as error:  # of the whole pack: a plugin that can't be imported here
            mistakes = [str(error)]
        report({"mistakes": json.dumps(mistakes)})

    specs = [[trial.model_dump(mode="json") for trial in pack] for pack in together]
    with session(where, [pack[0].numerics for pack in together]) as needs:
        outcomes = map_on_ray(train, specs, needs, where.concurrent)
    mistakes: list[str] = []
    for outcome in outcomes:
        mistakes += json.loads((outcome.metrics or {}).get("mistakes", "[]"))
        if outcome.error is not None:
            cause = f"the worker died or could not run the trial: {type(outcome.error).__name__}"
            for trial in [TrialSpec.model_validate(spec) for spec in (outcome.config or {})["item"]]:
                if not is_done(trial, workspace, options):
                    mistakes += record_crash(trial, workspace, cause, str(outcome.error))
    return mistakes
