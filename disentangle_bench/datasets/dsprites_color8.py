"""`dsprites-color8`, IB-GAN's Color-dSprites: a sprite in one of 8 × 8 × 8 colours on black, each channel a factor.

The official code draws the colour of an image when it is loaded. Here each colour of each sprite is an image with an
index of its own, 377,487,360 in all, so that red, green and blue are factors that can be fixed and swept. Nothing of it
is stored: the rows are those of `dsprites`, and the colour is put on where the batch is.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from disentangle_bench.datasets.dsprites import DSprites, bits
from disentangle_bench.datasets.virtual import as_bytes, draws, up_to

LEVELS = 8  # a channel
COLOURS = LEVELS**3


class DSpritesColor8(DSprites):
    """Sprites in 512 colours on black: uint8 (N, 3, 64, 64), each channel's level round(255·k/7), k = 0..7."""

    name: ClassVar[str] = "dsprites-color8"
    description: ClassVar[str] = "dsprites in 8 levels of red, green and blue (IB-GAN's Color-dSprites)"
    image_shape = (3, *DSprites.image_shape[1:])
    factor_names = (*DSprites.factor_names, "red", "green", "blue")
    factor_sizes = (*DSprites.factor_sizes, LEVELS, LEVELS, LEVELS)
    label_factor: ClassVar[str | None] = None  # a table of 377 million labels would be needed

    def __init__(self, root: Any) -> None:
        super().__init__(root)
        self.checksum += ":color8"

    def __len__(self) -> int:
        return len(self.rows) * COLOURS

    def evaluation(self) -> np.ndarray:
        """Every sprite once, in a colour that a hash of its row chooses: uniform, and independent of its factors."""
        rows = np.arange(len(self.rows))
        return rows * COLOURS + draws(rows, 1)[:, 0] % COLOURS

    def pixels(self, stored: Any, index: Any, keys: Any = None) -> Any:
        """Images, uint8 (B, 3, 64, 64), at `index`; numpy or torch."""
        sprite, colour = bits(stored[index // COLOURS])[:, None], index % COLOURS  # (B, 1, 64, 64) of 0 and 1; (B,)
        k = colour[:, None] // LEVELS ** (2 - up_to(3, colour)) % LEVELS  # (B, 3): red, green, blue
        level = as_bytes((510 * k + 7) // 14)[:, ::8]  # 255·k/7 rounded; the lowest byte of each number
        return sprite * level[:, :, None, None]
