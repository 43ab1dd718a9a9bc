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
            help="The picture to write, .png, .svg or .pdf; or the numbers, .csv (default: the study's curves.png and "
            "curves.csv)."
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
    from disentangle_bench.pictures.paper import picture_suffix, write_figure
    from disentangle_bench.studies.study import read_study

    place = workspace(results, None, plugin)
    study = read_study(place, name)
    folder = place.study(name)
    files = [folder / "curves.csv", folder / "curves.png"] if out is None else [out]
    for path in files:
        if path.suffix.lower() != ".csv":
            picture_suffix(path)  # a mistake is told before anything is read
    labels, known = split_names(models), dict.fromkeys(trial.label for trial in study.trials)
    for label in labels:
        if label not in known:
            raise unknown(f"model of study '{name}':", label, known)
    table = study_curves([trial for trial in study.trials if not labels or trial.label in labels], place)
    if not len(table):
        raise UserError(
            f"study '{name}' has no curves yet; they are written when a trial's training ends or is stopped."
        )
    table = chosen(table, split_names(metric))
    for path in files:
        if path.suffix.lower() == ".csv":
            write_csv(table, path, digits=None)
        else:
            write_figure(study_figure(table), path)
        console().print(f"curves  {path}", markup=False, soft_wrap=True)
