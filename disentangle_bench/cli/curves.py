"""`disentangle-bench curves`: what a study's trials logged along their training, drawn and as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from disentangle_bench.cli.options import Plugins, Results, split_names, workspace
from disentangle_bench.display import console
from disentangle_bench.errors import UserError, unknown


def curves(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Curves to draw, separated by commas: loss, information, kl, any name in the CSV (default: all).",
        ),
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Models to draw, separated by commas (default: all of the study's).")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The picture to write, .png, .svg or .pdf; or the numbers, .csv (default: the study's curves.png, and "
            "all numbers in curves.csv)."
        ),
    ] = None,
    results: Results = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Draw the curves of a study's trials: losses, information, KL, schedules; each model's seeds over one another.

    Thin lines are single seeds, the thick one is their median, the band lies between their quartiles.
    """
    from disentangle_bench.boards.curves import chosen, study_curves, study_figure
    from disentangle_bench.boards.tables import write_csv
    from disentangle_bench.pictures.paper import SUFFIXES, write_figure
    from disentangle_bench.studies.study import read_study

    place = workspace(results, None, plugin)
    study = read_study(place, name)
    if out is not None and out.suffix.lower() not in (".csv", *SUFFIXES):
        raise UserError(f"--out {out}: end the name with .csv, or, for a picture, with {', '.join(SUFFIXES)}.")
    labels, known = split_names(models), dict.fromkeys(trial.label for trial in study.trials)
    for label in labels:
        if label not in known:
            raise unknown(f"model of study '{name}':", label, known)
    whole = study_curves(study.trials, place)
    table = whole[whole["model"].isin(labels or list(known))]
    if table.empty:
        raise UserError(
            f"study '{name}' has no curves yet; they are written when a trial's training ends or is stopped."
        )
    table = chosen(table, split_names(metric))
    files = {out: table} if out else {place.study(name) / "curves.csv": whole, place.study(name) / "curves.png": table}
    for path, rows in files.items():
        if path.suffix.lower() == ".csv":
            write_csv(rows, path, digits=None)
        else:
            write_figure(study_figure(rows), path)
        console().print(f"curves  {path}", markup=False, soft_wrap=True)
