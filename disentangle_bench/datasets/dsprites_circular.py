"""`dsprites-circular` (Lin et al., ICML 2020, CdSprites): a disc by angle and radius, 40 × 27 = 1,080 images.

The official generator draws with Pillow a disc of radius 5 whose centre, (32, 32) + radius·(cos, sin)(angle), it cuts
to whole pixels. Here the disc is the mask that Pillow from 8.0 on draws, at that centre; datasets/dsprites-circular.md
says where the two differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.errors import UserError

SIDE, CENTRE = 64, 32  # pixels
ANGLES, RADII = 40, 27  # angle 2π·k/40 from the x axis towards larger y; radius 0 to 26 pixels
DISC = 5.5**2  # squared radius of the pixels that are set


class DSpritesCircular(StoredDataset):
    """A white disc on black: uint8 (N, 1, 64, 64), values 0 and 255."""

    name: ClassVar[str] = "dsprites-circular"
    description: ClassVar[str] = "a disc by angle and radius, 1,080 images (InfoGAN-CR's CdSprites)"
    image_shape = (1, SIDE, SIDE)
    factor_names = ("angle", "radius")
    factor_sizes = (ANGLES, RADII)

    @classmethod
    def row_shape(cls) -> tuple[int, ...]:
        return (ANGLES * RADII, SIDE, SIDE, 1)

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        """Draw all images; there is nothing to be read, so a `source` raises `UserError`."""
        if source is not None:
            raise UserError(f"--source {source}: {cls.name} is drawn; leave --source out.")
        return Reading(cls.row_shape(), [draw()], "drawn")


def draw() -> np.ndarray:
    """All discs, uint8 (1080, 64, 64, 1), values 0 and 255."""
    angle = 2 * np.pi * np.arange(ANGLES)[:, None] / ANGLES
    radius = np.arange(RADII)
    # Rounding far below a pixel, so that no centre hangs on the last bit of a cosine.
    x, y = (
        np.trunc(np.round(CENTRE + radius * f(angle), 9)).reshape(-1, 1, 1) for f in (np.cos, np.sin)
    )  # (1080, 1, 1)
    row, column = np.mgrid[:SIDE, :SIDE]
    inside = (column - x) ** 2 + (row - y) ** 2 <= DISC
    return (inside * np.uint8(255))[..., None]
