"""Curves and scores sent to where people watch their runs: TensorBoard, Weights & Biases, MLflow. Off unless asked for.

All three write to this machine's disk unless their own environment variables say otherwise. What fails there is noted
in the trial's record, and the trial goes on.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from disentangle_bench.errors import UserError, unknown
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec

Values = Mapping[str, float]


class Logger(Protocol):
    """Where one trial's values go, from some step on."""

    def log(self, step: int, values: Values) -> None:
        """Take the values of a step."""

    def close(self, whole: bool) -> None:
        """Take no more; whole: the trial came to its end."""


class TensorBoard:
    """Events in the trial's folder `tensorboard/`; those of steps that are trained again are replaced."""

    needs = ("tensorboardX",)

    def __init__(self, spec: TrialSpec, workspace: Workspace, study: str, step: int) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(workspace.trial(spec.id) / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, values: Values) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self, whole: bool) -> None:
        self.writer.close()


class WandB:
    """A run in the trial's folder `wandb/`, to be sent with `wandb sync`; online where WANDB_MODE=online.

    Its id is the trial's, its project the study.
    """

    needs = ("wandb",)

    def __init__(self, spec: TrialSpec, workspace: Workspace, study: str, step: int) -> None:
        import wandb

        mode: Any = os.environ.get("WANDB_MODE", "offline")
        quiet = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True)
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or study, id=spec.id, name=spec.title, group=spec.label,
            config=spec.model_dump(mode="json"), dir=str(workspace.trial(spec.id)), resume="allow",
            mode=mode, reinit="create_new", settings=quiet,
        )  # fmt: skip

    def log(self, step: int, values: Values) -> None:
        self.run.log(dict(values), step=step)

    def close(self, whole: bool) -> None:
        self.run.finish(exit_code=0 if whole else 1)


class MLflow:
    """A run in the results' `mlflow.db`, or where MLFLOW_TRACKING_URI says; its experiment is the study.

    A trial that goes on goes on in its run; steps that were logged before it was stopped are not logged again.
    """

    needs = ("mlflow", "sqlalchemy", "alembic")

    def __init__(self, spec: TrialSpec, workspace: Workspace, study: str, step: int) -> None:
        self.client, experiment = tracking(workspace, study)
        known = self.client.search_runs([experiment], f"tags.trial = '{spec.id}'")
        run = known[0] if known else self.client.create_run(experiment, run_name=spec.title, tags={"trial": spec.id})
        self.id, self.last = run.info.run_id, -1
        for name in run.data.metrics:
            self.last = max([self.last, *(each.step for each in self.client.get_metric_history(self.id, name))])
        if not known:
            settings = {"model": spec.label, "dataset": spec.dataset, "seed": spec.seed, **spec.config}
            for name, value in settings.items():
                self.client.log_param(self.id, name, value)

    def log(self, step: int, values: Values) -> None:
        from mlflow.entities import Metric

        new = {name: value for name, value in values.items() if step > self.last or name.startswith("score/")}
        now = int(time.time() * 1000)
        self.client.log_batch(self.id, metrics=[Metric(name, value, now, step) for name, value in new.items()])

    def close(self, whole: bool) -> None:
        self.client.set_terminated(self.id, "FINISHED" if whole else "FAILED")


def tracking(workspace: Workspace, study: str) -> tuple[Any, str]:
    """MLflow's client, and the id of the study's experiment, which is made where it is missing."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of each table that it makes
    workspace.results.mkdir(parents=True, exist_ok=True)
    here = f"sqlite:///{workspace.results.absolute()}/mlflow.db"
    client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or here)
    experiment = client.get_experiment_by_name(study)
    return client, experiment.experiment_id if experiment is not None else client.create_experiment(study)


LOGGERS: dict[str, type[TensorBoard] | type[WandB] | type[MLflow]] = {
    "tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow,
}  # fmt: skip


def check(names: Sequence[str]) -> None:
    """Raise `UserError` where a logger is unknown, or the package missing that it needs."""
    from importlib.util import find_spec

    for name in names:
        if name not in LOGGERS:
            raise unknown("logger", name, LOGGERS)
        missing = [package for package in LOGGERS[name].needs if find_spec(package) is None]
        if missing:
            raise UserError(
                f"--log {name} needs {', '.join(missing)}, not installed here: pip install {' '.join(missing)}."
            )


def prepare(names: Sequence[str], workspace: Workspace, study: str) -> None:
    """Make the study's place in MLflow before several workers do; `UserError` where that fails."""
    if "mlflow" in names:
        try:
            tracking(workspace, study)
        except Exception as error:  # of MLflow, its database's, its server's: all are the user's to mend
            said = " ".join(str(error).split())[:200]
            raise UserError(f"--log mlflow: its store can't be reached ({type(error).__name__}: {said}).") from error


class Loggers:
    """The loggers of one trial: opened at its first value, and each left alone from its first failure on.

    failures: a sentence each, for the trial's record.
    """

    def __init__(self, names: Sequence[str], spec: TrialSpec, workspace: Workspace, study: str) -> None:
        self.opening = (spec, workspace, study)
        self.waiting, self.open = list(names), dict[str, Logger]()
        self.failures: list[str] = []

    def begin(self, step: int) -> None:
        """Open those that are not open yet, for values after this step."""
        for name in self.waiting:
            self.tried(name, self.opened, name, step)
        self.waiting = []

    def opened(self, name: str, step: int) -> None:
        """Open one."""
        self.open[name] = LOGGERS[name](*self.opening, step)

    def log(self, step: int, values: Values) -> None:
        """Send the values of a step to each."""
        for name, logger in list(self.open.items()):
            self.tried(name, logger.log, step, values)

    def close(self, whole: bool) -> None:
        """Close each; whole: the trial came to its end."""
        for name, logger in list(self.open.items()):
            self.tried(name, logger.close, whole)
        self.open = {}

    def tried(self, name: str, act: Callable[..., None], *arguments: Any) -> None:
        """Do it; a failure is noted, and is this logger's last: whatever it raises, the trial is worth more."""
        try:
            act(*arguments)
        except Exception as error:
            self.open.pop(name, None)
            said = " ".join(str(error).split())[:200]
            self.failures.append(f"{name} failed ({type(error).__name__}: {said}); this trial's log there is not whole")
