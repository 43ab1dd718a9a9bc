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
