"""A dataset's official files: found where the user has them and checked, else downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.download import Remote, check, fetch
from disentangle_bench.datasets.sources import locate
from disentangle_bench.errors import UserError


def obtain(
    remote: Remote, root: Path, name: str, source: Path | None, progress: Progress, unpacked: Sequence[str] = ()
) -> Path:
    """The official file of dataset `name`, or one of its unpacked forms; downloaded into `root/name` if need be.

    source: as for `locate`. progress: of a download, in bytes. unpacked: the names that the file or folder has once it
    is unpacked; a file is then compared with the checksum of the unpacked bytes, where that is known.
    Raises `UserError` for a `source` without it, a file with another size or checksum, and a download that fails.
    """
    path = locate((remote.file_name, *unpacked), root, name, source)
    if path is None:
        return fetch(remote, root / name, progress)
    plain = path.name in {Path(form).name for form in unpacked}
    if not (plain and path.is_dir()):
        check(path, remote.content() if plain else remote, remedy(remote))
    return path


def obtain_gz(
    remotes: Sequence[Remote], root: Path, name: str, source: Path | None, progress: Progress, packed_only: bool = False
) -> list[Path]:
    """As `obtain`, for a dataset of several gzip files, each of which may be unpacked unless `packed_only`.

    source: the folder that holds them; `UserError` where it is a file.
    """
    if source is not None and source.expanduser().is_file():
        names = ", ".join(remote.file_name for remote in remotes)
        raise UserError(f"--source {source} is one file; name the folder that holds {names}.")
    return [
        obtain(remote, root, name, source, progress, () if packed_only else (remote.file_name.removesuffix(".gz"),))
        for remote in remotes
    ]


def remedy(remote: Remote) -> str:
    """What to do about a copy of this file that is of no use."""
    if remote.namesakes:
        return (
            f"{remote.namesakes} have a file of this name, too: name the folder of the right one with --source, or "
            f"fetch {remote.file_name} again from {remote.urls[0]}."
        )
    return f"Delete it and fetch {remote.file_name} again from {remote.urls[0]}."
