"""Images on a device, and their codes: encode the factor grid once, and every metric reads that table."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from disentangle_bench.contracts import Dataset, Progress, silent
from disentangle_bench.models.base import Model

CODE_FORMAT = 1  # raised when the same weights would give other codes; part of a trial's identity
ENCODE_BATCH = {"cpu": 128, "cuda": 4096}  # on a CPU more images at a time fit its caches less


class DeviceImages:
    """A dataset's stored rows on one device, decoded and scaled there.

    On the CPU the rows are the mapped file itself, which all processes share; on a GPU they are copied once.
    """

    def __init__(self, dataset: Dataset, device: torch.device, image_range: tuple[float, float]) -> None:
        self.rows = torch.from_numpy(dataset.rows).to(device)
        self.dataset = dataset
        self.image_range = image_range
        self.device = device

    @cached_property
    def labels(self) -> Tensor:
        """The class of each image, int64 (N,), for conditional models."""
        return torch.from_numpy(self.dataset.labels()).to(self.device)

    def __len__(self) -> int:
        return len(self.rows)

    def __call__(self, index: Tensor | slice) -> Tensor:
        """Images (B, C, H, W), float32, in the model's image_range."""
        return scale(self.dataset.decode(self.rows[index]), self.image_range)


@torch.inference_mode()
def encode_grid(model: Model, images: DeviceImages, progress: Progress = silent) -> np.ndarray:
    """The codes of all images in index order, float32 (N, D); evaluation mode, batches of fixed size."""
    model.eval()
    codes: np.ndarray | None = None
    size = ENCODE_BATCH[model.device.type]
    for start in range(0, len(images), size):
        block = model.encode(images(slice(start, start + size))).cpu().numpy()
        if codes is None:
            codes = np.empty((len(images), block.shape[1]), dtype=np.float32)
        codes[start : start + len(block)] = block
        progress(start + len(block), len(images))
    model.train()
    if codes is None:
        raise ValueError("the dataset is empty")
    return codes


@torch.inference_mode()
def encode_images(model: Model, images: np.ndarray) -> np.ndarray:
    """Codes, float32 (N, D), of uint8 images (N, C, H, W), 0..255."""
    model.eval()
    size = ENCODE_BATCH[model.device.type]
    blocks = [np.ascontiguousarray(images[start : start + size]) for start in range(0, len(images), size)]
    scaled = (scale(torch.from_numpy(block).to(model.device), model.image_range) for block in blocks)
    return np.concatenate([model.encode(block).cpu().numpy() for block in scaled])


def scale(images: Tensor, image_range: tuple[float, float]) -> Tensor:
    """uint8 0..255 to float32 in `image_range`."""
    low, high = image_range
    return images.to(torch.float32).mul_((high - low) / 255.0).add_(low)
