"""`disentangle-bench tune`: search a model's settings."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from disentangle_bench.cli import stopping
from disentangle_bench.cli.options import Data, Plugins, Results, workspace
from disentangle_bench.display import Bar, console
from disentangle_bench.errors import UserError


def tune(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model whose settings to search.")],
    dataset: Annotated[str, typer.Option(help="The dataset.")],
    samples: Annotated[int, typer.Option(min=1, help="Candidates to draw from the model's search space.")] = 18,
    seeds: Annotated[str, typer.Option(help="Seeds of each candidate; UDR and ModelCentrality need two.")] = "0-1",
    objective: Annotated[
        str, typer.Option(help="udr, model-centrality, information; or METRIC or METRIC/PROTOCOL with --labels.")
    ] = "udr",
    labels: Annotated[bool, typer.Option("--labels", help="Allow an objective that sees the factors.")] = False,
    every: Annotated[bool, typer.Option("--random", help="Train all to the end; stop none early.")] = False,
    setting: Annotated[list[str], typer.Option("--set", help="PATH=VALUE, as for run.")] = [],  # noqa: B006
    name: Annotated[str | None, typer.Option(help="The search's name; its table goes under it.")] = None,
    search_seed: Annotated[int, typer.Option(min=0, help="Of the drawing of candidates.")] = 0,
    local: Annotated[bool, typer.Option("--local", help="Without Ray, one after the other.")] = False,
    address: Annotated[str | None, typer.Option(help="A Ray cluster's address.")] = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="CPUs, and so threads, a candidate (default: 1).")] = None,
    gpus: Annotated[float | None, typer.Option(min=0, help="Share of a GPU a candidate.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Candidates at a time at most.")] = None,
    plugin: Plugins = [],  # noqa: B006
    results: Results = None,
    data_root: Data = None,
) -> None:
    """Search a model's settings without labels; say how to run the best as a study. Run again, it goes on.

    Candidates are judged after a ninth, a third and all of their steps; ASHA ends the worse ones early.
    """
    from disentangle_bench.boards.tables import write_csv
    from disentangle_bench.studies import search
    from disentangle_bench.studies.cluster import LaunchOptions
    from disentangle_bench.studies.config import load_study
    from disentangle_bench.studies.launch_search import search as launch_search
    from disentangle_bench.studies.plan import load_datasets

    place = workspace(results, data_root, plugin)
    if cpus is not None:
        setting = [*setting, f"numerics.threads={cpus}"]
    changes = {"models": model, "datasets": dataset, "seeds": seeds, "name": name or f"tune_{model}_{dataset}"}
    config = load_study(None, changes, setting)
    if len(config.models) != 1 or len(config.datasets) != 1:
        raise UserError("tune searches one model on one dataset.")
    if objective in ("udr", "model-centrality") and len(set(config.seeds)) < 2:
        raise UserError(f"--objective {objective} compares the seeds of a candidate; give two or more with --seeds.")
    search.objective_named(objective, labels)  # a mistake is told before anything starts
    with Bar("preparing datasets") as progress:
        data = load_datasets(config.datasets, place, progress)
    drawn = search.candidates(config, data, samples, search_seed)
    budgets = search.rungs(drawn[0].trials[0].typed_config().steps)
    out = console()

    def told(outcome: search.Outcome) -> None:
        values = ", ".join(f"{key} {value}" for key, value in drawn[outcome.candidate].values.items())
        judged = "diverged" if outcome.objective == search.FAILED else f"{objective} {outcome.objective:.3f}"
        out.print(f"candidate {outcome.candidate} ({values}): {judged} at step {outcome.steps:,}", markup=False)

    where = LaunchOptions(local, address, gpus, concurrent)
    steps = ", ".join(f"{budget:,}" for budget in budgets)
    size = f"{samples} candidates × {len(set(config.seeds))} seeds"
    out.print(f"{config.name}: {size}, judged at steps {steps}", markup=False)
    try:
        outcomes = launch_search(drawn, budgets, objective, not every, place, where, told)
    except KeyboardInterrupt as stop:
        what, status = stopping.told(stop)
        sys.stderr.write(f"\n{what} The same command goes on: candidates from their last checkpoints, if any.\n")
        raise typer.Exit(status) from None
    table = search.outcomes_table(drawn, outcomes, objective)
    path = place.study(config.name) / "tune.csv"
    write_csv(table, path)
    best = table.iloc[0]
    if best["outcome"] == "diverged":
        raise UserError("every candidate diverged; narrow the model's search space, or lower its rates with --set.")
    chosen = " ".join(
        f'--set "sweep.{model}.{field}=[{value}]"' for field, value in drawn[int(best["candidate"])].values.items()
    )
    if table["labels"].any():
        out.print("Chosen with labels: a study of it is no longer unsupervised.", markup=False)
    also = "".join(f" --plugin {each}" for each in plugin) + "".join(f" --set {each}" for each in setting)
    again = f"disentangle-bench run --models {model} --dataset {dataset} --seeds 0-9{also} {chosen}"
    out.print(f"search   {path}\nbest     candidate {best['candidate']}, {objective} {best['value']:.3f}", markup=False)
    out.print(f"run it   {again}", markup=False)
