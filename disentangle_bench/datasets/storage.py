"""Prepared datasets as HDF5 files: written whole or not at all, opened as one memory map.

A file holds one contiguous, uncompressed dataset named `rows`, one row an image in whatever form its class decodes, its
small tables (`factors`, `labels`) beside it where it has any, and attributes that say what it is. All processes that
map it share its pages. The rows are written and read past the HDF5 library, at the offset that it reports: its own
writes hide the reason for a failure (a full disk) when the file closes.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import mmap
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import h5py
import numpy as np

from disentangle_bench.contracts import Progress, silent
from disentangle_bench.datasets.hdf5_source import array_in
from disentangle_bench.datasets.regular import irregular
from disentangle_bench.errors import UserError

FORMAT_VERSION = 1
READ_AHEAD = 4 << 20  # bytes at a time


@dataclass(frozen=True)
class Stored:
    """An opened file: its path, its attributes, and its rows, uint8 (N, ...), read-only and mapped."""

    path: Path
    attributes: Mapping[str, Any]
    rows: np.ndarray


def damaged(path: Path, name: str, expected: str, found: str) -> UserError:
    """The error for a prepared file that can't be used: the file, what was expected, what is there, the remedy."""
    return UserError(
        f"{path} is damaged or of another version: expected {expected}, found {found}. "
        f"Delete it and run: disentangle-bench datasets prepare {name}"
    )


