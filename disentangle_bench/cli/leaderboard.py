"""`disentangle-bench leaderboard`: a study's tables made again; as CSV, for a paper, or drawn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from disentangle_bench.cli.options import Data, OldCsv, Plugins, Results, split_names, workspace
from disentangle_bench.cli.studies import made_tables, show_tables, study_data
from disentangle_bench.display import console
from disentangle_bench.errors import UserError

FORMATS = {"csv": ".csv", "md": ".md", "latex": ".tex"}  # of tables, and how their files end
PICTURE = "picture"


def leaderboard(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Scores to show, separated by commas: METRIC, METRIC/PROTOCOL or METRIC/PROTOCOL/KEY (default: all).",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Columns of the table that --format prints or --out writes, by their names in leaderboard.csv "
            "(default: all of a CSV; else `mean` and, where there is one, `published`).",
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(metavar="csv|md|latex", help="Print the table in this format, and nothing else.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write: a table, .csv, .md or .tex; a picture, .png, .svg or .pdf (default: the study's "
            "leaderboard.csv, a picture beside it)."
        ),
    ] = None,
    csv: OldCsv = None,
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Make a study's leaderboard again from its records: as tables, CSV, Markdown, LaTeX, or a picture.

    Markdown and LaTeX are for a paper: a row a model and a column a score, as mean ± half the width of its 95 %
    interval, bold where no other model is significantly better.
    """
    from disentangle_bench.boards.formats import as_text
    from disentangle_bench.boards.leaderboard_pictures import write_pictures
    from disentangle_bench.boards.paper_table import of_scores
    from disentangle_bench.files import write_file
    from disentangle_bench.studies.study import read_study

    kind = "csv" if csv else kind_of(format, out)
    if columns is not None and kind in (None, PICTURE):
        raise UserError(
            f"--columns {columns}: give the table's --format, {', '.join(FORMATS)}, or write it with --out."
        )
    place = workspace(results, data_root, plugin)
    study = read_study(place, name)
    if not any(place.record(trial.id).exists() for trial in study.trials):
        raise UserError(f"study '{name}' has no records under {place.results / 'runs'} yet; run it first.")
    path, chosen, whole = out or csv, split_names(columns), made_tables(study, place, study_data(study, place))
    table, seeds = (of_scores(each, split_names(metric)) for each in whole)
    if kind is None:  # the study's own files have all scores, whichever are shown
        show_tables(study, *whole, place.study(name) / "leaderboard.csv", shown=table)
    elif path is None:
        sys.stdout.write(as_text(table, kind, chosen))
    elif kind == PICTURE:
        drawn = write_pictures(table, seeds, path)
        if not drawn:
            raise UserError(f"study '{name}' has no score to draw yet; `status {name}` says what became of its trials.")
        for picture in drawn:
            console().print(f"picture  {picture}", markup=False, soft_wrap=True)
    elif kind == "csv":
        show_tables(study, table, seeds, path, chosen)
    else:
        write_file(path, as_text(table, kind, chosen))
        console().print(f"table  {path}", markup=False, soft_wrap=True)


def kind_of(format: str | None, out: Path | None) -> str | None:
    """What is asked for: a table's format, or a picture; None: neither."""
    from disentangle_bench.pictures.paper import SUFFIXES

    if format is not None and format not in FORMATS:
        raise UserError(f"--format {format}: choose one of {', '.join(FORMATS)}.")
    kinds = {suffix: kind for kind, suffix in FORMATS.items()} | dict.fromkeys(SUFFIXES, PICTURE)
    named = kinds.get(out.suffix.lower()) if out is not None else None
    if out is not None and named is None and format is None:
        raise UserError(f"--out {out}: end the name with one of {', '.join(kinds)}, or say the --format.")
    if format is not None and named not in (None, format):
        raise UserError(
            f"--format {format} --out {out}: the two are of different kinds; end the name with {FORMATS[format]}."
        )
    return format or named
