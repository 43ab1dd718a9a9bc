"""Whole commands, as a user types them, measured from outside: by what they write, and by what the system says of them.

A study here is short trials of `ib-gan`, small, on a part of dSprites at 32 × 32, unless its arguments say otherwise.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from disentangle_bench.trials.heartbeat import read_beat

PART = Path(__file__).with_name("part.py")
STUDY = ("--models", "ib-gan", "--dataset", "dsprites-32-part", "--set", "metrics={factor-vae: [robust]}")
FULL = ("--models", "ib-gan", "--dataset", "dsprites", "--set", "numerics.device=cpu", "--seeds", "0", "--name", "full")
TIMEOUT = 900.0
KEPT = "dsprites.h5"  # the file that all trials map


@dataclass(frozen=True)
class Times:
    """Seconds from a command's start until each of its trials was recorded, ascending, and until its end."""

    recorded: list[float]
    end: float

    def rate(self, workers: int) -> float:
        """Trials a second from when each worker has finished one until the last, so without any start."""
        return (len(self.recorded) - workers) / (self.recorded[-1] - self.recorded[workers - 1])


def run_study(trials: int, steps: int, *arguments: str) -> Times:
    """Run a study of so many seeds in a folder of its own; `RuntimeError` where it fails."""
    settings = ("--seeds", f"0-{trials - 1}", "--set", f"steps={steps}", "--set", "repeats=1", "--name", "short")
    with tempfile.TemporaryDirectory() as folder:
        words = [*STUDY, "--plugin", str(PART), "--data-root", folder, *settings, *arguments]
        start = time.time()
        with running(Path(folder), words) as process:
            process.wait(TIMEOUT)
            end = time.time() - start
            records = Path(folder).glob("results/runs/*/record.json")
            recorded = sorted(path.stat().st_mtime - start for path in records)
            if process.returncode or len(recorded) != trials:
                raise RuntimeError(f"{' '.join(words)}: exit status {process.returncode}, {len(recorded)} records")
    return Times(recorded, end)


def first_step(data_root: Path, *arguments: str) -> float:
    """Seconds from a command's start to the end of the first step of a published trial, which is then interrupted."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.time()

        def look() -> float | None:
            for trial in Path(folder).glob("results/runs/*"):
                beat = read_beat(trial)
                if beat is not None and beat.phase == "train" and beat.done:
                    return beat.time - (beat.done - 1) / beat.rate - start  # the heartbeat comes once a second
            return None

        with running(Path(folder), [*FULL, "--data-root", str(data_root), *arguments]) as process:
            return wait_for(look, process, pause=0.05)


def peak_memory(data_root: Path, steps: int) -> float:
    """Peak resident bytes of a published trial, training to scores, without the pages of the dataset's map."""
    metrics = "metrics={factor-vae: [ib-gan, robust], beta-vae: [robust], dci: [ib-gan]}"
    settings = ["--set", f"steps={steps}", "--set", "repeats=1", "--set", metrics]
    peak = 0
    with tempfile.TemporaryDirectory() as folder:

        def look() -> float | None:
            nonlocal peak
            peak = max(peak, resident_without_map(process.pid))
            return peak if list(Path(folder).glob("results/runs/*/record.json")) else None

        with running(Path(folder), [*FULL, "--local", "--data-root", str(data_root), *settings]) as process:
            return wait_for(look, process, pause=0.3)  # reading the maps of a process halts it for a moment


def resident_without_map(pid: int) -> int:
    """Resident bytes of a process but for the pages of the prepared dataset."""
    total, kept = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line.startswith("Rss:"):
            total += 0 if kept else 1024 * int(line.split()[1])
        elif not line.split()[0].endswith(":"):  # a mapping's first line, which ends with its file
            kept = line.endswith(KEPT)
    return total


@contextmanager
def running(folder: Path, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """`disentangle-bench run ARGUMENTS` with its results in `folder`; what still runs at the end is interrupted."""
    words = [sys.executable, "-m", "disentangle_bench", "run", *arguments, "--results", str(folder / "results")]
    said = folder / "stderr"
    with said.open("wb") as errors:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)
    try:
        yield process
    except RuntimeError as error:
        error.add_note(said.read_text())
        raise
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # the command stops its own workers
            process.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(look: Callable[[], float | None], process: subprocess.Popen[bytes], pause: float) -> float:
    """What `look` finds at last; `RuntimeError` where the command ends or time runs out before."""
    start = time.monotonic()
    while time.monotonic() - start < TIMEOUT:
        found = look()
        if found is not None:
            return found
        if process.poll() is not None:
            break
        time.sleep(pause)
    raise RuntimeError(f"{process.args}: nothing to measure came; exit status {process.poll()}")
