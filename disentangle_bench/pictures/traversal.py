"""Traversal pictures: one row a code, one column a value; what each code changes in the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from disentangle_bench.models.base import Model
from disentangle_bench.pictures.tiles import GAP, show_tiles, tiled, write_png
from disentangle_bench.training.images import as_bytes
from disentangle_bench.training.seeding import derive_seed

STEPS = 11


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
    show_tiles(axes, tiled(images.reshape(-1, *images.shape[2:]), steps), title)
    axes.set_xticks([s * (side + GAP) + side / 2 for s in range(steps)], [f"{value:.1f}" for value in values])
    axes.set_yticks([d * (height + GAP) + height / 2 for d in range(width)], [str(d) for d in range(width)])
    axes.set_xlabel("value of the swept code")
    axes.set_ylabel("code")
    write_png(figure, path)
