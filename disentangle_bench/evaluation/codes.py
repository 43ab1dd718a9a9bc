"""Codes of images: encode the factor grid once, and every metric reads that table."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import torch

from disentangle_bench.contracts import Progress, silent
from disentangle_bench.errors import UserError
from disentangle_bench.files import write_file
from disentangle_bench.models.base import Model
from disentangle_bench.models.declared import refuse_codes
from disentangle_bench.training.images import DeviceImages, scale

CODE_FORMAT = 1  # raised when the same weights would give other codes; part of a trial's identity
ENCODE_BATCH = {"cpu": 128, "cuda": 4096}  # on a CPU more images at a time fit its caches less


@torch.inference_mode()
def encode_grid(model: Model, images: DeviceImages, progress: Progress = silent) -> np.ndarray:
    """The codes of the images that are evaluated, in their order, float32 (M, D); batches of fixed size."""
    model.eval()
    codes: np.ndarray | None = None
    size = ENCODE_BATCH[model.device.type]
    index = torch.from_numpy(images.dataset.evaluation()).to(model.device)
    for start in range(0, len(index), size):
        rows = index[start : start + size]
        encoded = model.encode(images(rows))
        refuse_codes(type(model), encoded, len(rows))
        block = encoded.cpu().numpy()
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


def write_codes(path: Path, codes: np.ndarray) -> str:
    """Store a trial's codes, float32 (N, D); gives the sha256 of the file."""
    buffer = io.BytesIO()
    np.save(buffer, codes)
    write_file(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def read_codes(path: Path, sha256: str | None = None) -> np.ndarray:
    """A trial's stored codes, float32 (N, D). sha256: of the file as it was written; None: it was not recorded."""
    try:
        data = path.read_bytes()
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError("its checksum is not the recorded one")
        codes: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
        return codes
    except FileNotFoundError as error:
        raise UserError(
            f"codes {path} are not there; run the trial's study again: its checkpoint encodes them anew. Where there "
            "is none, delete the trial's record, too: it is trained again."
        ) from error
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise UserError(
            f"codes {path} are damaged or truncated; delete the file and run again: they are encoded anew."
        ) from error
