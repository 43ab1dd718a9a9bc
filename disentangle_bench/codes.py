"""Images on a device, and their codes: encode the factor grid once, and every metric reads that table."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from disentangle_bench.contracts import Dataset, Progress, silent
from disentangle_bench.models.base import Model

CODE_FORMAT = 1  # raised when the same weights would give other codes; part of a trial's identity
ENCODE_BATCH = 1024


class DeviceImages:
    """A dataset's stored rows on one device, decoded and scaled there.

    On the CPU the rows are the mapped file itself, which all processes share; on a GPU they are copied once.
    """

    def __init__(self, dataset: Dataset, device: torch.device, image_range: tuple[float, float]) -> None:
        rows = dataset.rows
        if rows.flags.writeable:
            self.rows = torch.from_numpy(rows).to(device)
        else:
            # torch warns that a read-only map could be written through the tensor; nothing here does.
            self.rows = torch.frombuffer(memoryview(rows).cast("B"), dtype=torch.uint8).view(rows.shape).to(device)
        self.dataset = dataset
        self.low, self.high = image_range

    def __len__(self) -> int:
        return len(self.rows)

    def __call__(self, index: Tensor | slice) -> Tensor:
        """Images (B, C, H, W), float32, in the model's image_range."""
        return self.scale(self.dataset.decode(self.rows[index]))

    def scale(self, images: Tensor) -> Tensor:
        """uint8 0..255 to float32 in the model's image_range."""
        return images.to(torch.float32).mul_((self.high - self.low) / 255.0).add_(self.low)


@torch.inference_mode()
def encode_grid(model: Model, images: DeviceImages, progress: Progress = silent) -> np.ndarray:
    """The codes of all images in index order, float32 (N, D); evaluation mode, batches of fixed size."""
    model.eval()
    codes: np.ndarray | None = None
    for start in range(0, len(images), ENCODE_BATCH):
        block = model.encode(images(slice(start, start + ENCODE_BATCH))).cpu().numpy()
        if codes is None:
            codes = np.empty((len(images), block.shape[1]), dtype=np.float32)
        codes[start : start + len(block)] = block
        progress(min(start + ENCODE_BATCH, len(images)), len(images))
    model.train()
    if codes is None:
        raise ValueError("the dataset is empty")
    return codes


@torch.inference_mode()
def encode_images(model: Model, images: np.ndarray) -> np.ndarray:
    """Codes, float32 (N, D), of uint8 images (N, C, H, W), 0..255."""
    low, high = model.image_range
    model.eval()
    blocks = []
    for start in range(0, len(images), ENCODE_BATCH):
        batch = torch.from_numpy(np.ascontiguousarray(images[start : start + ENCODE_BATCH])).to(model.device)
        blocks.append(model.encode(batch.to(torch.float32) * ((high - low) / 255.0) + low).cpu().numpy())
    return np.concatenate(blocks)
