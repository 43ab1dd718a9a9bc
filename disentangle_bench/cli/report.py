"""`disentangle-bench report`: a study on one page, to read, print or send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from disentangle_bench.cli.options import Data, Plugins, Results, workspace
from disentangle_bench.display import console, size


def report(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file to write (default: the study's report.html).")] = None,
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Write a study as one HTML page: tables, plots, curves, pictures, failures, settings, and its CSV files inside.

    The page needs no network and no other file. It can be made while trials are still running: it says what is missing.
    """
    from disentangle_bench.boards.report import gather
    from disentangle_bench.boards.report_page import write_report
    from disentangle_bench.studies.study import read_study

    place = workspace(results, data_root, plugin)
    study = read_study(place, name)
    path = out or place.study(name) / "report.html"
    contents = gather(study, place)
    write_report(contents, path)
    for line in contents.missing:
        console().print(f"missing  {line}", markup=False, soft_wrap=True)
    console().print(f"report  {path}, {size(path.stat().st_size)}", markup=False, soft_wrap=True)
