"""What all pictures of images share: tiles side by side, axes without ornament, and a PNG that is always the same."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_bench.files import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP = 2  # pixels between two images


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


def show_tiles(axes: Any, canvas: np.ndarray, title: str) -> None:
    """Draw tiles, uint8 (height, width, 3), pixel for pixel, on axes without ticks or frame."""
    axes.imshow(canvas, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10)


def write_png(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Write a figure whole or not at all; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    write_file(path, buffer.getvalue())
