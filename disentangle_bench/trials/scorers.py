"""Processes that score trained trials while the one that trains goes on, so that no scoring holds a device.

A trial is handed over by its record, which lacks the scores, and its stored codes: what a process does is what the same
command would do when it is run again. So nothing is lost where one is killed, and the scores are the same bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from disentangle_bench.errors import UserError
from disentangle_bench.trials.pending import Scoring, TrialOptions
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec
from disentangle_bench.trials.trial import run_trial


def free_cores(threads: int) -> int:
    """The cores that this process may use and a trial of so many threads leaves free."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, usable - threads)


class Scorers:
    """At most `count` processes at a time, a trial each; leaving the block ends those that are still at work."""

    def __init__(self, count: int, workspace: Workspace, options: TrialOptions) -> None:
        self.workspace, self.options = workspace, options
        self.waiters = ThreadPoolExecutor(count)  # each waits for a process
        self.futures: list[Future[list[str]]] = []
        self.lock, self.closed = threading.Lock(), False
        self.running: set[subprocess.Popen[str]] = set()

    def __enter__(self) -> Scorers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.lock:
            self.closed = True
            for process in self.running:
                process.kill()
        self.waiters.shutdown(cancel_futures=True)

    def submit(self, trial: TrialSpec) -> None:
        """Have a trained trial scored."""
        self.futures.append(self.waiters.submit(self.score, trial))

    def wait(self) -> list[str]:
        """Wait until all are scored; the sentences of those that are not, whose records keep what they have."""
        return [mistake for future in self.futures for mistake in future.result()]

    def score(self, trial: TrialSpec) -> list[str]:
        """Score one trial in a process of its own."""
        asked = {
            "trial": trial.model_dump(mode="json"),
            "results": str(self.workspace.results.absolute()),
            "data": str(self.workspace.data.absolute()),
            "plugins": list(self.workspace.plugin_paths()),
            "metrics": self.options.scoring.metrics,
            "repeats": self.options.scoring.repeats,
            "retries": self.options.retries,
        }
        with self.lock:
            if self.closed:
                return []
            process = subprocess.Popen(
                [sys.executable, "-m", "disentangle_bench.trials.scorers"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                start_new_session=True,  # Ctrl-C is for the process that trains, which ends this one
            )  # fmt: skip
            self.running.add(process)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps(asked) + "\n")
                process.stdin.flush()  # and stays open: where it ends, the process that trains is gone
                said = process.stdout.read()
            except BrokenPipeError:
                said = ""
            status = process.wait()
        finally:
            with self.lock:
                self.running.discard(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        if status and not self.closed:
            return [f"{trial.title}: the process that scored it ended with status {status}; run the study again."]
        return json.loads(said) if said else []


def end_with_parent() -> None:
    """End this process when its parent is gone, however it ended."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def read_line() -> dict[str, Any]:
    """What is asked: a line of stdin, read without a buffer that would keep more."""
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(sys.stdin.fileno(), 1 << 16)
        if not read:
            os._exit(1)
        line += read
    asked: dict[str, Any] = json.loads(line)
    return asked


def main() -> None:
    """Score the trial that stdin names; say on stdout, as JSON, what only the user can mend."""
    asked = read_line()
    end_with_parent()
    workspace = Workspace(Path(asked["results"]), Path(asked["data"]), tuple(asked["plugins"]))
    options = TrialOptions(Scoring(asked["metrics"], asked["repeats"]), retries=asked["retries"])
    trial = TrialSpec.model_validate(asked["trial"])
    mistakes = []
    try:
        run_trial(trial, workspace, options)
    except UserError as error:
        mistakes.append(f"{trial.title}: {error}")
    sys.stdout.write(json.dumps(mistakes))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
