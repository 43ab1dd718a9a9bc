"""Trees of files, in a folder or in an archive that stays packed; and the images in them, decoded on all cores."""

from __future__ import annotations

import errno
import gzip
import io
import os
import posixpath
import struct
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from disentangle_bench.datasets.regular import FILE_BYTES, check_regular, check_size, read_regular
from disentangle_bench.errors import UserError

Member = TypeVar("Member")

BLOCK_BYTES = 4 << 20
PIXELS = 4096 * 4096  # of one image at most: a file of kilobytes can ask for gigabytes
UNPACKED_RATIO, UNPACKED_SLACK = 200, 1 << 30  # a .tar.gz may grow to so many times its size, and as many bytes more
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # Pillow has more; one of them starts another program
UNREADABLE = (OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error)
UNDECODABLE = (  # what Pillow raises for damaged files of its various kinds
    OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # PIXELS is less than what it warns of


@dataclass(frozen=True)
class Tree:
    """The files under a folder or in an archive: their names, sorted, relative, with forward slashes; and their bytes.

    Hidden files are left out, and those that macOS adds to archives. Links to folders are followed, except back to one
    that they lie in. Close it, or let `decoded` do so.
    """

    path: Path
    names: tuple[str, ...]
    _read: Callable[[str], bytes]
    close: Callable[[], None]

    def read(self, name: str) -> bytes:
        """The bytes of one file; `UserError` where they can't be read."""
        try:
            return self._read(name)
        except UNREADABLE as error:
            raise UserError(f"'{name}' in {self.path} can't be read: {error}. Repair it, or fetch it again.") from error


def open_tree(path: Path, remedy: str = "Fetch it again.") -> Tree:
    """The tree of a folder, a .zip, a .tar, a .tar.gz or a .tgz. Nothing of an archive is written to where it says.

    Raises `UserError` for another kind of file, for an archive that is cut short or damaged, which ends with `remedy`,
    and for one that holds two files of one name.
    """
    kinds: dict[str, Callable[[Path], Tree]] = {".zip": _zip, ".tar": _tar, ".tar.gz": _tar_gz, ".tgz": _tar_gz}
    check_regular(path)
    try:
        if path.is_dir():
            return _folder(path)
        for suffix, opened in kinds.items():
            if path.name.lower().endswith(suffix):
                return opened(path)
    except UNREADABLE as error:
        raise UserError(f"{path} can't be read: {error}. {remedy}") from error
    raise UserError(f"{path} is neither a folder nor a {', '.join(kinds)}.")


def decoded(
    tree: Tree,
    names: Sequence[str],
    transform: Callable[[str, Image.Image], np.ndarray],
    workers: int | None = None,
) -> Iterator[np.ndarray]:  # uint8 (n, H, W, C)
    """The images of these names, in this order, in blocks of about 4 MB; closes the tree at the end.

    Files are read one after the other and decoded by `workers` threads (None: one a core), a few ahead.
    transform: an image's name and the image, decoded, to uint8 (H, W, C), the same shape for all; it runs in a thread.
    Raises `UserError` with the name of an image that can't be read.
    """
    workers = workers or os.cpu_count() or 1
    pending: deque[Future[np.ndarray]] = deque()
    block: list[np.ndarray] = []
    with closing(tree), ThreadPoolExecutor(workers) as pool:
        for name in names:
            pending.append(pool.submit(_decode, tree, name, tree.read(name), transform))
            if len(pending) > 2 * workers:
                block.append(pending.popleft().result())
            if block and len(block) * block[0].nbytes >= BLOCK_BYTES:
                yield np.stack(block)
                block = []
        block += [future.result() for future in pending]
        if block:
            yield np.stack(block)


def _decode(tree: Tree, name: str, data: bytes, transform: Callable[[str, Image.Image], np.ndarray]) -> np.ndarray:
    return transform(name, image_of(tree, name, data))


def image_of(tree: Tree, name: str, data: bytes) -> Image.Image:
    """The decoded image in these bytes of the tree's file `name`; `UserError` where they are none."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > PIXELS:
            raise ValueError(f"it is {image.width} × {image.height}, more than {PIXELS:,} pixels")
        image.load()
    except UNDECODABLE as error:
        reason = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise UserError(f"'{name}' in {tree.path} is no image that can be decoded{reason}. Replace it.") from error
    return image


def _folder(path: Path) -> Tree:
    def fail(error: OSError) -> None:
        raise error

    files: dict[str, Path] = {}
    real = path.resolve()
    for folder, folders, names in os.walk(real, onerror=fail, followlinks=True):
        folders[:] = [name for name in folders if not _leads_back(Path(folder, name))]
        files |= {Path(folder, name).relative_to(real).as_posix(): Path(folder, name) for name in names}
    return Tree(path, _shown(files), lambda name: read_regular(files[name]), lambda: None)


def _leads_back(folder: Path) -> bool:
    """Whether this is one of the folders that its path goes through, by a link: following it would never end."""
    return folder.resolve() in {parent.resolve() for parent in folder.parents}


def _zip(path: Path) -> Tree:
    archive = zipfile.ZipFile(path)
    try:
        members = _by_name(path, ((info.filename, info) for info in archive.infolist() if not info.is_dir()))
    except BaseException:
        archive.close()
        raise

    def read(name: str) -> bytes:
        check_size(members[name].file_size)  # no more than that is unpacked
        return archive.read(members[name])

    return Tree(path, _shown(members), read, archive.close)


def _tar_gz(path: Path) -> Tree:
    """Unpacked to a nameless temporary file: a compressed tar can only be read in its own order."""
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115  the tree closes it
    try:
        with gzip.open(path) as packed:
            most = UNPACKED_SLACK + UNPACKED_RATIO * path.stat().st_size
            while chunk := packed.read(1 << 20):
                unpacked.write(chunk)
                if unpacked.tell() > most:
                    raise UserError(
                        f"{path} unpacks to more than {UNPACKED_RATIO} times its size. If that is as it should be, "
                        "unpack it where there is room, and name the folder."
                    )
        unpacked.seek(0)
        return _tar(path, unpacked)
    except BaseException as error:
        unpacked.close()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise UserError(
                f"{path} can't be unpacked into {tempfile.gettempdir()}: no space left there. Free some, or name "
                "another folder in TMPDIR."
            ) from error
        raise


def _tar(path: Path, unpacked: IO[bytes] | None = None) -> Tree:
    file = unpacked or path.open("rb")
    try:
        archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  the tree closes its file
        members = _by_name(path, ((info.name, info) for info in archive if not info.isdir()))
        file.seek(archive.offset)
        if file.read(512) != bytes(512):  # tarfile takes a damaged header for the end
            raise tarfile.ReadError(f"it is cut short or damaged at byte {archive.offset}")
    except BaseException:
        file.close()
        raise

    def read(name: str) -> bytes:
        member = archive.extractfile(members[name])
        if member is None:
            raise tarfile.ReadError("it is no file")
        data = member.read(FILE_BYTES + 1)  # a sparse file says any size, and takes no place in the archive
        check_size(len(data))
        return data

    return Tree(path, _shown(members), read, file.close)


def _by_name(path: Path, members: Iterable[tuple[str, Member]]) -> dict[str, Member]:
    """An archive's members by their plain names; `UserError` where two have one name."""
    found: dict[str, Member] = {}
    for name, member in members:
        plain = posixpath.normpath(name)
        if plain in found:
            raise UserError(f"{path} holds '{plain}' twice; pack it again without the extra file.")
        found[plain] = member
    return found


def _shown(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if not any(p.startswith((".", "__MACOSX")) for p in name.split("/"))))
