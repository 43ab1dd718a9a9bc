"""MPI3D (Gondal et al. 2019, github.com/rr-learning/disentanglement_dataset): a robot arm that holds an object.

`mpi3d-toy` and `mpi3d-realistic` are rendered, `mpi3d-real` and `mpi3d-complex` photographed. Each is one npz of 5.7 or
12.7 GB of pixels, read as a stream.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.download import Remote
from disentangle_bench.datasets.obtain import obtain, remedy
from disentangle_bench.datasets.sources import npz_blocks
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.display import size

SIDE = 64
ZIP = b"PK\x03\x04"  # how an npz begins


def _remote(file_name: str) -> Remote:
    # No checksum: those on record are of files at the second address, which has gone, and nobody published the first's.
    # The archive's own CRC covers the pixels.
    return Remote(
        file_name,
        (
            f"https://huggingface.co/datasets/waleedgondal/mpi3d/resolve/main/{file_name}",
            f"https://storage.googleapis.com/disentanglement_dataset/Final_Dataset/{file_name}",
        ),
        begins=ZIP,
    )


class MPI3D(StoredDataset):
    """What the four have in common: uint8 (N, 3, 64, 64), a full grid of seven factors."""

    image_shape = (3, SIDE, SIDE)
    factor_names = (
        "object_color", "object_shape", "object_size", "camera_height", "background_color", "horizontal_axis",
        "vertical_axis",
    )  # fmt: skip
    factor_sizes = (6, 6, 2, 3, 3, 40, 40)
    label_factor: ClassVar[str | None] = "object_shape"
    remote: ClassVar[Remote]

    @classmethod
    def published(cls) -> tuple[Remote, ...]:
        return (cls.remote,)

    @classmethod
    def row_shape(cls) -> tuple[int, ...]:
        return (math.prod(cls.factor_sizes), SIDE, SIDE, 3)

    @classmethod
    def download(cls) -> str:
        """Nobody published the archives' sizes; they are no larger than the pixels in them."""
        return f"≤ {size(math.prod(cls.row_shape()))}"

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        path = obtain(cls.remote, root, cls.name, source, progress)
        shape = cls.row_shape()
        return Reading(shape, npz_blocks(path, "images", shape, remedy(cls.remote)), path.name, files=(path,))


class MPI3DToy(MPI3D):
    """The simplest rendering."""

    name: ClassVar[str] = "mpi3d-toy"
    description: ClassVar[str] = "robot arm by 7 factors, simple rendering, 64x64 RGB, 1,036,800 images"
    remote: ClassVar[Remote] = _remote("mpi3d_toy.npz")


class MPI3DRealistic(MPI3D):
    """The realistic rendering."""

    name: ClassVar[str] = "mpi3d-realistic"
    description: ClassVar[str] = "robot arm by 7 factors, realistic rendering, 64x64 RGB, 1,036,800 images"
    remote: ClassVar[Remote] = _remote("mpi3d_realistic.npz")


class MPI3DReal(MPI3D):
    """The photographs."""

    name: ClassVar[str] = "mpi3d-real"
    description: ClassVar[str] = "robot arm by 7 factors, photographs, 64x64 RGB, 1,036,800 images"
    remote: ClassVar[Remote] = _remote("mpi3d_real.npz")


class MPI3DComplex(MPI3D):
    """Photographs of four everyday objects: a coffee cup, a tennis ball, a croissant, a beer cup."""

    name: ClassVar[str] = "mpi3d-complex"
    description: ClassVar[str] = "robot arm with everyday objects by 7 factors, photographs, 64x64 RGB, 460,800 images"
    factor_sizes = (4, 4, 2, 3, 3, 40, 40)
    remote: ClassVar[Remote] = Remote(
        "real3d_complicated_shapes_ordered.npz",
        (
            "https://drive.usercontent.google.com/download?id=1Tp8eTdHxgUMtsZv5uAoYAbJR1BOa_OQm&export=download&confirm=t",
        ),
        begins=ZIP,
    )
