"""What a person sees while trials run: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.live import Live
from rich.table import Table

from disentangle_bench import registry
from disentangle_bench.display import console, duration, fitted, live, quiet
from disentangle_bench.errors import UserError
from disentangle_bench.trials.heartbeat import Beat, read_beat
from disentangle_bench.trials.pending import Metrics
from disentangle_bench.trials.records import Record, Workspace, read_record
from disentangle_bench.trials.spec import TrialSpec

LINE_SECONDS = 15.0  # between two plain lines about one trial


def describe(beat: Beat) -> tuple[str, str, str, str]:
    """A heartbeat in words: phase and progress, rate, time left, last scores; "" for what is not known yet."""
    progress = f"{beat.phase} {beat.done:,}/{beat.total:,}" if beat.total else beat.phase
    rate = f"{beat.rate:,.1f} {beat.unit}/s" if beat.rate else ""
    left = "" if beat.seconds_left is None else f"{duration(beat.seconds_left)} left"
    scores = "  ".join(f"{name} {value:.3f}" for name, value in list(beat.scores.items())[:2])
    return progress, rate, left, scores


def sentence(beat: Beat) -> str:
    """A heartbeat as one line."""
    return ", ".join(part for part in describe(beat) if part)


class Watch:
    """Shows the trials of a run from their heartbeats, from a thread, until the block ends."""

    def __init__(self, trials: list[TrialSpec], workspace: Workspace, metrics: Metrics) -> None:
        self.trials, self.workspace = trials, workspace
        self.metrics = set(metrics)
        self.shown = [(metric, protocols[0]) for metric, protocols in metrics.items()]
        self.console = console()
        self.stop = threading.Event()
        self.started = time.time()
        self.done: set[str] = set()
        self.last_line: dict[str, tuple[float, str]] = {}
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join()

    def run(self) -> None:
        """Look at the heartbeats once a second."""
        if quiet():
            return
        if live(self.console):
            with Live(console=self.console, refresh_per_second=2, transient=True) as shown:
                while not self.stop.wait(1.0):
                    shown.update(self.table())
                self.report_finished()
            return
        while not self.stop.wait(1.0):
            self.lines()
        self.report_finished()

    def beats(self) -> list[tuple[TrialSpec, Beat]]:
        """The trials at work, with their newest heartbeat of this run."""
        found = []
        for trial in self.trials:
            if trial.id not in self.done:
                beat = read_beat(self.workspace.trial(trial.id))
                if beat is not None and beat.time >= self.started - 1:
                    found.append((trial, beat))
        return found

    def report_finished(self) -> None:
        """A line for each trial that came to its record since the last look."""
        for trial in self.trials:
            path = self.workspace.record(trial.id)
            if trial.id in self.done or not path.exists() or path.stat().st_mtime < self.started - 1:
                continue
            try:
                record = read_record(path)
            except UserError as error:  # the run itself will end with this sentence; the display goes on
                self.done.add(trial.id)
                self.console.print(str(error), markup=False)
                continue
            if record.status == "finished" and not self.metrics <= set(record.scores):
                continue  # trained, and still to be scored by another process
            self.done.add(trial.id)
            if record.status == "finished":
                outcome = f"finished: {self.scores(record)}"
            else:
                outcome = f"{record.status}: {record.cause}"
            self.console.print(f"[{len(self.done)}/{len(self.trials)}] {trial.title} {outcome}", markup=False)

    def scores(self, record: Record) -> str:
        """The first score of each metric, or why there is none."""
        found, reasons = [], []
        for metric, protocol in self.shown:
            result = record.scores.get(metric, {}).get(protocol, {})
            key = next((key for key in registry.get("metric", metric).keys if key in result), None)
            if key is not None:
                name = f"{metric}/{protocol}" + ("" if key == "score" else f" {key}")
                found.append(f"{name} {result[key]:.3f}")
            elif "skip" in result:
                reasons.append(f"{metric} skipped ({result['skip']})")
        return ", ".join(found or reasons) or "nothing to score"

    def table(self) -> Table:
        """The trials at work, for a terminal."""
        self.report_finished()
        elapsed, done, total = time.time() - self.started, len(self.done), len(self.trials)
        left = f", about {duration(elapsed / done * (total - done))} left" if done else ""
        table = Table(title=f"{done} of {total} trials done in {duration(elapsed)}{left}", title_justify="left")
        for column in ("trial", "doing", "rate", "left", "last scores"):
            table.add_column(column)
        for trial, beat in self.beats():
            table.add_row(trial.title, *describe(beat))
        return fitted(table, "last scores", "rate")

    def lines(self) -> None:
        """A line a trial now and then, for logs and pipes."""
        self.report_finished()
        for trial, beat in self.beats():
            when, phase = self.last_line.get(trial.id, (0.0, ""))
            if beat.phase != phase or time.monotonic() - when >= LINE_SECONDS:
                self.last_line[trial.id] = (time.monotonic(), beat.phase)
                self.console.print(f"{trial.title}: {sentence(beat)}", markup=False)
