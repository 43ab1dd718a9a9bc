"""MNIST (LeCun et al. 1998): `mnist`, the 60,000 training images, and `mnist-test`, the other 10,000."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

import numpy as np

from disentangle_bench.contracts import Dataset, Progress, silent
from disentangle_bench.datasets.binary import exactly, opened
from disentangle_bench.datasets.download import Remote
from disentangle_bench.datasets.obtain import obtain_gz, remedy
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.errors import UserError

SIDE = 28
IMAGES, LABELS = 2051, 2049  # an idx file's magic number: bytes, in 3 dimensions or in 1


def _remote(file_name: str, md5: str, size: int, unpacked: str) -> Remote:
    mirrors = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
    return Remote(
        file_name,
        tuple(mirror + file_name for mirror in mirrors),
        f"md5:{md5}",
        size,
        unpacked=f"md5:{unpacked}",
        namesakes="Fashion-MNIST and KMNIST",
    )


class MNIST(StoredDataset):
    """Handwritten digits, white on black, 28 × 28: uint8 (60000, 1, 28, 28), with the digit as label."""

    name: ClassVar[str] = "mnist"
    description: ClassVar[str] = "handwritten digits, 28x28 grey, 60,000 training images (mnist-test: the other 10,000)"
    image_shape = (1, SIDE, SIDE)
    no_factors: ClassVar[str] = "its images are annotated with their digit alone"
    class_names = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

    size: ClassVar[int] = 60_000
    remotes: ClassVar[tuple[Remote, Remote]] = (
        _remote(
            "train-images-idx3-ubyte.gz",
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            9_912_422,
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        _remote(
            "train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", 28_881, "a25bea736e30d166cdddb491f175f624"
        ),
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
        return cls.reading(*obtain_gz(cls.remotes, root, cls.name, source, progress))

    @classmethod
    def reading(cls, images_path: Path, labels_path: Path) -> Reading:
        """What these two idx files hold; `UserError` for files of another form."""
        n = cls.size
        images = read_idx(images_path, IMAGES, (n, SIDE, SIDE), remedy(cls.remotes[0]))
        labels = read_idx(labels_path, LABELS, (n,), remedy(cls.remotes[1]), below=len(cls.class_names))
        return Reading(
            cls.row_shape(),
            [images[..., None]],
            f"{images_path.name}, {labels_path.name}",
            tables={"labels": labels.astype(np.int64)},
            files=(images_path, labels_path),
        )

    def verify(self, progress: Progress = silent) -> None:
        """Hash the stored content again, and compare it with the official files'; `UserError` where it differs.

        The second finds what was prepared from files of the same form, such as Fashion-MNIST's, when only form was
        checked.
        """
        super().verify(progress)
        tables = ((IMAGES, self.rows[..., 0]), (LABELS, self.label_table))
        for remote, (magic, values) in zip(self.remotes, tables, strict=True):
            expected = remote.unpacked.removeprefix("md5:")  # empty where it is not known
            found = hashlib.md5(as_idx(magic, np.asarray(values)), usedforsecurity=False).hexdigest()
            if expected not in ("", found):
                raise UserError(
                    f"{self.stored.path} is not {self.name}: it was prepared from other files ({self.source}), whose "
                    f"{remote.content().file_name} has md5 {found}, expected {expected}. Delete it and run: "
                    f"disentangle-bench datasets prepare {self.name}"
                )


class MNISTTest(MNIST):
    """The test images: uint8 (10000, 1, 28, 28)."""

    name: ClassVar[str] = "mnist-test"
    description: ClassVar[str] = "handwritten digits, 28x28 grey, 10,000 test images"
    size: ClassVar[int] = 10_000
    remotes: ClassVar[tuple[Remote, Remote]] = (
        _remote(
            "t10k-images-idx3-ubyte.gz",
            "9fb629c4189551a2d022fa330f9573f3",
            1_648_877,
            "2646ac647ad5339dbf082846283269ea",
        ),
        _remote(
            "t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", 4_542, "27ae3e4e09519cfbb04c329615203637"
        ),
    )


def as_idx(magic: int, values: np.ndarray) -> bytes:
    """The idx file of these values, 0 to 255, as `read_idx` reads it."""
    return np.array([magic, *values.shape], dtype=">u4").tobytes() + values.astype(np.uint8).tobytes()


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
