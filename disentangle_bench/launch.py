"""Trials onto Ray Tune, local or a cluster; or, without Ray, one after the other in this process.

Tune schedules; it decides nothing. Which trials are done is told by their records, so Tune's own experiment state is
written to a temporary folder and thrown away, and seeds are a plain grid axis. Workers get names and paths, never data.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from dataclasses import dataclass
from typing import Any

from disentangle_bench.config import TrialSpec
from disentangle_bench.display import Watch
from disentangle_bench.errors import UserError
from disentangle_bench.records import Workspace, write_record
from disentangle_bench.trial import TrialOptions, failure, run_trial

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
    gpus: float | None = None  # share of a GPU a trial; none: one where the study's device is cuda
    concurrent: int | None = None  # trials at a time at most


def launch(trials: list[TrialSpec], workspace: Workspace, options: TrialOptions, where: LaunchOptions) -> list[str]:
    """Run trials to their records; returns the sentences of those that only the user can mend."""
    with Watch(trials, workspace, options.metrics):
        if where.local:
            return launch_local(trials, workspace, options)
        return launch_ray(trials, workspace, options, where)


def launch_local(trials: list[TrialSpec], workspace: Workspace, options: TrialOptions) -> list[str]:
    """One trial after the other, here."""
    mistakes = []
    for trial in trials:
        try:
            run_trial(trial, workspace, options)
        except UserError as error:
            mistakes.append(f"{trial.title}: {error}")
    return mistakes


def launch_ray(trials: list[TrialSpec], workspace: Workspace, options: TrialOptions, where: LaunchOptions) -> list[str]:
    """All trials as one Ray Tune grid."""
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray
    from ray import tune

    threads = trials[0].numerics.threads
    gpus = where.gpus if where.gpus is not None else float(trials[0].numerics.device == "cuda")
    connect(ray, where, threads)
    paths = Workspace(workspace.results.absolute(), workspace.data.absolute(), workspace.plugin_paths())

    def train(config: dict[str, Any]) -> None:
        from ray import tune

        try:
            record = run_trial(TrialSpec.model_validate(config["trial"]), paths, options)
            tune.report({"status": record.status, "mistake": ""})
        except UserError as error:
            tune.report({"status": "mistake", "mistake": str(error)})

    specs = [trial.model_dump(mode="json") for trial in trials]
    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # failures are told by records, not by Tune's log
    try:
        with tempfile.TemporaryDirectory(prefix="disentangle-bench-") as scratch:
            tuner = tune.Tuner(
                tune.with_resources(train, {"cpu": threads, "gpu": gpus}),
                param_space={"trial": tune.grid_search(specs)},
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
    mistakes = []
    for outcome in outcomes:
        trial = TrialSpec.model_validate((outcome.config or {})["trial"])
        if outcome.error is not None:
            cause = f"the worker died or could not run the trial: {type(outcome.error).__name__}"
            write_record(workspace.record(trial.id), failure(trial, cause, str(outcome.error)))
        elif (outcome.metrics or {}).get("mistake"):
            mistakes.append(f"{trial.title}: {(outcome.metrics or {})['mistake']}")
    return mistakes


def connect(ray: Any, where: LaunchOptions, threads: int) -> None:
    """Start Ray on this machine, or join the cluster at `where.address`."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if where.address is None:
        ray.init(include_dashboard=False, num_cpus=max(threads, os.cpu_count() or 1), **quiet)
        return
    try:
        host, colon, port = where.address.removeprefix("ray://").rpartition(":")
        if colon:  # Ray itself would wait for minutes for an address where nothing listens
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=where.address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"--address {where.address}: no Ray cluster answers there ({error}).") from error
