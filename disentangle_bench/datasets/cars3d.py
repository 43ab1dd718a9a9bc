"""Cars3D (Reed et al. 2015, "Deep Visual Analogy-Making"): `cars3d`, from its archive or an unpacked folder."""

from __future__ import annotations

import io
import math
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from PIL import Image
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.download import Remote
from disentangle_bench.datasets.obtain import obtain, remedy
from disentangle_bench.datasets.regular import FILE_BYTES, check_size, read_regular
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.errors import UserError

SIDE = 64
STORED_SIDE = 128
NOT_MATLAB = (
    MatReadError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, OSError, EOFError, struct.error,
    zlib.error,
)  # fmt: skip  # what loadmat raises for a damaged file


class Cars3D(StoredDataset):
    """Rendered cars, 64 × 64: uint8 (17568, 3, 64, 64), a full grid of three factors.

    Made from 128 × 128 by Pillow's Lanczos filter, as disentanglement_lib does. Objects count in the order of the
    archive's `list.txt`; disentanglement_lib takes them in the order in which the file system lists them.
    """

    name: ClassVar[str] = "cars3d"
    description: ClassVar[str] = "183 car models by elevation and azimuth, 64x64 RGB, 17,568 images"
    image_shape = (3, SIDE, SIDE)
    factor_names = ("elevation", "azimuth", "object")
    factor_sizes = (4, 24, 183)

    remote: ClassVar[Remote] = Remote(
        "nips2015-analogy-data.tar.gz",
        (
            "http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",
            "http://www-personal.umich.edu/~reedscot/files/nips2015-analogy-data.tar.gz",
        ),
        "md5:4e866a7919c1beedf53964e6f7a23686",
    )

    @classmethod
    def published(cls) -> tuple[Remote, ...]:
        return (cls.remote,)

    @classmethod
    def row_shape(cls) -> tuple[int, ...]:
        return (math.prod(cls.factor_sizes), SIDE, SIDE, 3)

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        path = obtain(cls.remote, root, cls.name, source, progress, unpacked=("data/cars", "cars"))
        checksum = {} if path.is_dir() else {"source_checksum": cls.remote.checksum}
        shape = cls.row_shape()
        return Reading(shape, cls._blocks(path, progress), path.name, attributes=checksum, files=(path,))

    @classmethod
    def _blocks(cls, path: Path, progress: Progress) -> Iterator[np.ndarray]:  # uint8 (objects, 64, 64, 3)
        """All objects at one elevation and azimuth after another. A file is one object: all wait in memory, 216 MB."""
        elevations, azimuths, objects = cls.factor_sizes
        order, views = b"", {}
        for name, content in _files(path, remedy(cls.remote)):
            if name == "list.txt":
                order = content
            else:
                views[name] = read_views(content, (azimuths, elevations), f"{name} in {path}", remedy(cls.remote))
                progress(len(views) * azimuths * elevations, math.prod(cls.factor_sizes))
        listed = list(dict.fromkeys(f"{line}.mat" for line in order.decode(errors="replace").split()))
        missing = [name for name in listed if name not in views]
        if missing or len(listed) != objects:
            found = f"no {missing[0]}" if missing else f"{len(listed)} of them"
            raise UserError(
                f"{path} can't be read: expected {objects} cars, listed in its list.txt, found {found}. "
                f"{remedy(cls.remote)}"
            )
        for elevation in range(elevations):
            for azimuth in range(azimuths):
                yield np.stack([views[name][azimuth, elevation] for name in listed])


def read_views(content: bytes, views: tuple[int, int], what: str, remedy: str) -> np.ndarray:
    """A `car_*_mesh.mat`, whose `im` is uint8 (128, 128, 3, A, E), as uint8 (A, E, 64, 64, 3), for `views` (A, E).

    Raises `UserError`, which names `what` and ends with `remedy`, for anything else.
    """
    try:
        expected = (STORED_SIDE, STORED_SIDE, 3, *views)
        said = {name: (dtype, shape) for name, shape, dtype in whosmat(io.BytesIO(content))}  # nothing is unpacked yet
        if said.get("im") != ("uint8", expected):
            raise ValueError(
                f"its 'im' is {' '.join(map(str, said.get('im', ['missing'])))}, expected uint8 {expected}"
            )
        images = loadmat(io.BytesIO(content), variable_names=["im"])["im"]
    except NOT_MATLAB as error:
        raise UserError(f"{what} can't be read: {error}. {remedy}") from error
    flat = np.ascontiguousarray(images.transpose(3, 4, 0, 1, 2)).reshape(-1, STORED_SIDE, STORED_SIDE, 3)
    small = [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS) for image in flat]
    return np.stack([np.asarray(image) for image in small]).reshape(*views, SIDE, SIDE, 3)


def _files(path: Path, remedy: str) -> Iterator[tuple[str, bytes]]:
    """The names and contents of `list.txt` and the meshes, from the folder, or from the archive in one pass."""
    try:
        if path.is_dir():
            for file in sorted(path.iterdir()):
                if _wanted(file.name):
                    yield file.name, read_regular(file)
            return
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                content = archive.extractfile(member) if place.parent.name == "cars" and _wanted(place.name) else None
                if content is not None:
                    data = content.read(FILE_BYTES + 1)
                    check_size(len(data))
                    yield place.name, data
    except (OSError, EOFError, tarfile.TarError) as error:
        raise UserError(f"{path} can't be read: {error}. {remedy}") from error


def _wanted(file_name: str) -> bool:
    return file_name == "list.txt" or (file_name.startswith("car_") and file_name.endswith("_mesh.mat"))
