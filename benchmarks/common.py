"""What the benchmark scripts share: the machine in one line, timing, worker processes, tables and JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 110  # of a table where there is no terminal to ask


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser that shows the script's docstring and takes `--json`."""
    result = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--json", type=Path, metavar="PATH", help="write the numbers here too")
    return result


def require_device(arguments: argparse.ArgumentParser, device: str) -> None:
    """End with a sentence where the device that was asked for isn't there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        arguments.error("--device is cuda, but torch sees no CUDA device here; say --device cpu.")


def positive(text: str) -> int:
    """A whole number from 1 up, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def machine(*packages: str, **more: str) -> dict[str, Any]:
    """What the timings depend on: the processor, how busy it was at the start, and these packages' versions."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        **more,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def print_header(facts: Mapping[str, Any]) -> None:
    """The machine as one comment line, before anything is measured."""
    print("# " + ", ".join(f"{key} {value}" for key, value in facts.items()), flush=True)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> None:
    """A table of text cells; the first `words` columns are aligned left, numbers right."""
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < words else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table)


def write_json(path: Path | None, facts: Mapping[str, Any], **content: Any) -> None:
    """The machine and the numbers as JSON, unless `path` is None."""
    if path is not None:
        path.write_text(json.dumps({"machine": facts, **content}, indent=2) + "\n")


def seconds(work: Callable[[], object]) -> float:
    """The wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fastest(work: Callable[[], object], repeats: int) -> float:
    """The least wall-clock seconds of `repeats` calls."""
    return min(seconds(work) for _ in range(repeats))


class Worker:
    """A fresh process that measures when asked, so that one variant's threads and memory don't touch another's.

    make: builds, in that process, the function of one number that is called for each request.
    """

    def __init__(self, make: Callable[..., Callable[[Any], Any]], *arguments: Any, limit: float | None = None) -> None:
        """limit: seconds to wait until the function is made."""
        context = get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, make, arguments), daemon=True)
        self.process.start()
        other.close()
        self.answer(limit)  # ready

    def ask(self, value: Any) -> None:
        """Start one measurement."""
        self.pipe.send(value)

    def answer(self, limit: float | None = None) -> Any:
        """Wait for its result, at most `limit` seconds; `RuntimeError` where the process failed or gave none."""
        if not self.pipe.poll(limit):
            self.kill()
            raise RuntimeError(f"a measuring process gave no answer in {limit:.0f} s")
        try:
            failed, result = self.pipe.recv()
        except EOFError:
            raise RuntimeError("a measuring process died") from None
        if failed:
            raise RuntimeError(f"a measuring process failed: {result}")
        return result

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        self.process.kill()
        self.process.join()

    def close(self) -> None:
        """End the process when it has done what it was asked for."""
        self.pipe.close()
        self.process.join()


def serve(pipe: Connection, make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    """A worker's life: build, then answer until the pipe is closed."""
    try:
        measure = make(*arguments)
        pipe.send((False, None))
        while True:
            pipe.send((False, measure(pipe.recv())))
    except EOFError:
        pass
    except Exception as error:
        pipe.send((True, f"{type(error).__name__}: {error}"))
        raise


def ask_together(workers: Sequence[Worker], value: float) -> list[Any]:
    """One measurement in all of these processes at once."""
    for worker in workers:
        worker.ask(value)
    return [worker.answer() for worker in workers]
