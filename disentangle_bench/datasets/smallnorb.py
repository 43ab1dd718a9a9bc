"""SmallNORB (LeCun, Huang & Bottou 2004): `smallnorb`, from its six files, plain or gzipped."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.binary import exactly, opened
from disentangle_bench.datasets.download import Remote
from disentangle_bench.datasets.obtain import obtain_gz
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.errors import UserError

SIDE = 64
STORED_SIDE = 96
CAMERAS = 2
URL = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/"
REMEDY = f"Delete it and fetch it again from {URL}."
BYTES, INTEGERS = 0x1E3D4C55, 0x1E3D4C54  # a matrix file's magic number says what it holds
BLOCK = 1000  # images


def _remote(split: str, kind: str, md5: str, unpacked: str, size: int | None = None) -> Remote:
    file_name = f"smallnorb-{split}-{kind}.mat.gz"
    return Remote(file_name, (URL + file_name,), f"md5:{md5}", size, unpacked=f"md5:{unpacked}")


class SmallNORB(StoredDataset):
    """Toys seen by the first of two cameras, 64 × 64 grey: uint8 (48600, 1, 64, 64), both splits.

    The factors are those that Locatello et al. score; the instance (10 toys a category) is left to chance, so each
    combination occurs 10 times and the images are no full grid. Rows are sorted by category, elevation, azimuth,
    lighting, instance. Made from 96 × 96 by Pillow's Lanczos filter, as disentanglement_lib does.
    """

    name: ClassVar[str] = "smallnorb"
    description: ClassVar[str] = "50 toys of 5 categories by elevation, azimuth and lighting, 64x64 grey, 48,600 images"
    image_shape = (1, SIDE, SIDE)
    factor_names = ("category", "elevation", "azimuth", "lighting")
    factor_sizes = (5, 9, 18, 6)
    label_factor: ClassVar[str | None] = "category"

    instances: ClassVar[int] = 10  # half of them in each split
    remotes: ClassVar[tuple[Remote, ...]] = (  # training, testing; of each the images, categories and other factors
        _remote(
            "5x46789x9x18x6x2x96x96-training",
            "dat",
            "66054832f9accfe74a0f4c36a75bc0a2",
            "8138a0902307b32dfa0025a36dfa45ec",
            131_896_188,
        ),
        _remote(
            "5x46789x9x18x6x2x96x96-training",
            "cat",
            "23c8b86101fbf0904a000b43d3ed2fd9",
            "fd5120d3f770ad57ebe620eb61a0b633",
        ),
        _remote(
            "5x46789x9x18x6x2x96x96-training",
            "info",
            "51dee1210a742582ff607dfd94e332e3",
            "19faee774120001fc7e17980d6960451",
        ),
        _remote(
            "5x01235x9x18x6x2x96x96-testing",
            "dat",
            "e4ad715691ed5a3a5f138751a4ceb071",
            "e9920b7f7b2869a8f1a12e945b2c166c",
            130_799_817,
        ),
        _remote(
            "5x01235x9x18x6x2x96x96-testing",
            "cat",
            "5aa791cd7e6016cf957ce9bdb93b8603",
            "fd5120d3f770ad57ebe620eb61a0b633",
        ),
        _remote(
            "5x01235x9x18x6x2x96x96-testing",
            "info",
            "a9454f3864d7fd4bb3ea7fc3eb84924e",
            "7c5b871cc69dcadec1bf6a18141f5edc",
        ),
    )

    @classmethod
    def published(cls) -> tuple[Remote, ...]:
        return cls.remotes

    @classmethod
    def row_shape(cls) -> tuple[int, ...]:
        return (math.prod(cls.factor_sizes) * cls.instances, SIDE, SIDE, 1)

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        paths = obtain_gz(cls.remotes, root, cls.name, source, progress)
        splits = [paths[:3], paths[3:]]
        pairs = math.prod(cls.factor_sizes) * cls.instances // 2  # in each split
        factors = np.concatenate([read_factors(cat, info, pairs) for _, cat, info in splits])  # (N, 5), instance last
        order = np.lexsort(factors.T[::-1])
        sizes = (*cls.factor_sizes, cls.instances)
        if not np.array_equal(factors[order].T, np.unravel_index(np.arange(2 * pairs), sizes)):
            raise UserError(
                f"{paths[2]} and {paths[5]} can't be used: with their categories they are not every combination of "
                f"{sizes} categories, elevations, azimuths, lightings and instances once. {REMEDY}"
            )
        return Reading(
            cls.row_shape(),
            cls._blocks([split[0] for split in splits], pairs, order),
            ", ".join(path.name for path in paths),
            tables={"factors": factors[order][:, :4]},
            files=paths,
        )

    @classmethod
    def _blocks(cls, paths: list[Path], pairs: int, order: np.ndarray) -> Iterator[np.ndarray]:
        """All images in this order, uint8 (n, 64, 64, 1); they wait in memory, 199 MB, as the files have another."""
        images = np.concatenate([read_images(path, pairs) for path in paths])
        for start in range(0, len(order), BLOCK):
            yield images[order[start : start + BLOCK]][..., None]


def read_images(path: Path, pairs: int) -> np.ndarray:
    """The first camera's images of a `dat` file, resized: uint8 (pairs, 64, 64). `UserError` for another file."""
    small = np.empty((pairs, SIDE, SIDE), dtype=np.uint8)
    with opened(path, REMEDY) as file:
        _check_header(file, BYTES, (pairs, CAMERAS, STORED_SIDE, STORED_SIDE))
        for n in range(pairs):
            cameras = np.frombuffer(exactly(file, CAMERAS * STORED_SIDE**2), dtype=np.uint8)
            image = Image.fromarray(cameras.reshape(CAMERAS, STORED_SIDE, STORED_SIDE)[0])
            small[n] = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    return small


def read_factors(cat: Path, info: Path, pairs: int) -> np.ndarray:
    """Category, elevation, azimuth, lighting, instance, int64 (pairs, 5), from a split's two files.

    A file's azimuths are the even numbers 0 to 34, which count by their halves. `UserError` for another file.
    """
    with opened(cat, REMEDY) as file:
        _check_header(file, INTEGERS, (pairs,))
        category = np.frombuffer(exactly(file, 4 * pairs), dtype="<i4")
    with opened(info, REMEDY) as file:
        _check_header(file, INTEGERS, (pairs, 4))
        instance, elevation, azimuth, lighting = np.frombuffer(exactly(file, 16 * pairs), dtype="<i4").reshape(-1, 4).T
        if (azimuth % 2).any():
            raise ValueError(f"it holds the azimuth {azimuth[azimuth % 2 != 0][0]}, expected even numbers")
    return np.stack([category, elevation, azimuth // 2, lighting, instance], axis=1).astype(np.int64)


def _check_header(file: io.BufferedIOBase, magic: int, shape: tuple[int, ...]) -> None:
    """Read a matrix file's header: magic number, number of dimensions, and at least three sizes; all little-endian."""
    found, dimensions = np.frombuffer(exactly(file, 8), dtype="<i4").tolist()
    if (found, dimensions) != (magic, len(shape)):
        raise ValueError(
            f"it starts with {found:#010x} and {dimensions} dimensions, expected the magic number {magic:#010x} and "
            f"{len(shape)}"
        )
    sizes = np.frombuffer(exactly(file, 4 * max(3, dimensions)), dtype="<i4")[:dimensions].tolist()
    if tuple(sizes) != shape:
        raise ValueError(f"its matrix is {tuple(sizes)}, expected {shape}")
