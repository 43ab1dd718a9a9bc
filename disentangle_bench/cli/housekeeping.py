"""`disentangle-bench merge` and `clean`: results of several machines in one folder, and what takes space there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.filesize import decimal
from rich.table import Table

from disentangle_bench.cli.options import Data, Plugins, Results, workspace
from disentangle_bench.display import Bar, console
from disentangle_bench.errors import UserError


def merge(
    others: Annotated[
        list[Path], typer.Argument(metavar="OTHER...", help="Results folders, or archives of records, to take from.")
    ],
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Bring results of other machines into this results folder: by trial id, nothing overwritten, conflicts named.

    Exit status: 0 all is here, 2 something was left out, and said.
    """
    from disentangle_bench.studies.merge import merge as bring

    place = workspace(results, data_root, plugin)
    with Bar("merging trials") as progress:
        merged = bring(others, place, progress)
    parts = [f"{counted(merged.taken)} taken", f"{len(merged.known)} here already"]
    if merged.completed:
        parts.append(f"{len(merged.completed)} completed with files that were missing")
    console().print(f"{', '.join(parts)}; results  {place.results}", markup=False, soft_wrap=True)
    for name in dict.fromkeys(merged.studies):
        console().print(f"study {name}: `disentangle-bench run {name}` goes on with it, `leaderboard {name}` shows it")
    for conflict in merged.conflicts:
        sys.stderr.write(f"Error: {conflict}\n")
    if merged.conflicts:
        raise typer.Exit(2)


def clean(
    name: Annotated[str | None, typer.Argument(metavar="STUDY", help="Its trials alone; left out: all trials.")] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Remove them: no more traverse, load_trial, ModelCentrality, FID.")
    ] = False,
    codes: Annotated[
        bool, typer.Option("--codes", help="Remove them: no metric can be added, nor UDR be made.")
    ] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Remove TensorBoard's and W&B's files.")] = False,
    leftovers: Annotated[
        bool, typer.Option("--leftovers", help="Remove temporary files of commands that were killed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, remove nothing.")] = False,
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Show what takes space; with options, remove that of ended trials. Records, curves and pictures stay."""
    from disentangle_bench.studies.space import REMOVABLE
    from disentangle_bench.studies.space import clean as remove

    place = workspace(results, data_root, plugin)
    wanted = dict(zip(REMOVABLE, (checkpoints, codes, logs, leftovers), strict=True))
    kinds = [kind for kind, asked in wanted.items() if asked]
    if kinds:
        freed = remove(place, name, kinds, dry_run)
        does = "would be removed" if dry_run else "removed"
        console().print(f"{freed.files} files {does}, {decimal(freed.bytes)}", markup=False)
        if freed.unfinished:
            console().print(f"{counted(freed.unfinished)} without a record: left as they are", markup=False)
        if freed.at_work:
            console().print(f"{counted(freed.at_work)} at work: left as they are", markup=False)
        return
    if dry_run:
        raise UserError("--dry-run: name what would be removed, such as --checkpoints.")
    show_usage(place, name)


def show_usage(place: Any, name: str | None) -> None:
    """A row a study: what its trials take, by kind."""
    from disentangle_bench.studies.space import KINDS, usage
    from disentangle_bench.studies.study import read_study

    if name is not None:
        read_study(place, name)  # a mistake is told
    table = Table()
    for column in ("study", *KINDS, "all"):
        table.add_column(column, justify="left" if column == "study" else "right", no_wrap=True)
    for study, sizes in usage(place).items():
        if sizes and (name is None or study == name):
            cells = [decimal(sizes[kind]) if sizes[kind] else "" for kind in KINDS]
            table.add_row(study or "(no study)", *cells, decimal(sizes.total()))
    console().print(table)
    console().print("clean [STUDY] --checkpoints, --codes, --logs, --leftovers  remove; --help says what is lost then")


def counted(trials: list[str]) -> str:
    """How many trials, in words."""
    return f"{len(trials)} {'trial' if len(trials) == 1 else 'trials'}"
