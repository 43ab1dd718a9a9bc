"""3D Shapes (Burgess & Kim 2018, github.com/google-deepmind/3d-shapes): `shapes3d`, read from `3dshapes.h5`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.download import Remote
from disentangle_bench.datasets.obtain import obtain, remedy
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.errors import UserError

SIDE = 64
MOST_ROWS = 16_384  # 200 MB


class Shapes3D(StoredDataset):
    """One object in a coloured room, 64 × 64: uint8 (480000, 3, 64, 64), a full grid of six factors."""

    name: ClassVar[str] = "shapes3d"
    description: ClassVar[str] = "3D shapes in a room by 6 factors, 64x64 RGB, 480,000 images"
    image_shape = (3, SIDE, SIDE)
    factor_names = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
    factor_sizes = (10, 10, 10, 8, 4, 15)
    label_factor: ClassVar[str | None] = "shape"

    remote: ClassVar[Remote] = Remote(
        "3dshapes.h5",
        ("https://storage.googleapis.com/3d-shapes/3dshapes.h5",),
        "sha256:0a0f6ed98baff276a50f3a081a7434d788da63cb135a98189b2a5b5769be1785",
        267_573_662,
    )

    @classmethod
    def published(cls) -> tuple[Remote, ...]:
        return (cls.remote,)

    @classmethod
    def row_shape(cls) -> tuple[int, ...]:
        return (math.prod(cls.factor_sizes), SIDE, SIDE, 3)

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        path = obtain(cls.remote, root, cls.name, source, progress)
        shape = cls.row_shape()
        with _opened(path, remedy(cls.remote)) as hdf:
            images = hdf["images"]
            if (images.dtype, images.shape) != (np.uint8, shape):
                raise ValueError(f"its images are {images.dtype} {images.shape}, expected uint8 {shape}")
            check_grid(hdf["labels"][()], cls.factor_names, cls.factor_sizes)
        return Reading(shape, cls._blocks(path), path.name, attributes={"source_checksum": cls.remote.checksum})

    @classmethod
    def _blocks(cls, path: Path) -> Iterator[np.ndarray]:  # uint8 (n, 64, 64, 3)
        with _opened(path, remedy(cls.remote)) as hdf:
            images = hdf["images"]
            # A block of whole chunks unpacks each chunk once: h5py's own chunks span thousands of images.
            rows = min(images.chunks[0] if images.chunks else 1024, MOST_ROWS)
            for start in range(0, len(images), rows):
                yield images[start : start + rows]


def check_grid(labels: np.ndarray, names: tuple[str, ...], sizes: tuple[int, ...]) -> None:
    """`ValueError` unless labels, (N, K) of any numbers, are a full grid of `sizes`, the last column fastest.

    A column's values count by their rank, whatever they are.
    """
    expected = (math.prod(sizes), len(sizes))
    if labels.shape != expected:
        raise ValueError(f"its labels are {labels.shape}, expected {expected}")
    grid = np.unravel_index(np.arange(len(labels)), sizes)
    for name, size, column, place in zip(names, sizes, labels.T, grid, strict=True):
        values, number = np.unique(column, return_inverse=True)
        if len(values) != size:
            raise ValueError(f"its labels hold {len(values)} values of '{name}', expected {size}")
        wrong = np.flatnonzero(number != place)
        if wrong.size:
            raise ValueError(f"its labels are not a full grid in order: row {wrong[0]} has another '{name}'")


@contextmanager
def _opened(path: Path, remedy: str) -> Iterator[h5py.File]:
    """The HDF5 file; what goes wrong with it becomes a `UserError` that ends with `remedy`."""
    try:
        with h5py.File(path, "r", locking=False) as hdf:
            yield hdf
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} can't be read: {error}. {remedy}") from error
