"""`disentangle-bench status` and `leaderboard`: what became of a study, and its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from disentangle_bench import datasets
from disentangle_bench.cli.options import Data, Plugins, Results, workspace
from disentangle_bench.display import Bar, console
from disentangle_bench.errors import UserError


def status(
    name: Annotated[str, typer.Argument(help="The study's name.")],
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Show each cell of a study, and each trial that is not finished."""
    from disentangle_bench.studies import study as studies
    from disentangle_bench.studies.watch import sentence
    from disentangle_bench.trials.heartbeat import read_beat
    from disentangle_bench.trials.records import read_record

    place = workspace(results, data_root, plugin)
    study = studies.read_study(place, name)
    table = Table(title=f"{name}: {len(study.trials)} trials", title_justify="left")
    for column in ("dataset", "model", "finished", "running", "interrupted", "waiting", "failed", "diverged"):
        table.add_column(column, justify="left" if column in ("dataset", "model") else "right")
    lines = []
    for (dataset, model), trials in study.cells().items():
        states = {trial.id: studies.state(trial, place, study.scoring) for trial in trials}
        counts = [list(states.values()).count(s) for s in ("finished", "running", "interrupted", "waiting", "failed")]
        table.add_row(dataset, model, *map(str, counts), str(list(states.values()).count("diverged")))
        for trial in trials:
            line = f"{trial.id}  {trial.title}: {states[trial.id]}"
            beat = read_beat(place.trial(trial.id)) if states[trial.id] == "running" else None
            if beat is not None:
                line += f", {sentence(beat)}"
            if states[trial.id] in ("failed", "diverged"):
                line += f", {read_record(place.record(trial.id)).cause}"
            lines.append(line)
    console().print(table)
    for line in lines:
        console().print(line, markup=False)


def leaderboard(
    name: Annotated[str, typer.Argument(help="The study's name.")],
    csv: Annotated[Path | None, typer.Option(help="Where to write it (default: the study's leaderboard.csv).")] = None,
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Make a study's leaderboard again from its records."""
    from disentangle_bench.studies import study as studies

    place = workspace(results, data_root, plugin)
    study = studies.read_study(place, name)
    if not any(place.record(trial.id).exists() for trial in study.trials):
        raise UserError(f"study '{name}' has no records under {place.results / 'runs'} yet; run it first.")
    show_leaderboard(study, place, study_data(study, place), csv)


def study_data(study: Any, place: Any) -> dict[str, Any]:
    """The datasets of all of a study's cells."""
    return {dataset: datasets.load(dataset, place.data) for dataset, _ in study.cells()}


def show_leaderboard(study: Any, place: Any, data: Any, path: Path | None = None) -> None:
    """Make the study's leaderboard from its records, write it, and print it."""
    from disentangle_bench.boards.picture import write_picture
    from disentangle_bench.boards.study_leaderboard import study_leaderboard
    from disentangle_bench.boards.tables import rich_tables, write_csv

    with Bar("floors and ceilings") as progress:
        table, seeds = study_leaderboard(study, place, data, progress)
    path = path or place.study(study.name) / "leaderboard.csv"
    write_csv(table, path)
    singles = path.with_name("scores.csv" if path.stem == "leaderboard" else f"{path.stem}-scores.csv")
    write_csv(seeds, singles, digits=None)
    drawn = write_picture(table, seeds, path.with_suffix(".png"))
    for shown in rich_tables(table, console().width):
        console().print(shown)
    if study.description:
        console().print(study.description.strip(), markup=False)
    beside = ", and a picture beside it" if drawn else ""
    console().print(f"leaderboard  {path}{beside}\nscores       {singles}, of each seed", markup=False)
