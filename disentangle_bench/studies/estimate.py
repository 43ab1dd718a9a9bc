"""What a study will cost: a few steps of each cell, timed here, and the sizes of what it writes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from disentangle_bench import registry
from disentangle_bench.contracts import Dataset
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.codes import ENCODE_BATCH
from disentangle_bench.models.base import count_parameters
from disentangle_bench.studies.config import first_line
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.trainer import Trainer, build_model
from disentangle_bench.trials.spec import TrialSpec

STEPS = 3
SCORING_SECONDS = 10.0  # all built-in metrics on one table, roughly
BYTES_A_PARAMETER = 12  # in a checkpoint: the weight and the optimiser's two running averages


def estimate(trials: Sequence[TrialSpec], data: Mapping[str, Dataset]) -> tuple[float, float]:
    """Seconds that these trials take one after the other on this machine, and the bytes that they leave on disk."""
    seconds, size = 0.0, 0.0
    cells: dict[tuple[str, str], list[TrialSpec]] = {}
    for trial in trials:
        cells.setdefault((trial.dataset, trial.label), []).append(trial)
    for (dataset, _), cell in cells.items():
        try:
            one_seconds, one_size = estimate_one(cell[0], data[dataset])
        except (RuntimeError, MemoryError) as error:
            raise UserError(f"{cell[0].title} can't run with this configuration: {first_line(error)}") from error
        seconds += len(cell) * one_seconds
        size += len(cell) * one_size
    return seconds, size


def estimate_one(spec: TrialSpec, dataset: Dataset) -> tuple[float, float]:
    """Seconds and bytes of one trial, from `STEPS` of its steps and one encoded batch after a first of each."""
    config, numerics = spec.typed_config(), spec.numerics
    set_up_process(numerics.precision, numerics.deterministic)
    cls = registry.get("model", spec.model)
    model = build_model(cls, config, dataset.image_shape, 0, dataset.classes()).to(numerics.device)
    images = DeviceImages(dataset, model.device, model.image_range)
    batch = ENCODE_BATCH[model.device.type]
    with tempfile.TemporaryDirectory() as folder, threads(numerics.threads):
        checkpoint = Path(folder) / "checkpoint.pt"
        trainer = Trainer(model, images, config, 0, spec.id, checkpoint, numerics.precision, numerics.mode)
        trainer.step = 1  # steps count from 1
        step = timed_call(trainer.update, STEPS)
        model.eval()
        with torch.inference_mode():
            encode = timed_call(lambda: model.encode(images(torch.arange(batch, device=model.device) % len(images))), 1)
            width = model.encode(images(torch.zeros(2, dtype=torch.int64, device=model.device))).shape[1]
    encoded = len(dataset.evaluation())
    seconds = config.steps * step + encoded / batch * encode + SCORING_SECONDS
    return seconds, count_parameters(model) * BYTES_A_PARAMETER + encoded * width * 4


def timed_call(call: Callable[[], object], times: int) -> float:
    """Mean seconds of one call, after one to warm up."""
    call()
    start = time.perf_counter()
    for _ in range(times):
        call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / times
