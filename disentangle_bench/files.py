"""Files written whole or not at all, and a sentence where the disk or its rights don't allow it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from disentangle_bench.errors import UserError

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a formula begins


def harmless(cell: Any) -> Any:
    """A cell of a CSV, with an apostrophe before text that a spreadsheet would take for a formula, and run.

    Numbers, also those that are written as text, stay as they are. A carriage return, which some readers take for the
    row's end, becomes a space.
    """
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r", " ")
    try:
        float(text)
    except ValueError:
        return f"'{text}" if cell[:1] in FORMULA else text
    return text


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
