"""How many trials of a cell one GPU should train by turns: measured, in a process of its own.

A lack of memory while a CUDA graph is captured can leave a process unable to use the device, so the measuring process
says what it has found after each size and may die of the next.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from disentangle_bench import datasets, registry
from disentangle_bench.evaluation.codes import ENCODE_BATCH
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.trainer import Trainer, build_model
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec

SIZES = (1, 2, 4, 8, 16, 32)
SECONDS = 2.0  # of training at each size
ENOUGH = 0.95  # of the best rate: the smallest pack that reaches it is chosen
TIMEOUT = 600.0  # seconds of the whole probe


@dataclass(frozen=True)
class Rate:
    """What a pack of this size does: steps a second of all its trials together, how, and in how much device memory."""

    size: int
    steps_per_s: float
    engine: str
    memory: int  # bytes at most, of the tensors; 0 on a CPU


def best_size(trial: TrialSpec, workspace: Workspace) -> int:
    """The pack for a trial's cell on its device; 1 on a CPU, where one thread a trial already fills a core."""
    return 1 if trial.numerics.device == "cpu" else choose(measure(trial, workspace))


def choose(rates: dict[int, float]) -> int:
    """The smallest size that reaches `ENOUGH` of the best rate; 1 where not even one trial was measured."""
    best = max(rates.values(), default=0.0)
    return min((size for size, rate in rates.items() if rate >= ENOUGH * best), default=1)


def measure(
    trial: TrialSpec, workspace: Workspace, sizes: tuple[int, ...] = SIZES, seconds: float = SECONDS
) -> dict[int, float]:
    """Steps a second of all trials together by the pack's size, as far as memory allows; from a process of its own."""
    asked = {
        "trial": trial.model_dump(mode="json"),
        "data": str(workspace.data.absolute()),
        "plugins": list(workspace.plugin_paths()),
        "sizes": sizes,
        "seconds": seconds,
    }
    words = [sys.executable, "-m", "disentangle_bench.trials.probe"]
    try:
        done = subprocess.run(words, input=json.dumps(asked), capture_output=True, text=True, timeout=TIMEOUT)
        said, errors = done.stdout, done.stderr if done.returncode else ""
    except subprocess.TimeoutExpired as late:
        said, errors = (late.stdout or b"").decode(), f"it took more than {TIMEOUT:.0f} s"
    rates = {row["size"]: row["steps_per_s"] for row in map(json.loads, said.splitlines())}
    if errors:
        last = errors.strip().splitlines()[-1]
        sys.stderr.write(f"Note: the probe for --pack auto ended after packs of {max(rates, default=0)}: {last}\n")
    return rates


def rates_of(trial: TrialSpec, workspace: Workspace, sizes: tuple[int, ...], seconds: float) -> Iterator[Rate]:
    """The rate of each pack in turn; each has those of the one before it and more seeds."""
    numerics = trial.numerics
    set_up_process(numerics.precision, numerics.deterministic)
    for plugin in workspace.plugins:
        registry.load_plugin(plugin)
    dataset = datasets.load(trial.dataset, workspace.data, prepare=False)
    cls, config = registry.get("model", trial.model), trial.typed_config()
    trainers: list[Trainer] = []
    streams: list[torch.cuda.Stream | None] = []
    with tempfile.TemporaryDirectory() as folder, threads(numerics.threads):
        for size in sizes:
            for seed in range(len(trainers), size):
                model = build_model(cls, config, dataset.image_shape, seed, dataset.classes()).to(numerics.device)
                images = trainers[0].images if trainers else DeviceImages(dataset, model.device, model.image_range)
                checkpoint = Path(folder) / "never-written"
                trainers.append(
                    Trainer(model, images, config, seed, "probe", checkpoint, numerics.precision, numerics.mode)
                )
                streams.append(torch.cuda.Stream() if numerics.device == "cuda" else None)
                model.train()
            turn(trainers, streams)  # captures or compiles
            steps, start = 0, time.perf_counter()
            while time.perf_counter() < start + seconds:
                turn(trainers, streams)
                steps += 1
            synchronise(numerics.device)
            rate = steps * size / (time.perf_counter() - start)
            memory = torch.cuda.max_memory_allocated() if numerics.device == "cuda" else 0
            encode_once(trainers[-1])  # what a trial needs beside the others that still train
            yield Rate(size, rate, trainers[-1].history.engine, memory)


def turn(trainers: list[Trainer], streams: list[torch.cuda.Stream | None]) -> None:
    """One step of each."""
    for trainer, stream in zip(trainers, streams, strict=True):
        trainer.step += 1
        with torch.cuda.stream(stream) if stream is not None else nullcontext():
            trainer.update()


def encode_once(trainer: Trainer) -> None:
    """Encode one batch, as a finished trial does."""
    device = trainer.model.device
    with torch.inference_mode():
        index = torch.arange(ENCODE_BATCH[device.type], device=device) % len(trainer.images)
        trainer.model.eval().encode(trainer.images(index))
    trainer.model.train()


def synchronise(device: str) -> None:
    """Wait for the device's queue, where it has one."""
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Read what to measure from stdin and write a line for each size."""
    asked = json.load(sys.stdin)
    workspace = Workspace(Path(), Path(asked["data"]), tuple(asked["plugins"]))
    trial = TrialSpec.model_validate(asked["trial"])
    for rate in rates_of(trial, workspace, tuple(asked["sizes"]), asked["seconds"]):
        sys.stdout.write(json.dumps(asdict(rate)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
