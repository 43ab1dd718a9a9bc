"""MNIST (LeCun et al. 1998): `mnist`, the 60,000 training images, and `mnist-test`, the other 10,000."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from disentangle_bench.contracts import Dataset, Progress
from disentangle_bench.datasets.binary import exactly, opened
from disentangle_bench.datasets.download import Remote
from disentangle_bench.datasets.obtain import obtain_gz, remedy
from disentangle_bench.datasets.stored import Reading, StoredDataset

SIDE = 28
IMAGES, LABELS = 2051, 2049  # an idx file's magic number: bytes, in 3 dimensions or in 1


def _remote(file_name: str, md5: str, size: int) -> Remote:
    mirrors = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
    return Remote(file_name, tuple(mirror + file_name for mirror in mirrors), f"md5:{md5}", size)


class MNIST(StoredDataset):
    """Handwritten digits, white on black, 28 × 28: uint8 (60000, 1, 28, 28), with the digit as label."""

    name: ClassVar[str] = "mnist"
    description: ClassVar[str] = "handwritten digits, 28x28 grey, 60,000 training images (mnist-test: the other 10,000)"
    image_shape = (1, SIDE, SIDE)
    no_factors: ClassVar[str] = "its images are annotated with their digit alone"
    class_names = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

    size: ClassVar[int] = 60_000
    remotes: ClassVar[tuple[Remote, Remote]] = (
        _remote("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
        _remote("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", 28_881),
    )

    @classmethod
    def variant(cls, suffix: str) -> type[Dataset] | None:
        return MNISTTest if suffix == "test" else None

    @classmethod
    def published(cls) -> tuple[Remote, ...]:
        return cls.remotes

    @classmethod
    def row_shape(cls) -> tuple[int, ...]:
        return (cls.size, SIDE, SIDE, 1)

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        images_path, labels_path = obtain_gz(cls.remotes, root, cls.name, source, progress)
        n = cls.size
        images = read_idx(images_path, IMAGES, (n, SIDE, SIDE), remedy(cls.remotes[0]))
        labels = read_idx(labels_path, LABELS, (n,), remedy(cls.remotes[1]), below=len(cls.class_names))
        return Reading(
            cls.row_shape(),
            [images[..., None]],
            f"{images_path.name}, {labels_path.name}",
            tables={"labels": labels.astype(np.int64)},
        )


class MNISTTest(MNIST):
    """The test images: uint8 (10000, 1, 28, 28)."""

    name: ClassVar[str] = "mnist-test"
    description: ClassVar[str] = "handwritten digits, 28x28 grey, 10,000 test images"
    size: ClassVar[int] = 10_000
    remotes: ClassVar[tuple[Remote, Remote]] = (
        _remote("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", 1_648_877),
        _remote("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", 4_542),
    )


def read_idx(path: Path, magic: int, shape: tuple[int, ...], remedy: str, below: int = 256) -> np.ndarray:
    """An idx file's bytes, uint8 of this shape: big-endian magic number and sizes, then the values, each < `below`.

    Raises `UserError`, which ends with `remedy`, for any other file.
    """
    with opened(path, remedy) as file:
        found = int.from_bytes(exactly(file, 4), "big")
        if found != magic:
            raise ValueError(f"it starts with {found}, expected the magic number {magic}")
        sizes = tuple(np.frombuffer(exactly(file, 4 * len(shape)), dtype=">u4").tolist())
        if sizes != shape:
            raise ValueError(f"it holds {sizes}, expected {shape}")
        values = np.frombuffer(exactly(file, int(np.prod(shape))), dtype=np.uint8).reshape(shape)
        if (largest := int(values.max())) >= below:
            raise ValueError(f"it holds the value {largest}, expected 0 to {below - 1}")
    return values
