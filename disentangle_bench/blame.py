"""Whose code an error comes from: the frames of its traceback that lie in a plugin's own files."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path
from traceback import FrameSummary

OURS = Path(__file__).resolve().parent
INSTALLED = ("site-packages", "dist-packages")  # where what lies beside a plugin's file is not the plugin's
LONGEST = 200  # characters of an error's message in a sentence
SHOWN = 3  # of a plugin's frames, the last ones


def own_frames(error: BaseException, files: Iterable[Path]) -> list[FrameSummary]:
    """The frames of an error that lie in one of these files, or in a file beside one, the outermost first.

    Where it has none, those of the error that led to it. Of a file that is no Python, the line at fault.
    """
    known = list(files)
    current: BaseException | None = error
    while current is not None:
        frames = [frame for frame in frames_of(current) if any(belongs(frame.filename, file) for file in known)]
        if frames:
            return frames
        current = current.__cause__ or current.__context__
    return []


def frames_of(error: BaseException) -> list[FrameSummary]:
    """All frames of an error, the outermost first; a `SyntaxError`'s last is the line that it is about."""
    frames = list(traceback.extract_tb(error.__traceback__))
    if isinstance(error, SyntaxError) and error.filename:
        frames.append(FrameSummary(error.filename, error.lineno, "<module>", line=(error.text or "").strip()))
    return frames


def belongs(name: str, file: Path) -> bool:
    """Whether a frame's file is a plugin's file, or one beside it; of a package's `__init__.py`, or one below it."""
    if name.startswith("<"):  # of Python itself
        return False
    path = Path(name).resolve()
    below = file.parent in path.parents if file.name == "__init__.py" else path.parent == file.parent
    return path == file or (below and path.parent.name not in INSTALLED)


def is_ours(frame: FrameSummary) -> bool:
    """Whether a frame lies in this package."""
    return OURS in Path(frame.filename).resolve().parents


def shown(path: str | Path) -> str:
    """A path as people write it where they are: relative where it lies below."""
    here, path = Path.cwd(), Path(path)
    return str(path.relative_to(here) if here in path.parents else path)


def place(frame: FrameSummary) -> str:
    """Where a frame is: `my_model.py:29`."""
    return f"{shown(frame.filename)}:{frame.lineno}"


def written(frames: list[FrameSummary]) -> str:
    """The last of these frames, as Python writes them, each from a new line on."""
    lines = [
        f'\n  File "{shown(frame.filename)}", line {frame.lineno}, in {frame.name}\n    {frame.line}'
        for frame in frames[-SHOWN:]
    ]
    return "".join(lines)


def said(error: BaseException) -> str:
    """An error's type and what it says, in one line that is not too long."""
    words = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    cut = words if len(words) <= LONGEST else words[:LONGEST] + "…"
    return f"{type(error).__name__}: {cut}" if cut else type(error).__name__
