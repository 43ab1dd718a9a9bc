"""A command that is told to stop, by Ctrl-C, a scheduler's SIGTERM or a lost terminal's SIGHUP, ends in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Stopped(KeyboardInterrupt):
    """One of `SIGNALS` came. It is treated as Ctrl-C, but for the word for it and the exit status."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Within the block `SIGNALS` raise `Stopped` in the main thread; one that is ignored, as by nohup, stays so."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    mine = threading.current_thread() is threading.main_thread()
    before = {each: signal.getsignal(each) for each in SIGNALS if mine and signal.getsignal(each) is signal.SIG_DFL}
    for each in before:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def told(stop: KeyboardInterrupt) -> tuple[str, int]:
    """What to say of it, and the exit status: 128 and the signal's number, as shells count."""
    if isinstance(stop, Stopped):
        return f"Stopped by {signal.Signals(stop.number).name}.", 128 + stop.number
    return "Interrupted.", 128 + signal.SIGINT
