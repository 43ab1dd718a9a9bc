"""The command line: thin commands over the package. A user's mistake is one sentence and exit status 2."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from disentangle_bench import __version__
from disentangle_bench import datasets as dataset_package
from disentangle_bench.cli.datasets import datasets_app
from disentangle_bench.cli.options import Data, Plugins, Results, pack_size, workspace
from disentangle_bench.cli.registry import check, metrics, models
from disentangle_bench.cli.trials import score, traverse
from disentangle_bench.cli.tune import tune
from disentangle_bench.display import Bar, console, duration
from disentangle_bench.errors import UserError

app = typer.Typer(
    help="Train GANs and VAEs over many seeds, score their disentanglement, publish leaderboards.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def run(
    source: Annotated[
        str | None, typer.Argument(metavar="[PRESET|FILE.yaml]", help="A preset's name or a file.")
    ] = None,
    models: Annotated[str | None, typer.Option(help="Models, comma-separated.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Datasets, comma-separated.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds: 0-31, or 0,1,5.")] = None,
    setting: Annotated[list[str], typer.Option("--set", help="PATH=VALUE: ib-gan.beta=0.2, steps=1000.")] = [],  # noqa: B006
    name: Annotated[str | None, typer.Option(help="The study's name; its results go under it.")] = None,
    score_every: Annotated[int | None, typer.Option(min=1, help="Also score every N steps.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard events.")] = False,
    retries: Annotated[int, typer.Option(min=0, help="How often a crashed trial is tried again.")] = 1,
    local: Annotated[bool, typer.Option("--local", help="Without Ray, one trial or pack after the other.")] = False,
    address: Annotated[str | None, typer.Option(help="A Ray cluster's address (default: Ray on this machine).")] = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="CPUs, and so threads, a trial (default: 1).")] = None,
    gpus: Annotated[
        float | None, typer.Option(min=0, help="Share of a GPU a trial or pack (default: 1 on CUDA).")
    ] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Trials or packs at a time at most.")] = None,
    pack: Annotated[
        str, typer.Option(metavar="N|auto", help="Seeds that take turns in one process; auto: as many as pay on CUDA.")
    ] = "1",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved trials and stop.")] = False,
    plugin: Plugins = [],  # noqa: B006
    results: Results = None,
    data_root: Data = None,
) -> None:
    """Train and score a study on Ray, then print its leaderboard. Run again, it goes on where it stopped.

    Exit status: 0 all trials have scores or diverged, 1 a trial crashed, 2 a mistake to mend, 130 interrupted.
    """
    from disentangle_bench.studies import study as studies
    from disentangle_bench.studies.cluster import LaunchOptions
    from disentangle_bench.studies.config import load_study
    from disentangle_bench.studies.launch import launch

    together = pack_size(pack)
    place = workspace(results, data_root, plugin)
    changes: dict[str, Any] = {"models": models, "datasets": dataset, "seeds": seeds, "name": name}
    if cpus is not None:
        setting = [*setting, f"numerics.threads={cpus}"]
    if score_every is not None:
        setting = [*setting, f"intervals.score={score_every}"]
    config = load_study(source, changes, setting)
    with Bar("preparing datasets") as progress:
        data = studies.load_datasets(config, place, progress)
    if local and (address or gpus is not None or concurrent):
        raise UserError("--local runs one trial after the other without Ray; drop --address, --gpus and --concurrent.")
    if dry_run:
        study = studies.plan(config, place, data)
        print_plan(study, place, study_data(study, place))
        return
    with place.lock_of(place.study(config.name)):  # two commands that extend one study both count
        study = studies.plan(config, place, data)
        studies.write_study(study, place)
    data = study_data(study, place)
    trials = studies.pending(study, place)
    with Bar("preparing metrics") as progress:
        studies.prepare_metrics(study, place, data, progress)
    done = len(study.trials) - len(trials)
    if score_every and done:
        sys.stderr.write(f"Note: {done} trials are done and are not scored along their training again.\n")
    how = ", starting Ray" if trials and not local else ""
    console().print(f"{study.name}: {len(study.trials)} trials, {done} done, {len(trials)} to run{how}", markup=False)
    mistakes: list[str] = []
    if trials:
        where = LaunchOptions(local, address, gpus, concurrent, together)
        try:
            mistakes = launch(trials, place, study.options(tensorboard, retries), where)
        except KeyboardInterrupt:
            sys.stderr.write("\nInterrupted. Nothing is lost: the same command goes on from the last checkpoints.\n")
            raise typer.Exit(130) from None
    show_leaderboard(study, place, data)
    traversals, samples = studies.collect_pictures(study, place)
    console().print(
        f"records      {place.results / 'runs'}\ntraversals   {traversals}\nsamples      {samples}", markup=False
    )
    states = studies.count_states(study, place)
    missing = len(study.trials) - states["finished"] - states["diverged"] - states["failed"]
    for mistake in mistakes:
        sys.stderr.write(f"Error: {mistake}\n")
    if mistakes:
        raise typer.Exit(2)
    if states["failed"]:
        sys.stderr.write(f"{states['failed']} trials crashed; their records say where. Run again to try again.\n")
    if missing:
        sys.stderr.write(f"{missing} trials have no record under {place.results}; do all workers share that folder?\n")
    if states["failed"] or missing:
        raise typer.Exit(1)


def study_data(study: Any, place: Any) -> dict[str, Any]:
    """The datasets of all of a study's cells."""
    return {dataset: dataset_package.load(dataset, place.data) for dataset, _ in study.cells()}


def print_plan(study: Any, place: Any, data: Any) -> None:
    """What `run` would do: each cell's settings, its seeds, and an estimate of time and disk."""
    import yaml

    from disentangle_bench.studies import study as studies
    from disentangle_bench.studies.estimate import estimate

    out = console()
    for trials in study.cells().values():
        spec = trials[0].without_seed()
        out.print(yaml.safe_dump({**spec, "seeds": [t.seed for t in trials]}, sort_keys=False).rstrip(), markup=False)
        out.print("trials: " + ", ".join(f"{t.id} (seed {t.seed})" for t in trials) + "\n", markup=False)
    waiting = studies.pending(study, place)
    seconds, disk = estimate(waiting, data)
    out.print(
        f"{len(study.trials)} trials, {len(waiting)} to run: about {duration(seconds)} of one trial's time in all on "
        f"this machine ({duration(seconds / max(1, len(waiting)))} a trial), {disk / 1e6:,.0f} MB on disk.",
        markup=False,
    )


def show_leaderboard(study: Any, place: Any, data: Any, path: Path | None = None) -> None:
    """Make the study's leaderboard from its records, write it, and print it."""
    from disentangle_bench.boards.picture import write_picture
    from disentangle_bench.boards.study_leaderboard import study_leaderboard
    from disentangle_bench.boards.tables import rich_tables, write_csv

    with Bar("floors and ceilings") as progress:
        table = study_leaderboard(study, place, data, progress)
    path = path or place.study(study.name) / "leaderboard.csv"
    write_csv(table, path)
    write_picture(table, path.with_suffix(".png"))
    for shown in rich_tables(table):
        console().print(shown)
    if study.description:
        console().print(study.description.strip(), markup=False)
    console().print(f"leaderboard  {path}, and a picture beside it", markup=False)


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


def say_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        console().print(f"disentangle-bench {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=say_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """What stands before any command."""


for command in (run, tune, status, score, leaderboard, traverse, check, models, metrics):  # as --help lists them
    app.command()(command)
app.add_typer(datasets_app, name="datasets")


def main() -> None:
    """The entry point: turns a `UserError` into its sentence."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± still gets its table
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
