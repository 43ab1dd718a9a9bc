"""Places in the checkout that tests read, and how they run the command line as a user would."""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
MINI_RECORDS = ROOT / "results" / "mini" / "records"
PLUGINS = tuple(str(TESTS / "plugins" / name) for name in ("tiny.py", "faulty.py", "turns.py"))


def command_line(folder: Path, *arguments: str, plugins: bool = True) -> list[str]:
    """The words of a command on the workspace in `folder`."""
    words = [sys.executable, "-m", "disentangle_bench", *arguments]
    return words + [word for plugin in PLUGINS if plugins for word in ("--plugin", plugin)]


def environment(folder: Path) -> dict[str, str]:
    """The environment of such a command."""
    return os.environ | {"DISENTANGLE_BENCH_RESULTS": str(folder / "results"), "FAULTY_MARK": str(folder / "mark")}


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
