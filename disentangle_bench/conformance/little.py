"""A model in its smallest configuration on little images: what its checks look at."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from disentangle_bench.conformance import Fault
from disentangle_bench.contracts import Dataset
from disentangle_bench.errors import UserError
from disentangle_bench.models.base import Batch, Model, ModelConfig
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.trainer import Trainer, build_model

SHAPES = [(1, 16, 16), (1, 32, 32), (1, 28, 28), (1, 64, 64), (3, 16, 16), (3, 32, 32), (3, 64, 64)]
BATCH = 8
STEPS = 4


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
    def config(self) -> ModelConfig:
        """`small`, else the first configuration, with a budget of a few steps."""
        known = self.cls.configurations
        config = known.get("small", next(iter(known.values())))
        return config.model_copy(update={"steps": STEPS, "batch_size": BATCH})

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """The smallest shape of images that the constructor doesn't refuse."""
        refused = ""
        for shape in SHAPES:
            try:
                self.build(shape)
                return shape
            except UserError as error:
                refused = str(error)
        raise Fault(f"it refuses images of every shape tried, {SHAPES}; the last time it said: {refused}")

    def build(self, shape: tuple[int, int, int] | None = None, seed: int = 0) -> Model:
        """The model with this seed's initial weights."""
        return build_model(self.cls, self.config, shape or self.shape, seed, Bars.factor_sizes[0])

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

    def losses(
        self, model: Model, step: int = 1, batch: Batch | None = None
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Each phase of a step and its losses, of a batch on the model's device; no optimiser steps."""
        rng, now = torch.Generator().manual_seed(1), torch.full((), step, device=model.device)
        shared = model.begin(batch or self.batch(), rng, now)
        for phase in model.phases:
            yield phase, getattr(model, phase)(shared, rng, now)


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
