"""Only regular files are read, and none beyond a limit: a device has no end, and a FIFO waits for whoever writes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from disentangle_bench.errors import UserError

FILE_BYTES = 256 << 20  # of one image, list or matrix that is read whole

KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a FIFO (a pipe)",
    stat.S_IFSOCK: "a socket",
}


def irregular(path: Path) -> str:
    """What is there instead of a regular file or a folder, in words, links followed; "" for those two.

    Raises `OSError` where nothing is there, or where it can't be looked at.
    """
    return KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "")


def check_regular(path: Path) -> None:
    """`UserError` for a device, a FIFO or a socket; what is missing is left to whoever opens it."""
    if os.path.exists(path) and (kind := irregular(path)):
        raise UserError(f"{path} is {kind}, and only files and folders are read; name one of these.")


def read_regular(path: Path, limit: int | None = None) -> bytes:
    """A file's bytes; `OSError` with the reason for what is no regular file, or holds more than `limit` bytes.

    limit: None for `FILE_BYTES`.
    """
    if kind := irregular(path):
        raise OSError(f"it is {kind}, no regular file")
    limit = FILE_BYTES if limit is None else limit
    check_size(path.stat().st_size, limit)
    with path.open("rb") as file:
        data = file.read(limit + 1)  # it may grow, and what the system makes up on the fly has no size
    check_size(len(data), limit)
    return data


def check_size(size: int, limit: int | None = None) -> None:
    """`OSError` with the reason where a file of this many bytes is beyond the limit; None for `FILE_BYTES`."""
    limit = FILE_BYTES if limit is None else limit
    if size > limit:
        raise OSError(f"it holds more than {limit >> 20} MiB, the most that is read of one file")
