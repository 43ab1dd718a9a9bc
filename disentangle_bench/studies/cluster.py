"""Ray and its Tune, local or a cluster: the only file that imports them.

Tune schedules; it decides nothing. Which trials are done is told by their records, so Tune's own experiment state is
written to a temporary folder and thrown away, and what runs is a plain grid axis.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from disentangle_bench.errors import UserError
from disentangle_bench.studies.ray_folder import ray_folder
from disentangle_bench.training.numerics import Numerics

RAY_ENVIRONMENT = {  # read when Ray is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # records and curves are ours
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the run at once; checkpoints are whole at any time
    "TUNE_MAX_PENDING_TRIALS_PG": "64",  # of thousands of trials, few wait inside Ray
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
WORKER_DEATHS = 2  # how often a trial is started again after its worker died, as when memory ran out


@dataclass(frozen=True)
class LaunchOptions:
    """Where trials run."""

    local: bool = False  # in this process, without Ray
    address: str | None = None  # a Ray cluster's; none: Ray on this machine
    gpus: float | None = None  # share of a GPU a trial or pack; none: one where the study's device is cuda
    concurrent: int | None = None  # trials or packs at a time at most
    pack: int | Literal["auto"] = 1  # trials of one cell that take turns in one process


@contextmanager
def session(where: LaunchOptions, numerics: Sequence[Numerics]) -> Iterator[dict[str, float]]:
    """Ray, started or joined, until the block ends; gives what one trial of these numerics needs of a machine.

    `UserError` where no cluster answers or no machine of it has what a trial needs.
    """
    ray = start_ray()
    threads = max(each.threads for each in numerics)
    gpus = where.gpus if where.gpus is not None else float(numerics[0].device == "cuda")
    at_term = signal.getsignal(signal.SIGTERM)  # Ray puts its own handler there
    with ExitStack() as ending:
        if where.address is None:
            start(ray, ending.enter_context(ray_folder()))
        else:
            join(ray, where.address)
        ending.callback(ray.shutdown)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, at_term)
        require(ray, {"CPU": threads, "GPU": gpus})
        yield {"cpu": threads, "gpu": gpus}


def map_on_ray(
    function: Callable[[Any], None],
    items: Sequence[Any],
    needs: dict[str, float],
    concurrent: int | None,
    scheduler: Any = None,
    told: Callable[[dict[str, Any]], None] | None = None,
) -> list[Any]:
    """Call `function(item)` for each item as a Tune trial, within a `session`; gives Tune's results in items' order.

    The function tells its results by `report`. A worker that dies is started again `WORKER_DEATHS` times.
    concurrent: how many at a time at most. scheduler: Tune's, which may end some early. told: called in this process
    with each result as it comes.
    """
    from ray import tune

    class Teller(tune.Callback):
        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **more: Any) -> None:
            if told is not None:
                told(result)

        def __reduce__(self) -> Any:
            return tune.Callback, ()  # Tune saves its callbacks, and this one may hold the terminal

    with tempfile.TemporaryDirectory(prefix="disentangle-bench-") as scratch:
        results = tune.Tuner(
            tune.with_resources(lambda config: function(config["item"]), needs),
            param_space={"item": tune.grid_search(list(items))},
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                reuse_actors=True,  # importing torch takes a worker seconds
                max_concurrent_trials=concurrent,
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
        return [results[i] for i in range(len(results))]


def report(values: dict[str, Any]) -> None:
    """Tell a result from within a function that `map_on_ray` calls."""
    from ray import tune

    tune.report(values)


def asha(time: str, objective: str, grace: int, end: int, factor: int) -> Any:
    """Tune's asynchronous successive halving: of results at rungs of `time`, the worse ones end early."""
    from ray.tune.schedulers import ASHAScheduler

    return ASHAScheduler(
        time_attr=time, metric=objective, mode="max", max_t=end, grace_period=grace, reduction_factor=factor
    )


def start_ray() -> Any:
    """Ray, imported with our settings and without its Tune's log."""
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # failures are told by records, not by Tune's log
    return ray


def start(ray: Any, folder: Path) -> None:
    """Start Ray on this machine, its sockets and logs in this folder; `UserError` where that fails.

    Its token is this process's own: else Ray would write one to the home folder, which may not be writable, and which
    makes each cluster that is started there later ask for it.
    """
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = uuid.uuid4().hex
    try:
        ray.init(address="local", include_dashboard=False, _temp_dir=str(folder), **QUIET)
    except Exception as error:  # of many kinds, and all are the machine's: no memory, no port, no process, no right
        ray.shutdown()
        raise UserError(
            f"Ray can't start on this machine ({said(error)}); mend that, or run with --local, which needs no Ray."
        ) from error


def join(ray: Any, address: str) -> None:
    """Join the cluster at this address."""
    try:
        host, colon, port = address.removeprefix("ray://").rpartition(":")
        if colon:  # Ray itself would wait for minutes for an address where nothing listens
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, **QUIET)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"--address {address}: no Ray cluster answers there ({said(error)}).") from error


def said(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def require(ray: Any, needs: dict[str, float]) -> None:
    """Raise `UserError` where no node has what one trial needs: Ray would wait for it without a word."""
    if needs["GPU"] > 1 and needs["GPU"] % 1:
        raise UserError(f"--gpus {needs['GPU']:g}: a trial can have a share of one GPU, or whole ones.")
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(kind, 0) >= need for kind, need in needs.items()) for node in nodes):
        has = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
        raise UserError(
            f"a trial needs {needs['CPU']:g} CPUs and {needs['GPU']:g} GPUs, but Ray's machines have {has}; "
            "lower --cpus or --gpus."
        )
