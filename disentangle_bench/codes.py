"""Images on a device, and their codes: encode the factor grid once, and every metric reads that table."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from disentangle_bench.contracts import Dataset, Progress, silent
from disentangle_bench.errors import UserError
from disentangle_bench.models.base import Model

CODE_FORMAT = 1  # raised when the same weights would give other codes; part of a trial's identity
ENCODE_BATCH = {"cpu": 128, "cuda": 4096}  # on a CPU more images at a time fit its caches less


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

    def __len__(self) -> int:
        return len(self.dataset)

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


@torch.inference_mode()
def encode_grid(model: Model, images: DeviceImages, progress: Progress = silent) -> np.ndarray:
    """The codes of the images that are evaluated, in their order, float32 (M, D); batches of fixed size."""
    model.eval()
    codes: np.ndarray | None = None
    size = ENCODE_BATCH[model.device.type]
    index = torch.from_numpy(images.dataset.evaluation()).to(model.device)
    for start in range(0, len(index), size):
        block = model.encode(images(index[start : start + size])).cpu().numpy()
        if codes is None:
            codes = np.empty((len(index), block.shape[1]), dtype=np.float32)
        codes[start : start + len(block)] = block
        progress(start + len(block), len(index))
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


def read_codes(path: Path) -> np.ndarray:
    """A trial's stored codes, float32 (N, D)."""
    try:
        return np.load(path)
    except FileNotFoundError as error:
        raise UserError(
            f"codes {path} are not there; run the trial's study again: its checkpoint encodes them anew. Where there "
            "is none, delete the trial's record, too: it is trained again."
        ) from error
    except (ValueError, EOFError, OSError) as error:
        raise UserError(
            f"codes {path} are damaged or truncated; delete the file and run again: they are encoded anew."
        ) from error


def scale(images: Tensor, image_range: tuple[float, float]) -> Tensor:
    """uint8 0..255 to float32 in `image_range`."""
    low, high = image_range
    return images.to(torch.float32).mul_((high - low) / 255.0).add_(low)