def missing(path: Path, name: str) -> UserError:
    """The error for a dataset that was never prepared under this root."""
    return UserError(f"{path} does not exist. Make it with: disentangle-bench datasets prepare {name}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process that prepares `path`; others wait here. Makes its folder and removes what a killed one left.

    The lock is the kernel's and dies with its process. Raises `UserError`, with the path and the reason, for every
    `OSError` while it is held: a folder that can't be written, a file in the way, a full disk.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _acquired(filelock.FileLock(path.with_name(f".{path.name}.lock")), path):
            for leftover in path.parent.glob(f".{path.name}.*.tmp"):
                leftover.unlink(missing_ok=True)
            yield
    except (OSError, NotImplementedError) as error:
        raise UserError(
            f"can't write {path}: {_reason(error)}. Free that place, or name another data root in "
            "DISENTANGLE_BENCH_DATA."
        ) from error


def _acquired(lock: filelock.BaseFileLock, path: Path) -> AbstractContextManager[Any]:
    """The lock, held; says so where another process has to be waited for."""
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        sys.stderr.write(f"waiting for another process that is at work on {path}\n")
        return lock.acquire()


def write(
    path: Path,
    shape: tuple[int, ...],
    blocks: Iterable[np.ndarray],
    attributes: Mapping[str, Any],
    progress: Progress = silent,
    tables: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write `path` under a temporary name beside it and rename it when it is complete; call it inside `locked(path)`.

    shape: of all rows, (N, ...). blocks: uint8 (n, ...), in order, N rows in all. attributes: numbers, strings and
    lists of them; `format_version` and `content_sha256`, the hash of all rows and tables, are added. progress: in rows.
    tables: small int64 arrays by name.
    Raises `OSError` where the disk is full, `ValueError` where the blocks are not of that shape. Whatever is raised,
    `path` is as it was and the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    digest, done = hashlib.sha256(), 0
    try:
        with temporary.open("wb") as file:
            file.truncate(math.prod(shape))  # a limit on a file's size shows here; HDF5 would hide the reason
        offset = _create(temporary, shape, {"format_version": FORMAT_VERSION, **attributes}, tables or {})
        with temporary.open("r+b") as file:
            file.seek(offset)
            for block in blocks:
                if block.dtype != np.uint8 or block.shape[1:] != shape[1:] or done + len(block) > shape[0]:
                    raise ValueError(f"block {block.dtype} {block.shape} after {done} rows doesn't fit {shape}")
                data = np.ascontiguousarray(block).data
                file.write(data)
                digest.update(data)
                done += len(block)
                progress(done, shape[0])
            if done != shape[0]:
                raise ValueError(f"{done} rows came, {shape[0]} were expected")
        _add(digest, tables or {})
        with _writing(temporary, "r+") as hdf:
            hdf.attrs["content_sha256"] = digest.hexdigest()
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut after the rename could leave a file of zeros
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def attributes(path: Path, name: str) -> dict[str, Any]:
    """The attributes of a prepared file; `UserError` where there is none, or one that isn't of this format."""
    return _inspect(path, name)[0]


def open_rows(path: Path, name: str, shape: tuple[int, ...] | None = None) -> Stored:
    """Map a prepared file's rows, uint8, and check all but the content itself: see `verify`.

    name: the dataset's, for the messages. shape: that the rows must have; None: any. Raises `UserError` for a file that
    is missing, cut short, not HDF5, of another format version or shape. It takes no lock, so
    that a read-only data root works.
    """
    found, stored_shape, offset = _inspect(path, name)
    if (holds := found.get("name")) != path.stem:
        raise damaged(path, name, f"the dataset '{path.stem}'", f"'{holds}'")
    if shape is not None and stored_shape != shape:
        raise damaged(path, name, f"rows of shape {shape}", f"{stored_shape}")
    try:
        rows = np.memmap(path, dtype=np.uint8, mode="c", offset=offset, shape=stored_shape)
    except OSError as error:
        raise UserError(f"can't map {path}: {_reason(error)}.") from error
    return Stored(path, found, rows.view(np.ndarray))  # indexing a plain array is faster than a memmap, which it keeps


def verify(stored: Stored, name: str, progress: Progress = silent) -> None:
    """Hash all rows again; `UserError` where they aren't what was written. progress: in rows."""
    digest, step = hashlib.sha256(), max(1, (4 << 20) // max(1, stored.rows[:1].nbytes))
    for start in range(0, len(stored.rows), step):
        digest.update(np.ascontiguousarray(stored.rows[start : start + step]).data)
        progress(min(start + step, len(stored.rows)), len(stored.rows))
    _add(digest, read_tables(stored.path, name))
    expected = stored.attributes["content_sha256"]
    if digest.hexdigest() != expected:
        raise damaged(stored.path, name, f"content with sha256 {expected}", digest.hexdigest())


def read_tables(path: Path, name: str) -> dict[str, np.ndarray]:
    """A prepared file's tables by name, int64 arrays; `UserError` where the file is damaged."""
    try:
        with path.open("rb"), h5py.File(path, "r", locking=False) as hdf:
            arrays = {key: array_in(hdf, key) for key in sorted(hdf) if key != "rows"}
            for key, array in arrays.items():  # as they were written: whatever a table claims to hold lies in the file
                if array.dtype != np.int64 or array.id.get_storage_size() != array.nbytes:
                    raise ValueError(f"its table '{key}' is {array.dtype} {array.shape}, not stored as whole numbers")
            return {key: array[()] for key, array in arrays.items()}
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise damaged(path, name, "an HDF5 file with its tables", str(error)) from error


def warm(stored: Stored) -> threading.Thread | None:
    """Read what is not in memory yet into the system's cache, from a thread that is returned; None where all of it is.

    In the file's order a disk gives many times as much as in the random order of training. A system's own way to ask
    for that (posix_fadvise) stops after a few hundred kilobytes on Linux. A file that would not fit is left alone.
    """
    # Of a file that this user may not write, Linux says that all of it is in memory.
    known = os.access(stored.path, os.W_OK)
    absent = np.flatnonzero(~cached_blocks(stored.rows)) if known else np.arange(-(-stored.rows.nbytes // READ_AHEAD))
    if not len(absent) or stored.rows.nbytes > memory_bytes() // 2:
        return None
    flat = stored.rows.reshape(-1)

    def read() -> None:
        for block in absent:
            flat[block * READ_AHEAD : (block + 1) * READ_AHEAD : mmap.PAGESIZE].max()  # touches each page

    thread = threading.Thread(target=read, name="read ahead", daemon=True)
    thread.start()
    return thread


def cached_blocks(rows: np.ndarray) -> np.ndarray:
    """Whether each `READ_AHEAD` bytes of a mapped array are in memory, bool; all False where the system can't tell."""
    blocks = -(-rows.nbytes // READ_AHEAD)
    mincore = getattr(ctypes.CDLL(None), "mincore", None)
    start = rows.ctypes.data % mmap.PAGESIZE  # of the array in its first page
    pages = -(-(start + rows.nbytes) // mmap.PAGESIZE)
    found = np.zeros(pages, dtype=np.uint8)
    address, length = ctypes.c_void_p(rows.ctypes.data - start), ctypes.c_size_t(start + rows.nbytes)
    if mincore is None or mincore(address, length, found.ctypes.data_as(ctypes.c_void_p)):
        return np.zeros(blocks, dtype=bool)
    missing = np.flatnonzero(found & 1 == 0)
    result = np.ones(blocks, dtype=bool)
    result[np.clip(missing * mmap.PAGESIZE - start, 0, rows.nbytes - 1) // READ_AHEAD] = False
    return result


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _add(digest: Any, tables: Mapping[str, np.ndarray]) -> None:
    for key in sorted(tables):
        digest.update(f"{key}{tables[key].shape}".encode() + np.ascontiguousarray(tables[key]).tobytes())


def _create(path: Path, shape: tuple[int, ...], attributes: Mapping[str, Any], tables: Mapping[str, np.ndarray]) -> int:
    """An HDF5 file whose `rows` have their place but no content yet; returns the place's offset in bytes."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.CONTIGUOUS)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with _writing(path, "w") as hdf:
        space = h5py.h5s.create_simple(shape)
        offset = h5py.h5d.create(hdf.id, b"rows", h5py.h5t.STD_U8LE, space, layout).get_offset()
        hdf.attrs.update(attributes)
        for key, table in tables.items():
            hdf.create_dataset(key, data=table)
    return int(offset)


@contextmanager
def _writing(path: Path, mode: str) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, mode, libver="v110", locking=False) as hdf:  # from 1.10 on, headers have checksums
            yield hdf
    except RuntimeError as error:  # what HDF5 raises where closing the file fails; the system's reason is in its text
        number = re.search(r"errno = (\d+)", str(error))
        raise OSError(int(number[1]) if number else 0, str(error)) from error


def _inspect(path: Path, name: str) -> tuple[dict[str, Any], tuple[int, ...], int]:
    """Attributes, shape and byte offset of a prepared file that is whole, as far as its length can tell."""
    if not os.path.exists(path):
        raise missing(path, name)
    if not os.path.isfile(path):
        raise damaged(path, name, "a file", irregular(path) or "a folder")
    try:
        with path.open("rb"), h5py.File(path, "r", locking=False) as hdf:
            found, rows = dict(hdf.attrs), array_in(hdf, "rows")
            shape, offset, dtype = tuple(rows.shape), rows.id.get_offset(), rows.dtype
    except PermissionError as error:
        raise UserError(f"can't read {path}: {_reason(error)}.") from error
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise damaged(path, name, "an HDF5 file with a dataset 'rows'", str(error)) from error
    version = found.get("format_version", "none")
    if not np.array_equal(version, FORMAT_VERSION):
        raise damaged(path, name, f"format version {FORMAT_VERSION}", f"{version}")
    if absent := {"content_sha256", "source"} - found.keys():
        raise damaged(path, name, "attributes content_sha256 and source", f"no {' and no '.join(sorted(absent))}")
    if dtype != np.uint8 or offset is None:
        raise damaged(path, name, "contiguous rows of uint8", f"{dtype}{'' if offset else ', not contiguous'}")
    if (length := path.stat().st_size) < offset + math.prod(shape):
        raise damaged(path, name, f"at least {offset + math.prod(shape)} bytes", f"{length}")
    return found, shape, offset


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error)
