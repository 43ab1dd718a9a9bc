"""Trials onto Ray Tune, local or a cluster; or, without Ray, one pack after the other in this process.

Tune schedules; it decides nothing. Which trials are done is told by their records, so Tune's own experiment state is
written to a temporary folder and thrown away, and seeds are a plain grid axis. Workers get names and paths, never data.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from disentangle_bench.config import TrialSpec
from disentangle_bench.errors import UserError
from disentangle_bench.pack import cell_of, is_done, packs, record_crash, run_pack
from disentangle_bench.pending import TrialOptions
from disentangle_bench.probe import best_size
from disentangle_bench.records import Workspace
from disentangle_bench.search import REDUCTION, Candidate, Outcome, halve, train_candidate
from disentangle_bench.watch import Watch

RAY_ENVIRONMENT = {  # read when Ray is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # records and curves are ours
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the run at once; checkpoints are whole at any time
    "TUNE_MAX_PENDING_TRIALS_PG": "64",  # of thousands of trials, few wait inside Ray
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
WORKER_DEATHS = 2  # how often a trial is started again after its worker died, as when memory ran out


@dataclass(frozen=True)
class LaunchOptions:
    """Where trials run."""

    local: bool = False  # in this process, without Ray
    address: str | None = None  # a Ray cluster's; none: Ray on this machine
    gpus: float | None = None  # share of a GPU a trial or pack; none: one where the study's device is cuda
    concurrent: int | None = None  # trials or packs at a time at most
    pack: int | Literal["auto"] = 1  # trials of one cell that take turns in one process


def launch(trials: list[TrialSpec], workspace: Workspace, options: TrialOptions, where: LaunchOptions) -> list[str]:
    """Run trials to their records; returns the sentences of those that only the user can mend."""
    together = packs(trials, pack_sizes(trials, workspace, where.pack))
    with Watch(trials, workspace, options.scoring.metrics):
        if where.local:
            return [mistake for pack in together for mistake in run_pack(pack, workspace, options)]
        return launch_ray(together, workspace, options, where)


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
    """All packs as one Ray Tune grid: a pack is a Tune trial."""
    ray, tune = start_ray()
    numerics = [pack[0].numerics for pack in together]
    threads = max(each.threads for each in numerics)
    gpus = where.gpus if where.gpus is not None else float(numerics[0].device == "cuda")
    connect(ray, where)
    require(ray, {"CPU": threads, "GPU": gpus})
    paths = Workspace(workspace.results.absolute(), workspace.data.absolute(), workspace.plugin_paths())

    def train(config: dict[str, Any]) -> None:
        from ray import tune

        pack = [TrialSpec.model_validate(spec) for spec in config["pack"]]
        tune.report({"mistakes": json.dumps(run_pack(pack, paths, options))})

    specs = [[trial.model_dump(mode="json") for trial in pack] for pack in together]
    try:
        with tempfile.TemporaryDirectory(prefix="disentangle-bench-") as scratch:
            tuner = tune.Tuner(
                tune.with_resources(train, {"cpu": threads, "gpu": gpus}),
                param_space={"pack": tune.grid_search(specs)},
                tune_config=tune.TuneConfig(
                    reuse_actors=True,  # importing torch takes a worker seconds
                    max_concurrent_trials=where.concurrent,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name="tune",
                    storage_path=scratch,
                    failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS),
                    verbose=0,
                ),
            )
            results = tuner.fit()
            outcomes = [results[i] for i in range(len(results))]
    finally:
        ray.shutdown()
    mistakes: list[str] = []
    for outcome in outcomes:
        mistakes += json.loads((outcome.metrics or {}).get("mistakes", "[]"))
        if outcome.error is not None:
            cause = f"the worker died or could not run the trial: {type(outcome.error).__name__}"
            for trial in [TrialSpec.model_validate(spec) for spec in (outcome.config or {})["pack"]]:
                if not is_done(trial, workspace, options):
                    mistakes += record_crash(trial, workspace, cause, str(outcome.error))
    return mistakes


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
    ray, tune = start_ray()
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

    numerics = drawn[0].trials[0].numerics
    gpus = where.gpus if where.gpus is not None else float(numerics.device == "cuda")
    connect(ray, where)
    require(ray, {"CPU": numerics.threads, "GPU": gpus})
    paths = Workspace(workspace.results.absolute(), workspace.data.absolute(), workspace.plugin_paths())
    found: list[Outcome] = []

    class Teller(tune.Callback):  # type: ignore[name-defined]
        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **more: Any) -> None:
            if "objective" in result:
                found.append(Outcome(result["candidate"], result["steps"], result["objective"]))
                told(found[-1])

        def __reduce__(self) -> Any:
            return tune.Callback, ()  # Tune saves its callbacks, and this one holds the terminal

    def train(config: dict[str, Any]) -> None:
        from ray import tune

        number, values, trials = config["candidate"]
        candidate = Candidate(number, values, [TrialSpec.model_validate(trial) for trial in trials])
        try:
            for outcome in train_candidate(candidate, budgets, objective, paths):
                tune.report({"candidate": number, "steps": outcome.steps, "objective": outcome.objective})
        except UserError as error:
            tune.report({"mistake": str(error), "steps": budgets[-1]})

    packed = [(each.number, each.values, [t.model_dump(mode="json") for t in each.trials]) for each in drawn]
    asha = ASHAScheduler(
        time_attr="steps", metric="objective", mode="max", max_t=budgets[-1], grace_period=budgets[0],
        reduction_factor=REDUCTION,
    )  # fmt: skip
    try:
        with tempfile.TemporaryDirectory(prefix="disentangle-bench-") as scratch:
            results = tune.Tuner(
                tune.with_resources(train, {"cpu": numerics.threads, "gpu": gpus}),
                param_space={"candidate": tune.grid_search(packed)},
                tune_config=tune.TuneConfig(
                    scheduler=asha if early_stopping else FIFOScheduler(),
                    reuse_actors=True,
                    max_concurrent_trials=where.concurrent,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name="tune",
                    storage_path=scratch,
                    failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS),
                    callbacks=[Teller()],
                    verbose=0,
                ),
            ).fit()
            ends = [results[i] for i in range(len(results))]
    finally:
        ray.shutdown()
    for end in ends:
        if (end.metrics or {}).get("mistake"):
            raise UserError((end.metrics or {})["mistake"])
        if end.error is not None:
            raise RuntimeError(f"a candidate of the search crashed: {end.error}")
    return found


def start_ray() -> tuple[Any, Any]:
    """Ray and its Tune, imported with our settings and without their log."""
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray
    from ray import tune

    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # failures are told by records, not by Tune's log
    return ray, tune


def connect(ray: Any, where: LaunchOptions) -> None:
    """Start Ray on this machine, or join the cluster at `where.address`."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if where.address is None:
        ray.init(address="local", include_dashboard=False, **quiet)
        return
    try:
        host, colon, port = where.address.removeprefix("ray://").rpartition(":")
        if colon:  # Ray itself would wait for minutes for an address where nothing listens
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=where.address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"--address {where.address}: no Ray cluster answers there ({error}).") from error


def require(ray: Any, needs: dict[str, float]) -> None:
    """Raise `UserError` where no node has what one trial needs: Ray would wait for it without a word."""
    if needs["GPU"] > 1 and needs["GPU"] % 1:
        ray.shutdown()
        raise UserError(f"--gpus {needs['GPU']:g}: a trial can have a share of one GPU, or whole ones.")
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(kind, 0) >= need for kind, need in needs.items()) for node in nodes):
        ray.shutdown()
        has = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
        raise UserError(
            f"a trial needs {needs['CPU']:g} CPUs and {needs['GPU']:g} GPUs, but Ray's machines have {has}; "
            "lower --cpus or --gpus."
        )
