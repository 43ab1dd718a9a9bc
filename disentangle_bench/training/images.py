"""Images between the dataset's bytes and a model's numbers: on a device, scaled to its range, and back."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from disentangle_bench.contracts import Dataset


class DeviceImages:
    """A dataset's stored rows, decoded and scaled on one device.

    On the CPU the rows are the mapped file itself, which all processes share. On a GPU they are copied once if they
    take no more than half of its free memory; else they stay mapped, and each batch is gathered on the host.
    The file is read ahead meanwhile.
    """

    def __init__(self, dataset: Dataset, device: torch.device, image_range: tuple[float, float]) -> None:
        dataset.warm()
        rows = torch.from_numpy(dataset.rows)
        self.resident = device.type == "cpu" or rows.nbytes <= torch.cuda.mem_get_info(device)[0] // 2
        self.rows = rows.to(device) if self.resident else rows
        self.dataset = dataset
        self.image_range = image_range
        self.device = device

    @cached_property
    def labels(self) -> Tensor:
        """The class of each image, int64 (N,), for conditional models."""
        return torch.from_numpy(self.dataset.labels(np.arange(len(self.dataset)))).to(self.device)

    @cached_property
    def cumulative(self) -> Tensor | None:
        """The probability to draw each image or one before it, float64 (N,); None where all are drawn equally often."""
        weights = self.dataset.draw_weights()
        if weights is None:
            return None
        sums = np.cumsum(weights, dtype=np.float64)
        return torch.from_numpy(sums / sums[-1]).to(self.device)

    def __len__(self) -> int:
        return len(self.dataset)

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Indices for training, int64 (count,), with replacement: uniform, or by the dataset's `draw_weights`.

        Nothing of it waits for the device.
        """
        if self.cumulative is None:
            return torch.randint(len(self), (count,), generator=rng, device=self.device)
        level = torch.rand(count, generator=rng, device=self.device, dtype=torch.float64)  # in [0, 1)
        return torch.searchsorted(self.cumulative, level, right=True)  # never an image of weight 0

    def __call__(self, index: Tensor, keys: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W), float32, in the model's image_range, at these indices, int64 (B,).

        keys: what the dataset's nuisance is drawn by, int64 (B,); see `Dataset.pixels`.
        """
        place = self.rows.device
        pixels = self.dataset.pixels(self.rows, index.to(place), keys if keys is None else keys.to(place))
        return scale(pixels.to(self.device), self.image_range)

    def drawn(self, index: Tensor, rng: torch.Generator) -> Tensor:
        """As `__call__`, for training: nuisance is drawn anew by `rng`, each time that an image is seen."""
        if not self.dataset.nuisance:
            return self(index)
        return self(index, torch.randint(2**63 - 1, index.shape, generator=rng, device=self.device))


def scale(images: Tensor, image_range: tuple[float, float]) -> Tensor:
    """uint8 0..255 to float32 in `image_range`."""
    low, high = image_range
    return images.to(torch.float32).mul_((high - low) / 255.0).add_(low)


def as_bytes(images: Tensor, image_range: tuple[float, float]) -> Tensor:
    """Images in a model's `image_range` as uint8, 0..255; what lies outside is cut off."""
    low, high = image_range
    return ((images - low) / (high - low) * 255).round().clamp(0, 255).to(torch.uint8)
