"""Places in the checkout that tests read, and how they run the command line as a user would."""

import contextlib
import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from disentangle_bench import registry
from disentangle_bench.cli.app import main

TESTS = Path(__file__).parent
ROOT = TESTS.parent
MINI_RECORDS = ROOT / "results" / "mini" / "records"
PLUGINS = tuple(str(TESTS / "plugins" / name) for name in ("tiny.py", "faulty.py", "turns.py"))

Done = subprocess.CompletedProcess[str]


def command_line(folder: Path, *arguments: str, plugins: bool = True) -> list[str]:
    """The words of a command on the workspace in `folder`."""
    words = [sys.executable, "-m", "disentangle_bench", *arguments]
    return words + [word for plugin in PLUGINS if plugins for word in ("--plugin", plugin)]


def environment(folder: Path) -> dict[str, str]:
    """The environment of such a command."""
    return os.environ | {"DISENTANGLE_BENCH_RESULTS": str(folder / "results"), "FAULTY_MARK": str(folder / "mark")}


def run_command(folder: Path, *arguments: str, plugins: bool = True, timeout: float = 300, **changes: str) -> Done:
    """`disentangle-bench ARGUMENTS` in a process of its own: for what is on Ray, killed, limited, or about a process.

    `changes` are to its environment.
    """
    return subprocess.run(
        command_line(folder, *arguments, plugins=plugins), capture_output=True, text=True, timeout=timeout,
        cwd=folder, env=environment(folder) | changes,
    )  # fmt: skip


def call_command(folder: Path, *arguments: str, plugins: bool = True, **changes: str) -> Done:
    """The same within this process, without the seconds that imports take; a fault's traceback is the test's own."""
    words = command_line(folder, *arguments, plugins=plugins)
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        no_plugins(),
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, environment(folder) | changes),
        mock.patch.object(sys, "argv", ["disentangle-bench", *words[3:]]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def on_terminal(folder: Path, *arguments: str, **changes: str) -> tuple[int, str]:
    """The status of such a process, and all that it writes, where it finds a terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command_line(folder, *arguments), stdout=slave, stderr=slave, cwd=folder, env=environment(folder) | changes
    )
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):  # the other end closed: the process is done
        while chunk := os.read(master, 65536):
            seen += chunk
    os.close(master)
    return process.wait(60), seen.decode()


@contextlib.contextmanager
def no_plugins() -> Iterator[None]:
    """The registry as a new process has it; what was registered is back afterwards."""
    with (
        mock.patch.object(registry, "_plugins", {kind: {} for kind in registry.KINDS}),
        mock.patch.object(registry, "_plugin_sources", {}),
    ):
        yield


def little(path: Path, name: str, *changes: tuple[str, str]) -> Path:
    """The plugin of `plugins/little.py` under this path, its model called `name`, with texts replaced."""
    source = (TESTS / "plugins" / "little.py").read_text()
    for old, new in (('"little"', f'"{name}"'), *changes):
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    path.write_text(source)
    return path


def line_with(path: Path, text: str) -> int:
    """The number of the one line of a file that holds this text."""
    [number] = [i for i, line in enumerate(path.read_text().splitlines(), start=1) if text in line]
    return number
