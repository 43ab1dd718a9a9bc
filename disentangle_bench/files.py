"""Files written whole or not at all, and a sentence where the disk or its rights don't allow it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from disentangle_bench.errors import UserError

FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")  # how text begins that a spreadsheet runs
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; `UserError` where that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder} can't be created ({error.strerror}); choose another place or mend its rights."
        ) from error


class Lock(FileLock):
    """A lock that the kernel frees when its process dies; `UserError` where the file system has none."""

    def acquire(self, *arguments: Any, **options: Any) -> Any:
        """As `FileLock.acquire`."""
        try:
            return super().acquire(*arguments, **options)
        except Timeout:
            raise
        except OSError as error:
            raise UserError(
                f"{self.lock_file} can't be locked ({error.strerror}): without locks two commands could write the same "
                "results. Choose a place on this machine's disk with --results, or mount that file system with locks."
            ) from error


def write_file(path: Path, content: str | bytes, durable: bool = True) -> None:
    """Write a file under a temporary name and rename it: readers see the old one or the new one, never a part.

    durable: on the disk, not only in memory, before it takes its name. `UserError` where it can't be written; then the
    old file is still there and the temporary one is not.
    """
    make_folder(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise UserError(
            f"{path} can't be written ({error.strerror}); make room, mend its rights or choose another place, and run "
            "again: what was finished before is kept."
        ) from error
    finally:
        with suppress(OSError):  # what stopped the writing, such as a name too long, is told already
            partial.unlink(missing_ok=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all, as `write_file` writes one; for files of any size."""
    make_folder(target.parent)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.copyfile(source, partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:
        raise UserError(
            f"{source} can't be copied to {target} ({error.strerror}); make room, or mend rights."
        ) from error
    finally:
        with suppress(OSError):  # what stopped the writing, such as a name too long, is told already
            partial.unlink(missing_ok=True)


CHECKSUM = b',\n "sha256": "'  # before the last entry of a checked file


def write_checked(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object, not empty, and as its last entry `sha256`, of all bytes before it: one flipped bit shows."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode().removesuffix(b"\n}")
    write_file(path, text + CHECKSUM + hashlib.sha256(text).hexdigest().encode() + b'"\n}\n')


def read_checked(path: Path) -> tuple[bytes, bool]:
    """The JSON that `write_checked` wrote, without its checksum, and whether it had one; of others all bytes, and no.

    Raises `ValueError` where the checksum is not that of the content.
    """
    data = path.read_bytes()
    text, checksum, end = data.rpartition(CHECKSUM)
    if not checksum:
        return data, False
    if end != hashlib.sha256(text).hexdigest().encode() + b'"\n}\n':
        raise ValueError("its checksum is not that of its content")
    return text + b"\n}\n", True


def inert(text: str) -> str:
    """Text for a cell of a CSV that a spreadsheet shows and never runs: `=cmd` becomes `'=cmd`, a number stays.

    A name comes from whoever wrote the record. Spreadsheets take text that begins with one of = + - @ for a formula,
    quoted or not, and an apostrophe before it for "this is text".
    """
    plain = text.replace("\r", " ")  # which some readers take for the row's end
    return f"'{plain}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else plain
