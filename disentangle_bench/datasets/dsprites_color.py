"""`dsprites-color` (Locatello et al., ICML 2019): each sprite in a random colour, which is no factor.

The published recipe multiplies each channel by U(0.5, 1), anew whenever an image is drawn. Here the level is one of the
128 bytes 128 to 255, drawn anew while training, and by a hash of the index where images are encoded and scored.
"""

from __future__ import annotations

from typing import Any, ClassVar

from disentangle_bench.datasets.dsprites import DSprites, bits
from disentangle_bench.datasets.virtual import as_bytes, draws, keys_of


class DSpritesColor(DSprites):
    """Sprites in a random bright colour on black: uint8 (N, 3, 64, 64); the factors are those of `dsprites`."""

    name: ClassVar[str] = "dsprites-color"
    description: ClassVar[str] = "dsprites, each in a random bright colour (Locatello et al.)"
    image_shape = (3, *DSprites.image_shape[1:])
    nuisance: ClassVar[str] = "the sprite's colour"

    def __init__(self, root: Any) -> None:
        super().__init__(root)
        self.checksum += ":color"

    def pixels(self, stored: Any, index: Any, keys: Any = None) -> Any:
        """Images, uint8 (B, 3, 64, 64), coloured by `keys`, or by the index; numpy or torch."""
        sprite = bits(stored[index])[:, None]  # (B, 1, 64, 64) of 0 and 1
        levels = 128 + as_bytes(draws(keys_of(index, keys), 1))[:, :3] // 2  # (B, 3), 128..255
        return sprite * levels[:, :, None, None]
