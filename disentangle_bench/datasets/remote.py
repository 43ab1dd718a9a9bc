"""What a published file must be, and whether a file is it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from disentangle_bench.errors import UserError


@dataclass(frozen=True)
class Remote:
    """A published file: its name, its addresses in order, and what it must be.

    checksum: "md5:<hex>", "sha256:<hex>", or "" where nobody published one. size: in bytes, None where unknown.
    smallest: a size that the file can't be below. begins: its first bytes. These two keep a server's message from
    passing for a file whose checksum is unknown. unpacked: the checksum of a .gz file's content, "" where unknown.
    namesakes: datasets that have files of the same names, in words; for the message about a file that isn't the one.
    """

    file_name: str
    urls: tuple[str, ...]
    checksum: str = ""
    size: int | None = None
    smallest: int = 0
    begins: bytes = b""
    unpacked: str = ""
    namesakes: str = ""

    def content(self) -> Remote:
        """What the file must be once it is unpacked."""
        return replace(
            self,
            file_name=self.file_name.removesuffix(".gz"),
            checksum=self.unpacked,
            size=None,
            smallest=0,
            begins=b"",
        )


def check(path: Path, remote: Remote, remedy: str = "Delete it and fetch it again.") -> None:
    """`UserError`, ending with `remedy`, unless the file at `path` is what `remote` must be."""
    try:
        wrong = difference(path, remote)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}. {remedy}") from error
    if wrong:
        called = "" if path.name == remote.file_name else f" {remote.file_name}"
        raise UserError(f"{path} is not the official file{called}: {wrong}. {remedy}")


def difference(path: Path, remote: Remote) -> str:
    """What tells this file from `remote`, in words; "" where nothing does."""
    size = os.path.getsize(path)
    if remote.size is not None and size != remote.size:
        return f"expected {remote.size} bytes, found {size}"
    if size < remote.smallest:
        return f"expected {remote.smallest} bytes or more, found {size}"
    with path.open("rb") as file:
        if wrong := other_beginning(file.read(len(remote.begins)), remote):
            return wrong
        if not remote.checksum:
            return ""
        file.seek(0)
        algorithm, _, expected = remote.checksum.partition(":")
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    return "" if found == expected else f"expected {algorithm} {expected}, found {found}"


def other_beginning(data: bytes, remote: Remote) -> str:
    """How a file that starts with `data` differs from `remote` in its first bytes, in words; "" where it does not."""
    found = data[: len(remote.begins)]
    return "" if found == remote.begins else f"expected {remote.begins!r} at its beginning, found {found!r}"
