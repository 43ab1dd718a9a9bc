"""Every preset: its name, what it is, and the file."""

from __future__ import annotations

from pathlib import Path

import yaml

from disentangle_bench.studies.config import PRESETS

from .markdown import block, table

HEAD = """# Presets

A preset is a study file that comes with the package: `disentangle-bench run NAME` trains it, and `--set` changes any of
its fields. A comment at its head names the paper, and the numbers that it is meant to meet."""


def page() -> str:
    """The whole page."""
    files = sorted(PRESETS.glob("*.yaml"))
    rows = [(f"[{file.stem}](#{file.stem})", description(file)) for file in files]
    return "\n\n".join([HEAD, table(["preset", "what it is"], rows), *map(section, files)]) + "\n"


def description(file: Path) -> str:
    """What the preset says of itself."""
    return str(yaml.safe_load(file.read_text(encoding="utf-8"))["description"])


def section(file: Path) -> str:
    """A preset."""
    return "\n\n".join([f"## {file.stem}", description(file), block(file.read_text(encoding="utf-8"), "yaml")])
