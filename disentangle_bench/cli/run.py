"""`disentangle-bench run`: a study trained, scored, and shown."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from disentangle_bench.cli.options import Data, Plugins, Results, pack_size, workspace
from disentangle_bench.cli.studies import show_leaderboard, study_data
from disentangle_bench.cli.why import tell_failures
from disentangle_bench.display import Bar, console, duration
from disentangle_bench.errors import UserError


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
    from disentangle_bench.studies.soundness import without_faulty_plugins

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
    config, faults = without_faulty_plugins(config, data)
    mistakes = [str(fault) for fault in faults]
    tell(mistakes)
    if dry_run:
        study = studies.plan(config, place, data)
        print_plan(study, place, study_data(study, place))
        if mistakes:
            raise typer.Exit(2)
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
    if trials:
        where = LaunchOptions(local, address, gpus, concurrent, together)
        try:
            mistakes += launch(trials, place, study.options(tensorboard, retries), where)
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
    tell_failures(study, place)
    tell(mistakes)
    if mistakes:
        raise typer.Exit(2)
    if missing:
        sys.stderr.write(f"{missing} trials have no record under {place.results}; do all workers share that folder?\n")
    if states["failed"] or missing:
        raise typer.Exit(1)


def tell(mistakes: list[str]) -> None:
    """Say on stderr what only the user can mend."""
    for mistake in mistakes:
        sys.stderr.write(f"Error: {mistake}\n")


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
