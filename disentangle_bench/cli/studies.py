"""`disentangle-bench status`: what became of a study; and its tables, as `run` and `leaderboard` show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from disentangle_bench import datasets
from disentangle_bench.cli.options import Data, Plugins, Results, workspace
from disentangle_bench.display import Bar, console
from disentangle_bench.errors import UserError

STATES: tuple[Any, ...] = ("finished", "running", "interrupted", "waiting", "failed", "diverged")


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="The study's name; left out: all studies.")
    ] = None,
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Show each cell of a study, and each of its trials with its id; without a name, a line a study."""
    place = workspace(results, data_root, plugin)
    if name is None:
        list_studies(place)
    else:
        show_study(place, name)


def list_studies(place: Any) -> None:
    """A row a study under the results root: how many trials are in which state."""
    from disentangle_bench.studies.states import count_states
    from disentangle_bench.studies.study import read_study, study_names

    table = Table()
    for column in ("study", "trials", *STATES):
        table.add_column(column, justify="left" if column == "study" else "right", no_wrap=True)
    mistakes = []
    for name in study_names(place):
        try:
            study = read_study(place, name)
            counts = count_states(study, place)
        except UserError as error:  # the others are shown, too
            table.add_row(name, "damaged")
            mistakes.append(str(error))
            continue
        table.add_row(name, str(len(study.trials)), *(str(counts[state] or "") for state in STATES))
    if not table.rows:
        console().print(f"no studies under {place.results} yet; begin with  disentangle-bench run PRESET", markup=False)
        return
    console().print(without_empty(table))
    for mistake in mistakes:
        console(stderr=True).print(f"Error: {mistake}", markup=False)
    if mistakes:
        raise typer.Exit(2)


def without_empty(table: Table) -> Table:
    """The table without the columns in which nothing stands, so that it fits a narrow terminal."""
    table.columns = [column for column in table.columns if any(column.cells)]
    return table


def show_study(place: Any, name: str) -> None:
    """A row a cell of the study, and a line a trial."""
    from disentangle_bench.studies.states import state
    from disentangle_bench.studies.study import read_study
    from disentangle_bench.studies.watch import sentence
    from disentangle_bench.trials.heartbeat import read_beat
    from disentangle_bench.trials.records import read_record

    study = read_study(place, name)
    table = Table(title=f"{name}: {len(study.trials)} trials", title_justify="left")
    for column in ("dataset", "model", *STATES):
        table.add_column(column, justify="left" if column in ("dataset", "model") else "right", overflow="fold")
    lines = []
    for (dataset, model), trials in study.cells().items():
        states = {trial.id: state(trial, place, study.scoring) for trial in trials}
        counts = Counter(states.values())
        table.add_row(dataset, model, *(str(counts[each] or "") for each in STATES))
        for trial in trials:
            line = f"{trial.id}  {trial.title}: {states[trial.id]}"
            beat = read_beat(place.trial(trial.id)) if states[trial.id] == "running" else None
            if beat is not None:
                line += f", {sentence(beat)}"
            if states[trial.id] in ("failed", "diverged"):
                line += f", {read_record(place.record(trial.id)).cause}"
            lines.append(line)
    console().print(without_empty(table))
    for line in lines:
        console().print(line, markup=False)


def study_data(study: Any, place: Any) -> dict[str, Any]:
    """The datasets of all of a study's cells."""
    return {dataset: datasets.load(dataset, place.data) for dataset, _ in study.cells()}


def show_leaderboard(study: Any, place: Any, data: Any) -> None:
    """Make the study's leaderboard from its records, write it, and print it."""
    show_tables(study, *made_tables(study, place, data), place.study(study.name) / "leaderboard.csv")


def made_tables(study: Any, place: Any, data: Any) -> tuple[Any, Any]:
    """The study's leaderboard, and its single seeds, from its records."""
    from disentangle_bench.boards.study_leaderboard import study_leaderboard

    with Bar("floors and ceilings") as progress:
        return study_leaderboard(study, place, data, progress)


def show_tables(study: Any, table: Any, seeds: Any, path: Path, columns: Sequence[str] = (), shown: Any = None) -> None:
    """Print a leaderboard; write it as CSV with its single seeds and its pictures beside it.

    columns: of the CSV (default: all). shown: the rows to print (default: all).
    """
    from disentangle_bench.boards.leaderboard_pictures import write_pictures
    from disentangle_bench.boards.paper_table import of_columns
    from disentangle_bench.boards.tables import rich_tables, write_csv

    write_csv(of_columns(table, columns), path)
    singles = path.with_name("scores.csv" if path.stem == "leaderboard" else f"{path.stem}-scores.csv")
    write_csv(seeds, singles, digits=None)
    drawn = write_pictures(table, seeds, path.with_suffix(".png"))
    for printed in rich_tables(table if shown is None else shown, console().width):
        console().print(printed)
    if study.description:
        console().print(study.description.strip(), markup=False)
    beside = ("", ", and a picture beside it", ", and pictures beside it")[len(drawn)]
    console().print(f"leaderboard  {path}{beside}\nscores       {singles}, of each seed", markup=False)
