"""What a study will cost: a few steps of each cell, timed here, and the sizes of what it writes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from disentangle_bench import registry
from disentangle_bench.contracts import Dataset
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.codes import ENCODE_BATCH
from disentangle_bench.models.base import count_parameters
from disentangle_bench.studies.config import first_line
from disentangle_bench.training.checkpoints import load_checkpoint
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.trainer import Trainer, build_model
from disentangle_bench.trials.pending import Metrics, Scoring, existing_record, missing_scores
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec

STEPS = 3
SCORE_SECONDS, SLOW_SECONDS = 1.0, 60.0  # one protocol by one of the metric's seeds, roughly; and of a slow one
BYTES_A_PARAMETER = 12  # in a checkpoint: the weight and the optimiser's two running averages


@dataclass
class Price:
    """What one trial of a cell costs on this machine: seconds a step, seconds to encode, bytes on disk."""

    step: float
    encode: float
    size: float


def estimate(
    trials: Sequence[TrialSpec], data: Mapping[str, Dataset], workspace: Workspace, scoring: Scoring
) -> tuple[float, float]:
    """Seconds that what is left of these trials takes, one after the other on this machine; and the bytes it writes."""
    seconds, size = 0.0, 0.0
    prices: dict[tuple[str, str], Price] = {}
    for trial in trials:
        record = existing_record(workspace, trial)
        if record is not None and (workspace.trial(trial.id) / "codes.npy").exists():
            seconds += scoring_seconds(missing_scores(record, scoring), scoring)
            continue
        cell = trial.dataset, trial.label
        if cell not in prices:
            prices[cell] = price(trial, data[trial.dataset])
        of_cell = prices[cell]
        steps = 0 if record is not None else trial.typed_config().steps - steps_done(workspace, trial)
        seconds += steps * of_cell.step + of_cell.encode + scoring_seconds(scoring.metrics, scoring)
        size += of_cell.size
    return seconds, size


def steps_done(workspace: Workspace, trial: TrialSpec) -> int:
    """The step of a trial's checkpoint, from which it goes on; 0 where there is none."""
    path = workspace.trial(trial.id) / "checkpoint.pt"
    return int(load_checkpoint(path, trial.id)["step"]) if path.exists() else 0


def scoring_seconds(metrics: Metrics, scoring: Scoring) -> float:
    """Seconds that these protocols take on one trial's codes, roughly."""
    return sum(
        SLOW_SECONDS
        if protocol in registry.get("metric", metric).slow
        else SCORE_SECONDS * scoring.repeats_of(metric, protocol)
        for metric, protocols in metrics.items()
        for protocol in protocols
    )


def price(trial: TrialSpec, dataset: Dataset) -> Price:
    """The price of a cell's trials, by one of them; `UserError` where it can't run."""
    try:
        return timed_price(trial, dataset)
    except (RuntimeError, MemoryError) as error:
        raise UserError(f"{trial.title} can't run with this configuration: {first_line(error)}") from error


def timed_price(spec: TrialSpec, dataset: Dataset) -> Price:
    """The price from `STEPS` of its steps and one encoded batch, timed after a first of each."""
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
    return Price(step, encoded / batch * encode, count_parameters(model) * BYTES_A_PARAMETER + encoded * width * 4)


def timed_call(call: Callable[[], object], times: int) -> float:
    """Mean seconds of one call, after one to warm up."""
    call()
    start = time.perf_counter()
    for _ in range(times):
        call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / times
