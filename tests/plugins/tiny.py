"""A dataset of 96 little images that needs no file, so that whole studies run in seconds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from disentangle_bench.contracts import Dataset


class Tiny(Dataset):
    """A bright bar of 3 widths at 4 columns and 8 rows of a 16×16 image."""

    name = "tiny"
    description = "a bar on a 16×16 image"
    image_shape = (1, 16, 16)
    factor_names = ("width", "column", "row")
    factor_sizes = (3, 4, 8)
    label_factor = "width"

    def __init__(self, root: Path) -> None:
        rows = np.zeros((96, 1, 16, 16), dtype=np.uint8)
        for i, (width, column, row) in enumerate(np.ndindex(*self.factor_sizes)):
            rows[i, 0, 2 * row : 2 * row + 2, 3 * column : 3 * column + 2 * width + 2] = 255
        self.rows = rows
        self.checksum = hashlib.sha256(rows.tobytes()).hexdigest()


class TinyTwo(Tiny):
    """The same bars, dark on bright."""

    name = "tiny-two"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.rows = 255 - self.rows
        self.checksum += "-inverted"
