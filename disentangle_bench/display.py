"""How things are shown to people: consoles that keep to 100 columns, durations, a progress bar."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from disentangle_bench.contracts import Progress as ProgressFunction

LINE_SECONDS = 30.0
LONGEST = 20  # a longer word is folded, too
NARROWEST = 12  # a column of words is folded to this width before another column is left out
LOUDNESS = {"level": 0}  # -1 with --quiet, 1 with --verbose; of this process


def quiet() -> bool:
    """Whether the user wants results and mistakes alone: no progress, no notes."""
    return LOUDNESS["level"] < 0


def verbose() -> bool:
    """Whether the user wants everything written out."""
    return LOUDNESS["level"] > 0


def note(text: str) -> None:
    """Say on stderr what a person should know, and a script need not."""
    if not quiet():
        sys.stderr.write(f"Note: {text}\n")


def fitted(table: Table, *droppable: str) -> Table:
    """The table without as many of the `droppable` columns, the first ones first, as it takes to fit the console.

    Names and numbers, the columns that are `no_wrap` or justified to the right, keep their whole width; a column of
    words is folded, to `NARROWEST` characters at least, and to its longest word unless that is longer than `LONGEST`.
    """
    out = console()
    for title in droppable:
        if sum(needed(column, out) + 3 for column in table.columns) + 1 <= out.width:
            break
        table.columns = [column for column in table.columns if column.header != title]
    spare = max(0, out.width - sum(needed(column, out) + 3 for column in table.columns) - 1)
    words = [column for column in table.columns if not is_whole(column)]
    for left, column in zip(range(len(words), 0, -1), words, strict=True):  # widths of our own: rich's may exceed all
        more = min(spare // left, widest(column, out) - needed(column, out))
        column.width = needed(column, out) + more
        spare -= more
    for column in table.columns:
        column.no_wrap, column.min_width = is_whole(column), needed(column, out)
    return table


def is_whole(column: Column) -> bool:
    """Whether a column holds names or numbers, which mustn't be cut."""
    return column.no_wrap or column.justify == "right"


def widest(column: Column, out: Console) -> int:
    """The characters that a column takes where nothing is folded."""
    return max(Measurement.get(out, out.options, cell).maximum for cell in (column.header, *column.cells))


def needed(column: Column, out: Console) -> int:
    """The characters that a column takes at least."""
    word = max(Measurement.get(out, out.options, cell).minimum for cell in (column.header, *column.cells))
    whole = widest(column, out)
    return whole if is_whole(column) else max(min(whole, NARROWEST), min(word, LONGEST))


def console(stderr: bool = False) -> Console:
    """A console that keeps tables within 100 columns where there is no terminal to ask."""
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream is not None and stream.isatty()
    return Console(stderr=stderr, highlight=False, soft_wrap=not terminal, width=None if terminal else 100)


def live(out: Console) -> bool:
    """Whether what stands there can be drawn over: not in a pipe, a file, or a dumb terminal."""
    return out.is_terminal and not out.is_dumb_terminal


def duration(seconds: float) -> str:
    """Seconds as people write them: 45 s, 12 min 05 s, 3 h 07 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: int) -> str:
    """Bytes as people write them: 4 kB, 1.4 MB, 377 MB, 12.7 GB."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            digits = 1 if count < 10 * factor or unit == "GB" else 0
            return f"{count / factor:.{digits}f} {unit}"
    return f"{count} B"


class Bar:
    """A progress bar on stderr for one task; in a file or a pipe, a line now and then."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.begun = self.told = time.monotonic()
        self.progress: Progress | None = None

    def __enter__(self) -> ProgressFunction:
        return self.update

    def update(self, done: int, total: int) -> None:
        """Draw the bar; a `Progress` function, with a total of 0 where that is unknown.

        Without a terminal, a line every half minute.
        """
        if quiet():
            return
        if not live(console(stderr=True)):
            now = time.monotonic()
            if now - self.told >= LINE_SECONDS:
                self.told = now
                share = done / total if total else 0.0
                left = f", {duration((now - self.begun) * (1 - share) / share)} left" if share else ""
                of_all = f" of {total:,}" if total else ""
                sys.stderr.write(f"{self.title}: {done:,}{of_all}{left}\n")
            return
        if self.progress is None:
            self.progress = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                console=console(stderr=True), transient=True,
            )  # fmt: skip
            self.task = self.progress.add_task(self.title, total=total or None)
            self.progress.start()
        self.progress.update(self.task, completed=done, total=total or None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.progress is not None:
            self.progress.stop()
