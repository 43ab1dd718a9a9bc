"""What a trial does beside training: logs, diagnostics and heartbeat, and checkpoints. Each in a process of its own."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from common import Worker, ask_together, seconds

from disentangle_bench import datasets, registry
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.trainer import Intervals, Trainer, build_model
from disentangle_bench.trials.heartbeat import Heartbeat

NEVER = float("inf")
WARM_UP = 5  # steps
SAVES = 5


class RoundOver(Exception):
    """Leaves the trainer's loop after so many steps."""


def make_trainer(dataset: str, configuration: str, root: Path | None) -> Trainer:
    """IB-GAN after its first steps, on the CPU; call it with one thread."""
    set_up_process()
    cls = registry.get("model", "ib-gan")
    config = cls.configurations[configuration]
    data = datasets.load(dataset, root)
    model = build_model(cls, config, data.image_shape, 0)
    images = DeviceImages(data, torch.device("cpu"), model.image_range)
    trainer = Trainer(model, images, config, 0, "benchmark", Path(tempfile.gettempdir()) / "never-written")
    train(trainer, WARM_UP, Intervals(log=0, diagnose=0, checkpoint_seconds=NEVER), lambda step: None)
    return trainer


def train(trainer: Trainer, steps: int, intervals: Intervals, on_step: Callable[[int], None]) -> None:
    """So many steps, without the checkpoint and diagnosis of a last one."""
    end = trainer.step + steps

    def count(step: int) -> None:
        on_step(step)
        if step >= end:
            raise RoundOver

    with suppress(RoundOver):
        trainer.train(intervals, on_step=count)


def time_logging(root: Path | None, steps: int) -> Callable[[float], float]:
    """A function: seconds of `steps` steps, as in a trial (1) or without logs, diagnostics and heartbeat (0)."""
    folder = tempfile.TemporaryDirectory()  # goes with the function
    with threads(1):
        trainer = make_trainer("dsprites-32", "small", root)
    heartbeat = Heartbeat(Path(folder.name))

    def measure(logging: float) -> float:
        trainer.step = 0  # so that each round has as many logs and diagnoses
        intervals = Intervals(checkpoint_seconds=NEVER) if logging else Intervals(0, 0, 0, NEVER)
        on_step = heartbeat.beat if logging else lambda step: None
        with threads(1):
            return seconds(lambda: train(trainer, steps, intervals, on_step))

    return measure


def time_diagnosis(root: Path | None) -> Callable[[float], float]:
    """A function: seconds of one diagnosis."""
    with threads(1):
        trainer = make_trainer("dsprites-32", "small", root)

    def measure(_: float) -> float:
        with threads(1):
            return seconds(trainer.diagnose)

    return measure


def time_save(root: Path | None) -> Callable[[float], float]:
    """A function: seconds of one checkpoint of the published configuration, down to the disk."""
    with threads(1):
        trainer = make_trainer("dsprites", "dsprites", root)

    def measure(_: float) -> float:
        with tempfile.TemporaryDirectory() as folder:
            trainer.checkpoint = Path(folder) / "checkpoint.pt"
            return seconds(trainer.save)

    return measure


def logging_share(root: Path | None, steps: int, rounds: int) -> tuple[float, float]:
    """Share of training time that logging takes: with and without it by turns; and from one diagnosis alone.

    The second has no noise of two long times in it, but leaves out what costs next to nothing: losses and heartbeats.
    """
    worker = Worker(time_logging, root, steps)
    times: dict[float, list[float]] = {0: [], 1: []}
    for _ in range(rounds):
        for logging in times:
            times[logging] += ask_together([worker], logging)
    worker.close()
    without, along = (statistics.median(times[logging]) for logging in (0, 1))
    worker = Worker(time_diagnosis, root)
    diagnosis = statistics.median(ask_together([worker], 0)[0] for _ in range(SAVES))
    worker.close()
    return along / without - 1, diagnosis / (Intervals.diagnose * without / steps)


def save_seconds(root: Path | None) -> float:
    """Median seconds of one checkpoint."""
    worker = Worker(time_save, root)
    found = statistics.median(ask_together([worker], 0)[0] for _ in range(SAVES))
    worker.close()
    return found
