"""`disentangle-bench run --dry-run`: what a study would train and score, and what that costs."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from disentangle_bench import registry
from disentangle_bench.display import console, duration, fitted, verbose
from disentangle_bench.studies.config import StudyConfig, resolve_configs, seed_ranges
from disentangle_bench.trials.spec import changed_fields


def print_unprepared(config: StudyConfig, absent: list[str]) -> None:
    """What `run` would do, as far as that can be told without the datasets that are not prepared yet."""
    rows = [
        (dataset, model, name, settings.model_dump(mode="json"), sorted(set(config.seeds)))
        for dataset in config.datasets
        for model in config.models
        for name, settings in resolve_configs(config, model, dataset).items()
    ]
    print_cells(config.name, rows)
    print_scoring(config.metrics, config.repeats, config.comparisons)
    named = ", ".join(absent)
    console().print(
        f"{sum(len(seeds) for *_, seeds in rows)} trials. Not prepared yet: {named}. `run` prepares it, or\n"
        f"  disentangle-bench datasets prepare {absent[0]}\n"
        "Trial ids, time and disk are told once it is there; a dry run downloads and writes nothing.",
        markup=False,
    )


def print_plan(study: Any, place: Any, data: Any) -> None:
    """What `run` would do: each cell's settings and seeds, how it is scored, and an estimate of time and disk.

    With --verbose every field of every cell, and every trial's id.
    """
    import yaml

    from disentangle_bench.studies import states
    from disentangle_bench.studies.estimate import estimate

    cells = study.cells().values()
    out = console()
    if verbose():
        for trials in cells:
            settings = {**trials[0].without_seed(), "seeds": [t.seed for t in trials]}
            out.print(yaml.safe_dump(settings, sort_keys=False).rstrip(), markup=False)
            out.print("trials: " + ", ".join(f"{t.id} (seed {t.seed})" for t in trials) + "\n", markup=False)
    first = [trials[0] for trials in cells]
    seeds = [[trial.seed for trial in trials] for trials in cells]
    rows = [(t.dataset, t.model, t.shown_configuration, t.config, s) for t, s in zip(first, seeds, strict=True)]
    print_cells(study.name, rows)
    print_scoring(study.scoring.metrics, study.scoring.repeats, study.comparisons)
    waiting = states.pending(study, place)
    seconds, disk = estimate(waiting, data, place, study.scoring)
    out.print(
        f"{states.headline(study, waiting, place)}: about {duration(seconds)} of one trial's time in all on this "
        f"machine ({duration(seconds / max(1, len(waiting)))} a trial), {disk / 1e6:,.0f} MB on disk.",
        markup=False,
    )
    if not verbose():
        out.print("Every field and every trial's id: the same with --verbose.", markup=False)


def print_cells(name: str, rows: list[tuple[str, str, str, dict[str, Any], list[int]]]) -> None:
    """A row for each of (dataset, model, configuration's name, its fields, seeds)."""
    table = Table(title=f"{name}: what would be trained", title_justify="left")
    for column in ("dataset", "model", "configuration", "steps", "batch", "seeds", "changed"):
        table.add_column(column, justify="right" if column in ("steps", "batch") else "left", overflow="fold")
    for dataset, model, configuration, config, seeds in rows:
        changed = ", ".join(f"{field}={value}" for field, value in changed_fields(model, configuration, config).items())
        steps, batch = config.get("steps", ""), config.get("batch_size", "")
        table.add_row(dataset, model, configuration, f"{steps:,}", str(batch), seed_ranges(seeds), changed)
    if not any(table.columns[-1].cells):
        table.columns.pop()
    console().print(fitted(table, "batch", "changed"))


def print_scoring(metrics: dict[str, list[str]], repeats: int, comparisons: dict[str, list[str]]) -> None:
    """Under which protocols finished trials are scored, and compared with one another."""
    asked = [f"{metric} ({', '.join(protocols)})" for metric, protocols in metrics.items()]
    by = f"each by {repeats} seeds of the metric's own" if repeats > 1 else "once"
    console().print(f"scored, {by}: {'; '.join(asked)}", markup=False, soft_wrap=False)
    for metric, protocols in metrics.items():
        slow = registry.get("metric", metric).slow
        for protocol in protocols:
            if protocol in slow:
                console().print(f"slow: {metric}/{protocol} {slow[protocol]}", markup=False, soft_wrap=False)
    if comparisons:
        named = "; ".join(f"{name} ({', '.join(protocols)})" for name, protocols in comparisons.items())
        console().print(f"seeds compared with one another: {named}", markup=False, soft_wrap=False)
