"""3D Shapes (Burgess & Kim 2018, github.com/google-deepmind/3d-shapes): `shapes3d`, read from `3dshapes.h5`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

import numpy as np

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.download import Remote
from disentangle_bench.datasets.hdf5_source import array_in, hdf5_blocks, opened_hdf5
from disentangle_bench.datasets.obtain import obtain, remedy
from disentangle_bench.datasets.stored import Reading, StoredDataset

SIDE = 64


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
        with opened_hdf5(path, remedy(cls.remote)) as hdf:
            labels = array_in(hdf, "labels")
            if labels.shape != (expected := (shape[0], len(cls.factor_sizes))):  # before anything of that size is made
                raise ValueError(f"its labels are {labels.shape}, expected {expected}")
            check_grid(labels[()], cls.factor_names, cls.factor_sizes)
        blocks = hdf5_blocks(path, "images", shape, remedy(cls.remote))
        return Reading(shape, blocks, path.name, attributes={"source_checksum": cls.remote.checksum}, files=(path,))


def check_grid(labels: np.ndarray, names: tuple[str, ...], sizes: tuple[int, ...]) -> None:
    """`ValueError` unless labels, (N, K) of any numbers, are a full grid of `sizes`, N rows, the last column fastest.

    A column's values count by their rank, whatever they are.
    """
    grid = np.unravel_index(np.arange(len(labels)), sizes)
    for name, size, column, place in zip(names, sizes, labels.T, grid, strict=True):
        values, number = np.unique(column, return_inverse=True)
        if len(values) != size:
            raise ValueError(f"its labels hold {len(values)} values of '{name}', expected {size}")
        wrong = np.flatnonzero(number != place)
        if wrong.size:
            raise ValueError(f"its labels are not a full grid in order: row {wrong[0]} has another '{name}'")
