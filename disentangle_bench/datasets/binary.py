"""Binary files of an exact layout, plain or gzipped: MNIST's and SmallNORB's."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from disentangle_bench.errors import UserError


@contextmanager
def opened(path: Path, remedy: str) -> Iterator[io.BufferedIOBase]:
    """The file's bytes, unpacked where its name ends in .gz, for reading from the first to the last.

    A file that can't be read, that is cut short, or that the body finds wrong (`ValueError`) becomes a `UserError`,
    which ends with `remedy`. So does one that goes on after what the body read; asking also tests a gzip's checksum.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file
            if file.read(1):
                raise ValueError("it goes on after its data")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}. {remedy}") from error


def exactly(file: io.BufferedIOBase, size: int) -> bytes:
    """The next `size` bytes; `ValueError` where the file ends before."""
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"it ends {size - len(data)} bytes early")
    return data
