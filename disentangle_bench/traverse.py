"""Traversal pictures: one row a code, one column a value; what each code changes in the image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from disentangle_bench.files import write_file
from disentangle_bench.models.base import Model
from disentangle_bench.seeding import derive_seed

STEPS = 11
GAP = 2  # pixels between two images


@torch.inference_mode()
def traverse(model: Model, seed: int, values: np.ndarray) -> np.ndarray:
    """Images of one random code with each of its D values swept in turn: uint8 (D, len(values), C, H, W).

    The starting code comes from the model's prior, by `seed`. IB-GAN's paper sweeps −1 to 1 so.
    """
    model.eval()
    rng = torch.Generator(model.device).manual_seed(derive_seed(seed, "traversal"))
    start = model.sample_codes(1, rng)  # (1, D)
    width, steps = start.shape[1], len(values)
    codes = start.repeat(width * steps, 1).view(width, steps, width)
    for d in range(width):
        codes[d, :, d] = torch.as_tensor(values, dtype=codes.dtype)
    pixels = as_bytes(model.generate(codes.view(width * steps, width)), model.image_range)
    return pixels.view(width, steps, *pixels.shape[1:]).cpu().numpy()


def write_traversal(model: Model, seed: int, path: Path, title: str) -> None:
    """Write a traversal of the model as a PNG with axis labels."""
    from matplotlib.figure import Figure

    values = np.linspace(*model.code_range, STEPS)
    images = traverse(model, seed, values)
    width, steps, _, height, side = images.shape
    figure = Figure(figsize=(1.2 + 0.5 * steps, 1.1 + 0.5 * width), layout="constrained")
    axes = figure.subplots()
    axes.imshow(tiled(images.reshape(-1, *images.shape[2:]), steps), interpolation="nearest")
    axes.set_xticks([s * (side + GAP) + side / 2 for s in range(steps)], [f"{value:.1f}" for value in values])
    axes.set_yticks([d * (height + GAP) + height / 2 for d in range(width)], [str(d) for d in range(width)])
    axes.set_xlabel("value of the swept code")
    axes.set_ylabel("code")
    axes.set_title(title, fontsize=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    write_file(path, buffer.getvalue())


def as_bytes(images: Tensor, image_range: tuple[float, float]) -> Tensor:
    """Images in a model's `image_range` as uint8, 0..255; what lies outside is cut off."""
    low, high = image_range
    return ((images - low) / (high - low) * 255).round().clamp(0, 255).to(torch.uint8)


def tiled(images: np.ndarray, columns: int, background: int = 128) -> np.ndarray:
    """Images, uint8 (N, C, H, W), grey or RGB, side by side in rows of `columns`: uint8 (height, width, 3)."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3)
    canvas = np.full(shape, background, dtype=np.uint8)
    for i, image in enumerate(images.transpose(0, 2, 3, 1)):  # (H, W, C)
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = image if channels == 3 else image[..., :1]
    return canvas
