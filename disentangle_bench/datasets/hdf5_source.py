"""Arrays read from a user's HDF5 file: its own bytes alone, as a stream."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from disentangle_bench.errors import UserError

MAGIC = b"\x89HDF\r\n\x1a\n"  # how an HDF5 file begins
MOST_BYTES = 192 << 20  # of a block
ROWS = 1024  # of a block, where the file has no chunks


@contextmanager
def opened_hdf5(path: Path, remedy: str) -> Iterator[h5py.File]:
    """The HDF5 file; what goes wrong with it, in the body too, becomes a `UserError` that ends with `remedy`."""
    try:
        with h5py.File(path, "r", locking=False) as hdf:
            yield hdf
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} can't be read: {error}. {remedy}") from error


def array_in(hdf: h5py.File, key: str) -> h5py.Dataset:
    """The array `key`; `ValueError` where there is none, or where its values lie in another file.

    HDF5 can link to arrays of other files, and can take an array's bytes from any file: a source that asks for either
    could copy what its reader may read and its author may not.
    """
    if not isinstance(hdf.get(key, getlink=True), h5py.HardLink):
        raise ValueError(f"it has no array '{key}' of its own")
    found = hdf[key]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise ValueError(f"its '{key}' is no array whose values are in it")
    return found


def hdf5_blocks(
    path: Path, key: str, shape: tuple[int, ...], remedy: str = "Fetch it again."
) -> Iterator[np.ndarray]:  # uint8 (n, *shape[1:])
    """The uint8 array `key` of an HDF5 file, of this shape (N, ...), as a stream of blocks of at most 192 MiB.

    Raises `UserError`, which ends with `remedy`, for a file that can't be read or holds something else.
    """
    with opened_hdf5(path, remedy) as hdf:
        array = array_in(hdf, key)
        if (array.dtype, array.shape) != (np.uint8, shape):
            raise ValueError(f"its {key} are {array.dtype} {array.shape}, expected uint8 {shape}")
        # A block of whole chunks unpacks each chunk once: h5py's own chunks span thousands of images.
        rows = min(array.chunks[0] if array.chunks else ROWS, max(1, MOST_BYTES // math.prod(shape[1:])))
        for start in range(0, len(array), rows):
            yield array[start : start + rows]
