"""`disentangle-bench run`: a study trained, scored, and shown."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from disentangle_bench.cli.options import WHAT, WHERE, Data, Plugins, Results, pack_size, workspace
from disentangle_bench.cli.stopping import told
from disentangle_bench.cli.studies import show_leaderboard, study_data
from disentangle_bench.cli.why import tell_failures, tell_log_failures
from disentangle_bench.display import Bar, console, note
from disentangle_bench.errors import UserError


def run(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET|STUDY|FILE.yaml", help="A preset, a study that exists, or a file.", show_default=False
        ),
    ] = None,
    models: Annotated[str | None, typer.Option(help="Models, comma-separated.", rich_help_panel=WHAT)] = None,
    dataset: Annotated[str | None, typer.Option(help="Datasets, comma-separated.", rich_help_panel=WHAT)] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds: 0-31, or 0,1,5 (default: 0).", rich_help_panel=WHAT)] = None,
    setting: Annotated[
        list[str],
        typer.Option("--set", help="PATH=VALUE: ib-gan.beta=0.2, steps=1000; repeatable.", rich_help_panel=WHAT),
    ] = [],  # noqa: B006
    name: Annotated[
        str | None,
        typer.Option(help="The study's name, its folder's too (default: from its source).", rich_help_panel=WHAT),
    ] = None,
    score_every: Annotated[
        int | None, typer.Option(min=1, help="Also score every N steps.", rich_help_panel=WHAT)
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done, prepare and write nothing.", rich_help_panel=WHAT),
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Without Ray, one trial or pack after the other.", rich_help_panel=WHERE)
    ] = False,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster's address (default: Ray on this machine).", rich_help_panel=WHERE)
    ] = None,
    cpus: Annotated[
        int | None, typer.Option(min=1, help="CPUs, and so threads, a trial (default: 1).", rich_help_panel=WHERE)
    ] = None,
    gpus: Annotated[
        float | None,
        typer.Option(min=0, help="Share of a GPU a trial or pack (default: 1 on CUDA).", rich_help_panel=WHERE),
    ] = None,
    concurrent: Annotated[
        int | None,
        typer.Option(min=1, help="Trials or packs at a time at most (default: all that fit).", rich_help_panel=WHERE),
    ] = None,
    pack: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Seeds that take turns in one process; auto: as many as pay on CUDA.",
            rich_help_panel=WHERE,
        ),
    ] = "1",
    retries: Annotated[
        int, typer.Option(min=0, help="How often a crashed trial is tried again.", rich_help_panel=WHERE)
    ] = 1,
    log: Annotated[
        list[str],
        typer.Option(
            metavar="tensorboard|wandb|mlflow",
            help="Also log curves and scores there, on this machine's disk; repeatable.",
            rich_help_panel=WHERE,
        ),
    ] = [],  # noqa: B006
    tensorboard: Annotated[bool, typer.Option("--tensorboard", hidden=True, help="--log tensorboard.")] = False,
    plugin: Plugins = [],  # noqa: B006
    results: Results = None,
    data_root: Data = None,
) -> None:
    """Train and score a study on Ray, then print its leaderboard. Run again, it goes on where it stopped.

    Exit status: 0 all trials have scores or diverged, 1 a trial crashed, 2 a mistake to mend, 128 + N stopped by signal
    N, so 130 by Ctrl-C.
    """
    from disentangle_bench.cli.dry_run import print_plan, print_unprepared
    from disentangle_bench.studies import plan, states
    from disentangle_bench.studies.cluster import LaunchOptions
    from disentangle_bench.studies.config import load_study
    from disentangle_bench.studies.launch import launch
    from disentangle_bench.studies.soundness import without_faulty_plugins
    from disentangle_bench.studies.study import existing_study, write_study
    from disentangle_bench.trials import loggers

    together = pack_size(pack)
    logs = list(dict.fromkeys([*log, *["tensorboard"] * tensorboard]))
    loggers.check(logs)
    if local and (address or gpus is not None or concurrent):
        raise UserError("--local runs one trial after the other without Ray; drop --address, --gpus and --concurrent.")
    place = workspace(results, data_root, plugin)
    changes: dict[str, Any] = {"models": models, "datasets": dataset, "seeds": seeds, "name": name}
    if cpus is not None:
        setting = [*setting, f"numerics.threads={cpus}"]
    if score_every is not None:
        setting = [*setting, f"intervals.score={score_every}"]
    mistakes: list[str] = []
    existing = existing_study(source, place)
    if existing is None:
        config = load_study(source, changes, setting)
        absent = plan.unprepared(config.datasets, place)
        if dry_run and absent:
            print_unprepared(config, absent)
            return
        with Bar("preparing datasets") as progress:
            data = plan.load_datasets(config.datasets, place, progress)
        config, faults = without_faulty_plugins(config, data)
        mistakes = [str(fault) for fault in faults]
        tell(mistakes)
        asked = plan.asked(config, data)
    else:
        asked = plan.going_on(existing, changes, setting)
        plan.check_sources(asked, plan.load_datasets(asked.datasets(), place))
    study = plan.joined(asked, place)  # a mistake is told before a folder is made
    if dry_run:
        print_plan(study, place, study_data(study, place))
        if mistakes:
            raise typer.Exit(2)
        return
    with place.lock_of(place.study(study.name)):  # two commands that extend one study both count
        study = plan.joined(asked, place)
        write_study(study, place)
    loggers.prepare(logs, place, study.name)
    data = study_data(study, place)
    trials = states.pending(study, place)
    if trials:
        with Bar("verifying datasets") as progress:
            plan.verify_datasets(data, progress)
    with Bar("preparing metrics") as progress:
        plan.prepare_metrics(study, place, data, progress)
    done = len(study.trials) - len(trials)
    if score_every and done:
        note(f"{done} trials are done and are not scored along their training again.")
    if more := plan.beyond(study, asked):
        note(f"study '{study.name}' also holds {plan.summary(more)}, from earlier runs; --name makes another study.")
    how = ", starting Ray" if trials and not local else ""
    console().print(f"{study.name}: {states.headline(study, trials, place)}{how}", markup=False)
    if trials:
        where = LaunchOptions(local, address, gpus, concurrent, together)
        try:
            mistakes += launch(trials, place, study.options(logs, retries), where)
        except KeyboardInterrupt as stop:
            what, status = told(stop)
            sys.stderr.write(f"\n{what} {states.kept(trials, place)} The same command goes on from there.\n")
            raise typer.Exit(status) from None
    show_leaderboard(study, place, data)
    finish(study, place, mistakes)


def finish(study: Any, place: Any, mistakes: list[str]) -> None:
    """Say where the results are and what went wrong; ends the command with the status that this has."""
    from disentangle_bench.studies import states

    traversals, samples = states.collect_pictures(study, place)
    console().print(
        f"records      {place.results / 'runs'}\ntraversals   {traversals}\nsamples      {samples}", markup=False
    )
    counts = states.count_states(study, place)
    missing = len(study.trials) - counts["finished"] - counts["diverged"] - counts["failed"]
    tell_failures(study, place)
    tell_log_failures(study, place)
    tell(mistakes)
    if mistakes:
        raise typer.Exit(2)
    if missing:
        sys.stderr.write(f"{missing} trials have no record under {place.results}; do all workers share that folder?\n")
    if counts["failed"] or missing:
        raise typer.Exit(1)


def tell(mistakes: list[str]) -> None:
    """Say on stderr what only the user can mend."""
    for mistake in mistakes:
        sys.stderr.write(f"Error: {mistake}\n")
