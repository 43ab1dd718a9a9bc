"""A model in its smallest configuration on little images: what its checks look at."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from disentangle_bench.conformance import Fatal, Skip
from disentangle_bench.contracts import Dataset
from disentangle_bench.errors import PluginError, UserError
from disentangle_bench.models.base import Batch, Model, ModelConfig
from disentangle_bench.models.declared import refuse_codes, refuse_losses
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.trainer import Trainer, build_model

SHAPES = [(1, 16, 16), (1, 32, 32), (1, 28, 28), (1, 64, 64), (3, 16, 16), (3, 32, 32), (3, 64, 64)]
BATCH = 8
STEPS = 4
TRIED = 20  # steps of the one longer training
SECONDS = 30.0  # that it takes at most


@dataclass(frozen=True)
class Trained:
    """How many steps a training came to, and which loss was no finite number at the last of them, in words.

    whole: whether there was time for all steps.
    """

    steps: int
    fault: str = ""
    whole: bool = True


class Bars(Dataset):
    """A bright bar of 3 widths at 4 columns and 4 rows, in any shape of image; the width is its class."""

    name, description = "bars", "bars for checks"
    factor_names, factor_sizes, label_factor = ("width", "column", "row"), (3, 4, 4), "width"

    def __init__(self, shape: Any) -> None:
        self.checksum = "bars"
        self.rows = np.zeros((48, *shape), dtype=np.uint8)
        height, width = shape[1] // 4, shape[2] // 4
        for i, (size, column, row) in enumerate(np.ndindex(*self.factor_sizes)):
            self.rows[i, :, row * height : (row + 1) * height, column * width : column * width + 2 * size + 2] = 255


class Subject:
    """A model class with its smallest configuration on images that it takes."""

    def __init__(self, cls: type[Model]) -> None:
        self.cls = cls

    @cached_property
    def whole(self) -> ModelConfig:
        """`small`, else the first configuration, with its own budget and small batches."""
        known = self.cls.configurations
        config = known.get("small", next(iter(known.values())))
        return config.model_copy(update={"batch_size": BATCH})

    @cached_property
    def config(self) -> ModelConfig:
        """The same with a budget of a few steps."""
        return self.whole.model_copy(update={"steps": STEPS})

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """The smallest shape of images that the constructor doesn't refuse."""
        refused = ""
        for shape in SHAPES:
            try:
                self.build(shape)
                return shape
            except PluginError as error:
                raise Fatal(str(error)) from error
            except UserError as error:
                refused = str(error)
        raise Fatal(f"it refuses images of every shape tried, {SHAPES}; the last time it said: {refused}")

    def build(
        self, shape: tuple[int, int, int] | None = None, seed: int = 0, config: ModelConfig | None = None
    ) -> Model:
        """The model with this seed's initial weights, in a budget of a few steps unless a configuration is given."""
        return build_model(self.cls, config or self.config, shape or self.shape, seed, Bars.factor_sizes[0])

    @cached_property
    def images(self) -> DeviceImages:
        """The bars as the model takes them."""
        return DeviceImages(Bars(self.shape), torch.device("cpu"), self.build().image_range)

    def batch(self) -> Batch:
        """The first images, their classes, and the last ones as second batch."""
        rows = torch.arange(BATCH)
        return Batch(self.images(rows), self.images.labels[rows], self.images(torch.arange(-BATCH, 0)))

    def trainer(self, folder: Path, seed: int = 0) -> Trainer:
        """A trainer in a folder."""
        return Trainer(self.build(seed=seed), self.images, self.config, seed, "check", folder / "checkpoint.pt")

    @cached_property
    def trained(self) -> Trained:
        """What became of the losses in a training of `TRIED` steps, or of as many as there was time for."""
        with folder() as place:
            model = self.build(config=self.whole)
            trainer = Trainer(model, self.images, self.whole, 0, "check", place / "checkpoint.pt")
            trainer.model.train()
            torch.manual_seed(0)
            start = time.monotonic()
            end = min(TRIED, max(1, self.whole.steps))
            while trainer.step < end and time.monotonic() - start < SECONDS:
                trainer.step += 1
                for name, loss in trainer.update().items():
                    if not loss.isfinite():
                        return Trained(trainer.step, f"the loss of '{name}' is {loss.item()} at step {trainer.step}")
            return Trained(trainer.step, whole=trainer.step == end)

    def needs_finite_losses(self) -> None:
        """`Skip` where a loss is no number in the first few steps, which tells nothing of what else the model does."""
        if self.trained.fault and self.trained.steps <= STEPS:
            raise Skip("its losses don't stay finite, which makes this check say nothing")

    def losses(
        self, model: Model, step: int = 1, batch: Batch | None = None
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Each phase of a step and its losses, of a batch on the model's device, and its end; no optimiser steps."""
        rng, now = torch.Generator().manual_seed(1), torch.full((), step, device=model.device)
        shared = model.begin(batch or self.batch(), rng, now)
        for phase in model.phases:
            losses = getattr(model, phase)(shared, rng, now)
            refuse_losses(self.cls, phase, losses, model.players())
            yield phase, losses
        model.end(now)

    def codes(self, model: Model, images: Tensor) -> Tensor:
        """The model's codes of images."""
        codes = model.encode(images)
        refuse_codes(self.cls, codes, len(images))
        return codes


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""
    others = (None if part is None else part.to(device) for part in (batch.labels, batch.second))
    return Batch(batch.images.to(device), *others)


def weights(model: Model) -> bytes:
    """All parameters and buffers as bytes."""
    buffer = io.BytesIO()
    for value in model.state_dict().values():
        buffer.write(value.contiguous().numpy().tobytes())
    return buffer.getvalue()


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
