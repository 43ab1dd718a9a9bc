"""`dsprites-scream` (Locatello et al., ICML 2019): sprites on random patches of Munch's painting, which are no factor.

The published recipe mixes a random 64 × 64 patch of the picture half and half with a random colour, and inverts the
result where the sprite is, anew whenever an image is drawn. Here patch and colour are drawn anew while training, and by
a hash of the index where images are encoded and scored; arithmetic is in bytes.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from disentangle_bench.contracts import Progress, silent
from disentangle_bench.datasets import storage
from disentangle_bench.datasets.download import Remote, fetch
from disentangle_bench.datasets.dsprites import DSprites
from disentangle_bench.datasets.dsprites_geometry import SIDE
from disentangle_bench.datasets.sources import locate
from disentangle_bench.datasets.stored import read_from
from disentangle_bench.datasets.trees import FORMATS, UNDECODABLE
from disentangle_bench.datasets.virtual import as_bytes, channels_first, draws, keys_of, up_to
from disentangle_bench.errors import UserError

LARGEST_READ = 12_000 * 12_000  # pixels; copies of the painting that museums give out are large
LARGEST = (350, 274)  # the picture is shrunk to fit in, width × height
PAINTING = Remote(
    "The_Scream.jpg",
    ("https://upload.wikimedia.org/wikipedia/commons/f/f4/The_Scream.jpg",),
    begins=b"\xff\xd8\xff",  # a JPEG
)


class DSpritesScream(DSprites):
    """Sprites that invert a painted background: uint8 (N, 3, 64, 64); the factors are those of `dsprites`."""

    name: ClassVar[str] = "dsprites-scream"
    description: ClassVar[str] = "dsprites on patches of The Scream (Locatello et al.)"
    image_shape = (3, SIDE, SIDE)
    nuisance: ClassVar[str] = "the background's patch and colour"
    picture_name: ClassVar[str] = "scream.h5"

    @classmethod
    def published(cls) -> tuple[Remote, ...]:
        return (PAINTING,)

    @classmethod
    def prepared(cls, root: Path) -> Path | None:
        """The sprites' file; None while it or the picture is missing."""
        return super().prepared(root) if os.path.exists(root / cls.picture_name) else None

    @classmethod
    def prepare(cls, root: Path, progress: Progress = silent, source: Path | None = None) -> Path:
        """Make `dsprites.h5` and `scream.h5`, the shrunken picture, unless they are there.

        source: the picture, or a folder that holds it. It is looked for under `root` and disentanglement_lib's folders,
        then downloaded. Raises `UserError` where it can't be had or is no picture.
        """
        path = root / cls.picture_name
        if not os.path.exists(path):
            names = (PAINTING.file_name, "scream.jpg", "scream/scream.jpg")
            place = locate(names, root, cls.name, source) or fetch(PAINTING, root / cls.name, progress)
            picture = read_picture(place)[None]
            with storage.locked(path):
                digest = hashlib.sha256(place.read_bytes()).hexdigest()
                about = {
                    "name": path.stem,
                    "source": place.name,
                    "source_checksum": f"sha256:{digest}",
                    **read_from(place),
                }
                storage.write(path, picture.shape, [picture], about)
        return super().prepare(root, progress)

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.painting = storage.open_rows(root / self.picture_name, self.name)
        self.picture = self.painting.rows[0]  # (height, width, 3)
        self.read_from += tuple(map(str, self.painting.attributes.get("read_from", ())))
        self.checksum += f":scream-{self.painting.attributes['content_sha256'][:16]}"
        self._on_device: dict[Any, Any] = {}

    def verify(self, progress: Progress = silent) -> None:
        """Hash the picture and the sprites again; `UserError` where they aren't what was written."""
        storage.verify(self.painting, self.name)
        super().verify(progress)

    def pixels(self, stored: Any, index: Any, keys: Any = None) -> Any:
        """Images, uint8 (B, 3, 64, 64), on backgrounds by `keys`, or by the index; numpy or torch."""
        numbers = draws(keys_of(index, keys), 3)  # (B, 3), 64 bits each
        picture = self._picture_for(numbers)
        # Offsets from 0 to the last but one, as published: numpy's randint leaves out its upper end.
        top, left = ((numbers[:, k] & 0xFFFFFFFF) % (picture.shape[k] - SIDE) for k in (0, 1))  # (B,) each
        within = up_to(SIDE, numbers)
        patch = picture[(top[:, None] + within)[:, :, None], (left[:, None] + within)[:, None, :]]  # (B, 64, 64, 3)
        colour = as_bytes(numbers[:, 2:])[:, None, None, :3]  # (B, 1, 1, 3)
        background = (patch & colour) + (patch ^ colour) // 2  # the mean, cut to a whole number, in 8 bits
        return self.decode(stored[index]) ^ channels_first(background)  # 255 ^ b = 255 - b

    def _picture_for(self, numbers: Any) -> Any:
        """The picture where the numbers are: numpy, or a torch device, to which it is copied once."""
        if isinstance(numbers, np.ndarray):
            return self.picture
        import torch

        if numbers.device not in self._on_device:
            self._on_device[numbers.device] = torch.from_numpy(self.picture).to(numbers.device)
        return self._on_device[numbers.device]


def read_picture(path: Path) -> np.ndarray:
    """The painting, shrunk to fit into 350 × 274: uint8 (height, width, 3)."""
    try:
        with Image.open(path, formats=FORMATS) as file:
            if file.width * file.height > LARGEST_READ:
                raise ValueError(f"it is {file.width} × {file.height}, more than {LARGEST_READ:,} pixels")
            picture = file.convert("RGB")
    except UNDECODABLE as error:
        raise UserError(
            f"{path} is no picture that can be read ({error}); delete it, or give another with --source PATH."
        ) from error
    picture.thumbnail(LARGEST)
    if min(picture.size) <= SIDE:
        width, height = picture.size
        raise UserError(
            f"{path} is {width}×{height} when it is shrunk; the painting must be larger than {SIDE}×{SIDE}."
        )
    return np.asarray(picture)
