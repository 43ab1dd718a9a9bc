"""dSprites (Matthey et al. 2017, github.com/deepmind/dsprites-dataset): `dsprites`, 64 × 64, and `dsprites-32`.

All 737,280 images of the grid, one bit a pixel, in one mapped file. They are redrawn from the formulas in
`dsprites_geometry`, or read from the official npz or HDF5 file where the user has put one. Redrawn images differ from
the published ones in a few pixels on a shape's rim: datasets/dsprites.md says how many.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets import storage
from disentangle_bench.datasets.download import Remote, check
from disentangle_bench.datasets.dsprites_geometry import SIDE, draw_grid
from disentangle_bench.datasets.hdf5_source import MAGIC, hdf5_blocks
from disentangle_bench.datasets.sources import locate, npz_blocks, only
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.errors import UserError

REGENERATED = "regenerated"
REMEDY = (
    "Fetch the .npz, or the .hdf5, again from github.com/deepmind/dsprites-dataset, or remove it to use the "
    "regenerated images."
)
FACTORS = 5  # of the sprite itself; variants add factors behind them


class DSprites(StoredDataset):
    """White sprites on black, 64 × 64: uint8 (N, 1, 64, 64), values 0 and 255; stored as bits, uint8 (N, 64, 8).

    A subclass with smaller `factor_sizes` is the same dataset's first values of each factor.
    """

    name: ClassVar[str] = "dsprites"
    description: ClassVar[str] = "2D shapes by 5 factors, 64x64 binary, 737,280 images"
    image_shape = (1, SIDE, SIDE)
    factor_names: tuple[str, ...] = ("shape", "scale", "orientation", "posX", "posY")
    factor_sizes: tuple[int, ...] = (3, 6, 40, 32, 32)
    same_image: ClassVar[Mapping[str, Mapping[int, int]]] = {"orientation": {39: 0}}  # the angles include 0 and 2π
    label_factor: ClassVar[str | None] = "shape"

    file_name: ClassVar[str] = "dsprites.h5"
    npz_name: ClassVar[str] = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    npz_md5: ClassVar[str] = "7da33b31b13a06f4b04a70402ce90c2e"
    hdf5: ClassVar[Remote] = Remote(
        "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.hdf5",
        (),
        "sha256:729fa22e884c9c500e1f17415d580746b4c5894fbbb780a1319bbcfa39a745bb",
        28_024_106,
    )

    @classmethod
    def prepared(cls, root: Path) -> Path | None:
        """The prepared file; None where it is missing, or was redrawn and an official file has come since."""
        path = super().prepared(root)
        return None if path is None or cls._outdated(path) else path

    @classmethod
    def _outdated(cls, path: Path) -> bool:
        return storage.attributes(path, cls.name)["source"] == REGENERATED and cls._official(path.parent) is not None

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        """An official file where it is given or `sources.locate` finds it; else the images are redrawn.

        377 MB are written. Raises `UserError` for a file with another checksum.
        """
        path = locate((cls.npz_name, cls.hdf5.file_name), root, DSprites.name, source)
        official = cls.hdf5 if path and is_hdf5(path) else Remote(cls.npz_name, (), f"md5:{cls.npz_md5}")
        if path is not None:
            check(path, official, REMEDY)
        attributes = {
            "name": DSprites.name,
            "source_checksum": official.checksum if path else "",
            "factor_names": list(cls.factor_names[:FACTORS]),
            "factor_sizes": list(cls.factor_sizes[:FACTORS]),
        }
        shape = cls.row_shape()
        if path is None:
            return Reading(shape, draw_grid(cls.factor_sizes[:FACTORS]), REGENERATED, attributes=attributes)
        return Reading(shape, read_official(path, shape[0]), path.name, attributes=attributes, files=(path,))

    def __init__(self, root: Path) -> None:
        """Map the prepared file under `root`; `UserError` where it is missing or damaged.

        Where it was redrawn and an official file has come since, it is first made again.
        """
        path = self.path(root)
        if os.path.exists(path) and self._outdated(path):
            self.prepare(root)
        super().__init__(root)

    @classmethod
    def row_shape(cls) -> tuple[int, ...]:
        """The shape of all rows in the file: one bit a pixel."""
        return (math.prod(cls.factor_sizes[:FACTORS]), SIDE, SIDE // 8)

    def decode(self, rows: Any) -> Any:
        """Stored rows, uint8 (N, 64, 8), to images, uint8 (N, 1, 64, 64), values 0 and 255; numpy or torch."""
        return (bits(rows) * 255)[:, None]

    @classmethod
    def _official(cls, root: Path) -> Path | None:
        return only((root, root / DSprites.name), (cls.npz_name, cls.hdf5.file_name), f"the data root {root}")


class DSprites32(DSprites):
    """dSprites at 32 × 32: each pixel the mean of 2 × 2, uint8 (N, 1, 32, 32), values round(255·k/4), k = 0..4.

    Ours, for studies on a CPU. The stored file is that of `dsprites`.
    """

    name: ClassVar[str] = "dsprites-32"
    description: ClassVar[str] = "dsprites averaged to 32x32 in 5 grey levels, for CPU studies"
    image_shape = (1, SIDE // 2, SIDE // 2)

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.checksum += ":area-32"

    def decode(self, rows: Any) -> Any:
        """Stored rows, uint8 (N, 64, 8), to images, uint8 (N, 1, 32, 32), of 0, 64, 128, 191, 255; numpy or torch."""
        pixels = bits(rows)
        k = (
            pixels[:, ::2, ::2] + pixels[:, ::2, 1::2] + pixels[:, 1::2, ::2] + pixels[:, 1::2, 1::2]
        )  # 0..4 of 4 pixels set
        return (63 * k + k - k // 3)[:, None]  # 255·k/4 rounded, in 8 bits: 0, 64, 128, 191, 255


def is_hdf5(path: Path) -> bool:
    """Whether a file begins like HDF5, whatever it is called; `UserError` where it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}. {REMEDY}") from error


def read_official(path: Path, images: int) -> Iterator[np.ndarray]:
    """The `imgs` of the official npz or HDF5 file, uint8 (N, 64, 64) of 0 and 1, as packed blocks, uint8 (n, 64, 8).

    Raises `UserError` for a file that isn't in that format.
    """
    blocks = hdf5_blocks if is_hdf5(path) else npz_blocks
    for block in blocks(path, "imgs", (images, SIDE, SIDE), REMEDY):
        if block.max() > 1:
            raise UserError(f"{path} can't be read: its imgs hold other values than 0 and 1. {REMEDY}")
        yield np.packbits(block, axis=-1)


def bits(rows: Any) -> Any:
    """Packed rows, uint8 (N, H, W/8), to uint8 (N, H, W) of 0 and 1, where they are: numpy or a torch device."""
    if isinstance(rows, np.ndarray):
        return np.unpackbits(rows, axis=-1)
    import torch  # here, so that whoever reads images as arrays needn't load it

    # A table of each byte's bits, made on the device: a copy from the host could not be captured in a CUDA graph.
    # One look-up a byte is three times as fast on a CPU as shifting every bit out.
    byte, place = (torch.arange(n, dtype=torch.uint8, device=rows.device) for n in (256, 8))
    table = (byte[:, None] >> (7 - place)) & 1
    return table.index_select(0, rows.flatten().int()).view(*rows.shape[:-1], 8 * rows.shape[-1])
