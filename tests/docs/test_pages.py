"""Every block that a page shows is run as a reader would run it; a page is one test."""

from pathlib import Path

import pytest

from tests.docs.blocks import SHELLS, blocks, is_slow
from tests.docs.running import place, run_blocks
from tests.helpers import ROOT

PAGES = [
    ROOT / "README.md",
    *(path for folder in ("docs", "metrics", "datasets") for path in sorted((ROOT / folder).rglob("*.md"))),
]
SLOW = (pytest.mark.slow, pytest.mark.timeout(3600))
COMMANDS = {  # what README promises to do, and the command that does it
    "a benchmark over seeds": "disentangle-bench run",
    "a leaderboard": "disentangle-bench leaderboard",
    "a dataset": "disentangle-bench datasets",
    "a model of one's own": "--plugin",
    "a plugin's check": "disentangle-bench check",
}


def case(path: Path) -> object:
    """A page as a case, which is slow where the page says so."""
    slow = is_slow(path.read_text(encoding="utf-8"))
    return pytest.param(path, id=str(path.relative_to(ROOT)), marks=SLOW if slow else ())


@pytest.mark.parametrize("path", [case(path) for path in PAGES])
def test_a_pages_blocks_run(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    found = blocks(path.read_text(encoding="utf-8"))
    if any(block.runs for block in found):
        page, environment = place(tmp_path, request.getfixturevalue("data_root"))
        run_blocks(found, str(path.relative_to(ROOT)), page, environment)


def run_in_readme(*languages: str) -> str:
    """All that README's blocks in these languages run."""
    found = blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    return "".join(block.text for block in found if block.runs and block.language in languages)


@pytest.mark.parametrize("use", COMMANDS)
def test_the_readme_shows_each_use_in_a_block_that_is_run(use: str) -> None:
    assert COMMANDS[use] in run_in_readme(*SHELLS)


def test_the_readme_shows_how_to_score_codes_in_a_block_that_is_run() -> None:
    assert "from disentangle_bench.metrics import" in run_in_readme("python")
