"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from disentangle_bench import datasets, registry
from disentangle_bench.errors import UserError

WHAT, WHERE = "What to train and score", "Where and how to run"  # panels of --help

Results = Annotated[Path | None, typer.Option("--results", help="Where results are (default: ./results).")]
Data = Annotated[Path | None, typer.Option("--data-root", help="Prepared datasets (default: ./datasets).")]
OldCsv = Annotated[Path | None, typer.Option("--csv", hidden=True, help="What --out was called.")]
OldOutput = Annotated[Path | None, typer.Option("--output", hidden=True, help="What --out was called.")]
Plugins = Annotated[list[str], typer.Option("--plugin", help="A .py file or module with your own models or metrics.")]


def workspace(results: Path | None, data: Path | None, plugins: list[str]) -> Any:
    """Where things are; loads the plugins, so that their names are known from here on."""
    from disentangle_bench.trials.records import Workspace, results_root

    for plugin in plugins:
        registry.load_plugin(plugin)
    return Workspace(results_root(results), datasets.data_root(data), tuple(plugins))


def pack_size(text: str) -> int | Literal["auto"]:
    """The value of --pack."""
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--pack {text}: give a number of trials from 1 up, or auto.")
    return int(text)


def split_names(text: str | None) -> list[str]:
    """The names in an option that takes several, by commas; a swept model has commas of its own within brackets."""
    names = (name.strip() for name in re.split(r",(?![^(]*\))", text or ""))
    return list(dict.fromkeys(name for name in names if name))


def load_plugins(plugins: list[str]) -> None:
    """Make what the plugins define known by name."""
    for plugin in plugins:
        registry.load_plugin(plugin)


def listing(plugins: list[str], *columns: str) -> Table:
    """An empty table, after loading the plugins."""
    load_plugins(plugins)
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
