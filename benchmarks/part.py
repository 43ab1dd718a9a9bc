"""A plugin dataset: a part of dSprites' grid, small enough that encoding and scoring it take a moment."""

from __future__ import annotations

from typing import ClassVar

from disentangle_bench.datasets.dsprites import DSprites32


class Part(DSprites32):
    """2,880 images of `dsprites-32`: the first values of each factor.

    Its file is named as the whole one, `dsprites.h5`, so it needs a data root of its own.
    """

    name: ClassVar[str] = "dsprites-32-part"
    description: ClassVar[str] = "2,880 images of dsprites-32"
    factor_sizes = (3, 6, 10, 4, 4)
