"""A traversal that moves: one tile a code, each swept over its values and back."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from disentangle_bench.models.base import Model
from disentangle_bench.pictures.tiles import tiled
from disentangle_bench.pictures.traversal import sweeps, traverse

COLUMNS = 10
SIDE = 64  # pixels of a tile, at least
MILLISECONDS = 120  # a frame


def traversal_gif(model: Model, seed: int) -> bytes:
    """A GIF of one random code, whose parts are swept all at once, each in a tile of its own; ten tiles a row.

    The starting code and the values are those of `write_traversal`. A code of few values shows each of them longer.
    """
    rows = traverse(model, seed, sweeps(model))  # uint8 (V, C, H, W) a code
    count = max(map(len, rows))
    times = [np.linspace(0, len(row) - 1, count).round().astype(int) for row in rows]
    frames = [picture(np.stack([row[at[t]] for row, at in zip(rows, times, strict=True)])) for t in range(count)]
    buffer = io.BytesIO()
    there_and_back = [*frames[1:], *frames[-2:0:-1]]
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=there_and_back, duration=MILLISECONDS, loop=0, optimize=False
    )
    return buffer.getvalue()


def picture(images: np.ndarray) -> Image.Image:
    """Images (N, C, H, W), side by side, as one frame; grey ones without a palette of colours."""
    canvas = tiled(images, min(COLUMNS, len(images)))
    frame = Image.fromarray(canvas if images.shape[1] == 3 else canvas[..., 0])
    times = max(1, SIDE // images.shape[3])
    return frame.resize((frame.width * times, frame.height * times), Image.Resampling.NEAREST)
