"""A folder for the sockets and logs of a Ray of our own: short enough for the kernel, and nobody else's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from disentangle_bench.errors import UserError

PREFIX = "dbench-"
SOCKET = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"  # the longest name that Ray puts into it
LONGEST = 107  # bytes of a socket's path, on Linux


def places() -> list[Path]:
    """Where the folder may be made, the best first: the user's choices, then what every Linux has."""
    asked = [os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR")]
    return [Path(place) for place in [*asked, "/tmp", "/var/tmp", "/dev/shm"] if place]


@contextmanager
def ray_folder() -> Iterator[Path]:
    """A new folder of this user's alone, in the first of `places` that is short and can be written; removed at the end.

    Ray's own default, `ray` in the temporary folder, is refused where its path is long, as a job scheduler's is, or
    where another user made it first. What killed runs left of theirs is removed, too: the kernel freed their locks.
    `UserError` where no place will do.
    """
    tried = []
    for place in places():
        if len(os.fsencode(place.absolute() / f"{PREFIX}12345678")) + len(SOCKET) > LONGEST:
            tried.append(f"{place} (too long for sockets)")
            continue
        try:
            made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place)).absolute()
        except OSError as error:
            tried.append(f"{place} ({error.strerror})")
            continue
        break
    else:
        raise UserError(
            f"no folder for Ray's sockets: {', '.join(tried)}; name a short one that can be written in RAY_TMPDIR, or "
            "run with --local, which needs no Ray."
        )
    try:
        with FileLock(made / "lock"):
            remove_abandoned(made)
            yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)  # Ray's processes may still be ending there


def remove_abandoned(ours: Path) -> None:
    """Remove the folders beside `ours` whose command was killed."""
    for folder in ours.parent.glob(f"{PREFIX}*"):
        if folder == ours or not (folder / "lock").exists():
            continue
        with suppress(Timeout, OSError), FileLock(folder / "lock").acquire(timeout=0):  # at work, or another user's
            shutil.rmtree(folder, ignore_errors=True)
