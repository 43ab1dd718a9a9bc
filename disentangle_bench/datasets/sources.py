"""Where a user's source files are, and how an array too large for memory is read from one of them."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from disentangle_bench.datasets.regular import check_regular
from disentangle_bench.errors import UserError

BLOCK_BYTES = 4 << 20

# disentanglement_lib's folders under $DISENTANGLEMENT_LIB_DATA, as its download script makes them.
LIB_FOLDERS = ("", "dsprites", "3dshapes", "mpi3d_toy", "mpi3d_realistic", "mpi3d_real", "cars", "small_norb", "scream")


def locate(file_names: Sequence[str], root: Path, name: str, source: Path | None = None) -> Path | None:
    """The one of a dataset's files (or folders) that is there, or None.

    file_names: alternatives for one file, such as packed and unpacked, the preferred first; each may hold sub-folders
    ("Img/img_align_celeba.zip").
    source: what the user gave, and then the only place: the file itself under any name, a folder of one of these names,
    or a folder that holds one, or a sub-folder of which does. Without it the places are `root` and `root/name`, then
    disentanglement_lib's folders where DISENTANGLEMENT_LIB_DATA is set.
    Raises `UserError` for a `source` that does not exist or holds none of the files, for files in two places, of which
    only the user can say which is meant, and for what is neither a file nor a folder.
    """
    if source is not None:
        return _locate_in_source(file_names, source)
    found = only([root, root / name], file_names, f"the data root {root}")
    if found is None and (lib := os.environ.get("DISENTANGLEMENT_LIB_DATA")):
        found = next(
            (path for folder in LIB_FOLDERS if (path := _in(Path(lib).expanduser() / folder, file_names))), None
        )
    if found is not None:
        check_regular(found)
    return found


def only(places: Sequence[Path], file_names: Sequence[str], where: str) -> Path | None:
    """The preferred of these files in the only place that has any; None where no place does.

    Raises `UserError` where two places do, beginning with `where`. A place inside what another one offers counts as
    the same: archives are often unpacked into a folder of their own name.
    """
    found: list[Path] = []
    for place in places:
        path = _in(place, file_names)
        if path is not None and not any(path.resolve().is_relative_to(other.resolve()) for other in found):
            found.append(path)
    if len(found) > 1:
        raise UserError(
            f"{where} holds both {found[0]} and {found[1]}: which is meant? Name that one, or the folder that it is "
            "in, with --source, or move the other away."
        )
    return found[0] if found else None


def _locate_in_source(file_names: Sequence[str], source: Path) -> Path:
    source = source.expanduser()
    if not os.path.exists(source):
        raise UserError(f"--source {source}: there is no such file or folder.")
    if not source.is_dir() or source.name in file_names:
        check_regular(source)
        return source
    try:
        places = [source, *sorted(folder for folder in source.iterdir() if folder.is_dir())]
    except OSError as error:
        raise UserError(f"--source {source} can't be read: {error.strerror}.") from error
    found = only(places, file_names, f"--source {source}")
    if found is None:
        raise UserError(
            f"--source {source} holds no {' or '.join(file_names)}; name that file, or the folder that it is in."
        )
    check_regular(found)
    return found


def _in(place: Path, file_names: Sequence[str]) -> Path | None:
    """The first of these names that is in this place."""
    # os.path.exists, unlike Path.exists, is False where a folder on the way can't be entered.
    return next((place / file_name for file_name in file_names if os.path.exists(place / file_name)), None)


def npz_blocks(
    path: Path, key: str, shape: tuple[int, ...], remedy: str = "Fetch it again."
) -> Iterator[np.ndarray]:  # uint8 (n, *shape[1:])
    """The uint8 array `key` of an npz, of this shape (N, ...), as a stream of blocks of about 4 MB.

    Stored and deflated members are read alike, nothing is unpickled, and the archive's own checksum is tested.
    Raises `UserError`, which ends with `remedy`, for a file that can't be read or holds something else.
    """
    row, done = math.prod(shape[1:]), 0
    rows = max(1, BLOCK_BYTES // row)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
            version = np.lib.format.read_magic(member)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            found, fortran, dtype = read_header(member)
            if (found, fortran, dtype) != (shape, False, np.dtype(np.uint8)):
                order = " in Fortran order" if fortran else ""
                raise ValueError(f"'{key}' is {dtype} {found}{order}, expected uint8 {shape}")
            while done < shape[0]:
                size = min(rows, shape[0] - done)
                data = member.read(size * row)
                if len(data) != size * row:
                    raise ValueError(f"'{key}' ends before its {shape[0]} rows")
                yield np.frombuffer(data, dtype=np.uint8).reshape(size, *shape[1:])
                done += size
            # Reading past the last row makes zipfile compare the member's checksum.
            if member.read(1):
                raise ValueError(f"'{key}' goes on after its {shape[0]} rows")
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} can't be read: {error}. {remedy}") from error
