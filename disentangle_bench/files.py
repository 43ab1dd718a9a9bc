"""Files written whole or not at all, and a sentence where the disk or its rights don't allow it."""

from __future__ import annotations

import os
import re
from pathlib import Path

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
        partial.unlink(missing_ok=True)


def inert(text: str) -> str:
    """Text for a cell of a CSV that a spreadsheet shows and never runs: `=cmd` becomes `'=cmd`, a number stays.

    A name comes from whoever wrote the record. Spreadsheets take text that begins with one of = + - @ for a formula,
    quoted or not, and an apostrophe before it for "this is text".
    """
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text
