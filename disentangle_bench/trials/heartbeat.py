"""What a running trial tells the outside: a small file that is rewritten about once a second."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from disentangle_bench.files import write_file

SECONDS_BETWEEN = 1.0


@dataclass
class Beat:
    """A trial's state as of `time`. unit: what `done` and `total` count; rate: units a second in this phase."""

    phase: str
    done: int
    total: int
    rate: float
    time: float
    unit: str = "steps"
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float | None:
        """Time left in this phase, as far as the rate tells."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


class Heartbeat:
    """Writes a trial's `progress.json`; a reader sees a whole file or none."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "progress.json"
        self.scores: dict[str, float] = {}
        self.last = 0.0
        self.begin("starting", 0)

    def begin(self, phase: str, total: int, unit: str = "steps", done: int = 0) -> None:
        """Enter a phase, with `done` of `total` units behind it."""
        self.phase, self.total, self.unit = phase, total, unit
        self.first_done, self.started = done, time.monotonic()
        self.beat(done, force=True)

    def beat(self, done: int, force: bool = False) -> None:
        """Say how far the phase is, unless that was said a moment ago."""
        now = time.monotonic()
        if not force and now - self.last < SECONDS_BETWEEN:
            return
        self.last = now
        elapsed = now - self.started
        rate = (done - self.first_done) / elapsed if elapsed > 0 else 0.0
        beat = Beat(self.phase, done, self.total, rate, time.time(), self.unit, self.scores)
        write_file(self.path, json.dumps(asdict(beat)), durable=False)

    def end(self) -> None:
        """The trial no longer runs."""
        self.path.unlink(missing_ok=True)


def read_beat(folder: Path) -> Beat | None:
    """A trial's last heartbeat, if it is running or was killed."""
    try:
        return Beat(**json.loads((folder / "progress.json").read_text()))
    except (OSError, ValueError, TypeError, RecursionError):  # none yet, or not one of ours
        return None
