"""How the blocks of a page are run: in one folder, with `disentangle-bench` on the PATH and data beside it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path, PurePath

from tests.docs.blocks import Block, Malformed, commands
from tests.helpers import ROOT

OWN = ("DISENTANGLE_BENCH_DATA", "DISENTANGLE_BENCH_RESULTS", "DISENTANGLE_BENCH_INCEPTION", "DISENTANGLEMENT_LIB_DATA")
ARGUMENTS = "DISENTANGLE_BENCH_DOCS_ARGUMENTS"  # what a marker appends to each disentangle-bench command


class Failed(AssertionError):
    """A block that did not end as the page says."""


def place(folder: Path, data: Path | None = None) -> tuple[Path, dict[str, str]]:
    """A new page's folder and environment. data: a data root whose prepared files the page finds as its own.

    What a page prepares itself stays in its folder.
    """
    page, programs = folder / "page", folder / "bin"
    (page / "datasets").mkdir(parents=True)
    for file in data.glob("*.h5") if data else ():
        (page / "datasets" / file.name).symlink_to(file)
    programs.mkdir()
    program = programs / "disentangle-bench"
    words = shlex.join([sys.executable, "-m", "disentangle_bench"])
    program.write_text(f'#!/bin/sh\neval \'exec {words} "$@"\' "${ARGUMENTS}"\n')
    program.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key not in OWN}
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), environment["PATH"]])
    return page, environment | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}


def run_blocks(found: list[Block], name: str, page: Path, environment: dict[str, str]) -> None:
    """Write and run the blocks of the page called `name`, in order; `Failed` with the first that goes wrong."""
    for block in found:
        if block.file:
            write_file(block, page)
        elif block.runs:
            run_block(block, name, page, environment)


def write_file(block: Block, page: Path) -> None:
    """The file that a block shows."""
    if PurePath(block.file).is_absolute() or ".." in PurePath(block.file).parts:
        raise Malformed(f"line {block.line}: '{block.file}' lies outside the page's folder")
    path = page / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")


def run_block(block: Block, name: str, page: Path, environment: dict[str, str]) -> None:
    """Run a block; `Failed`, with its output, where it ends with another status than it should."""
    script = "\n".join(commands(block.text)) if block.language == "console" else block.text
    shell = ["bash", "-e", "-o", "pipefail", "-c", script]
    words = [sys.executable, "-c", script] if block.language == "python" else shell
    status, output = ended(words, page, environment | {ARGUMENTS: block.arguments})
    if status != block.status:
        raise Failed(
            f"{name}, line {block.line}: status {status}, expected {block.status}\n{script}\n-- it printed --\n{output}"
        )


def ended(words: list[str], page: Path, environment: dict[str, str]) -> tuple[int, str]:
    """The status and output of a command; whatever it started ends with it where this is interrupted."""
    with subprocess.Popen(
        words,
        cwd=page,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output
