"""`dsprites-noisy` (Locatello et al., ICML 2019): white sprites on noise, which is no factor.

The published recipe is min(sprite + U(0, 1), 1) for each pixel and channel, anew whenever an image is drawn. Here the
noise is a byte, drawn anew while training, and by a hash of the index where images are encoded and scored.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from disentangle_bench.datasets.dsprites import DSprites
from disentangle_bench.datasets.virtual import as_bytes, draws, keys_of


class DSpritesNoisy(DSprites):
    """White sprites on coloured noise: uint8 (N, 3, 64, 64); the factors are those of `dsprites`."""

    name: ClassVar[str] = "dsprites-noisy"
    description: ClassVar[str] = "dsprites on noise of each pixel and channel (Locatello et al.)"
    image_shape = (3, *DSprites.image_shape[1:])
    nuisance: ClassVar[str] = "the background's noise"

    def __init__(self, root: Any) -> None:
        super().__init__(root)
        self.checksum += ":noisy"

    def pixels(self, stored: Any, index: Any, keys: Any = None) -> Any:
        """Images, uint8 (B, 3, 64, 64), with noise by `keys`, or by the index; numpy or torch."""
        sprite = self.decode(stored[index])  # (B, 1, 64, 64) of 0 and 255
        noise = as_bytes(draws(keys_of(index, keys), math.prod(self.image_shape) // 8))
        return sprite | noise.reshape(-1, *self.image_shape)  # 255 | noise = 255 = min(255 + noise, 255)
