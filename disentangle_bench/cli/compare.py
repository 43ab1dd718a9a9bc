"""`disentangle-bench compare`: the models of a study in pairs, by one metric."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from disentangle_bench.cli.options import Plugins, Results, split_names, workspace
from disentangle_bench.display import console, fitted, note
from disentangle_bench.errors import UserError, unknown


def compare(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    metric: Annotated[str, typer.Option(help="The metric by which to compare, one of the study's.")],
    models: Annotated[
        str | None, typer.Option(help="Models to compare, separated by commas (default: all of the study's).")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A file to write: every number in full, .csv; or performance profiles and probabilities of "
            "improvement, .png, .svg or .pdf."
        ),
    ] = None,
    results: Results = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Compare a study's models in pairs by one metric: differences, tests, and the seeds that would show them.

    All seeds that have a record count. Fewer models mean fewer pairs, and a correction that is less strict.
    """
    import numpy as np

    from disentangle_bench.boards.compare import comparison, each_table, labelled_scores
    from disentangle_bench.boards.profile_figure import compared_scores, profile_figure
    from disentangle_bench.boards.study_leaderboard import facts_of
    from disentangle_bench.boards.tables import write_csv
    from disentangle_bench.pictures.paper import SUFFIXES, write_figure
    from disentangle_bench.studies.study import read_study
    from disentangle_bench.trials.records import read_records

    place = workspace(results, None, plugin)
    study = read_study(place, name)
    if metric not in study.scoring.metrics:
        raise unknown(f"metric of study '{name}':", metric, study.scoring.metrics)
    labels = split_names(models)
    if len(labels) == 1:
        raise UserError(f"--models {models}: one model can't be compared; name two or more, separated by commas.")
    records = list(read_records(place, [trial.id for trial in study.trials]))
    facts = {metric: facts_of(metric, study.scoring.metrics[metric])}
    table = comparison(records, facts, labels, np.random.default_rng(0))
    if not len(table):
        raise UserError(f"study '{name}' has no two models with a record scored by {metric} yet; run it first.")
    for title, rows in each_table(table):
        shown = fitted(pairs_table(title, rows), "80 %")
        console().print(shown)
        for line in below(rows, [str(column.header) for column in shown.columns]):
            console().print(textwrap.fill(line, 100), markup=False)
    if out is not None and out.suffix.lower() in SUFFIXES:
        frame = labelled_scores(records, facts, labels)
        write_figure(profile_figure(compared_scores(frame, facts, labels), np.random.default_rng(0)), out)
        note(f"performance profiles and probabilities of improvement are in {out}.")
    elif out is not None:
        write_csv(table, out, digits=None)
        note(f"every number in full is in {out}.")


def pairs_table(title: str, rows: Any) -> Table:
    """One table of pairs for a terminal."""
    import pandas as pd

    def text(value: Any, form: str = ".3f") -> str:
        return "–" if pd.isna(value) else format(value, form)

    def small(p: Any) -> str:
        return "<.001" if not pd.isna(p) and p < 0.001 else text(p)

    table = Table(title=title, title_justify="left")
    for column in ("A", "B"):
        table.add_column(column, overflow="fold")
    for column in ("A − B", "95 % interval", better_header(rows), "p", "p Holm", "80 %"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows.to_dict("records"):
        low, high = text(row["ci95_welch_low"]), text(row["ci95_welch_high"])
        table.add_row(
            row["model_a"], row["model_b"], text(row["difference"]), "–" if low == "–" else f"[{low}, {high}]",
            text(row["chance_a_better"], ".2f"), small(row["p_permutation"]), small(row["p_permutation_holm"]),
            text(row["seeds_for_power_80"], "d"),
        )  # fmt: skip
    return table


def better_header(rows: Any) -> str:
    """The chance that a seed of A scores better, as a formula."""
    return "P(A>B)" if rows["better"].iloc[0] == "higher" else "P(A<B)"


def below(rows: Any, shown: list[str]) -> list[str]:
    """What has to be said below one table: whose seeds are in it, what it can't show, and what its columns are."""
    from disentangle_bench.boards.compare import seeds_needed
    from disentangle_bench.boards.statistics import LEVEL, MIN_SEEDS, SPLITS

    lines = [f"seeds: {', '.join(seeds_in_words(rows))}"]
    tested = rows.dropna(subset=["p_permutation"])
    if tested.empty:
        return [*lines, "–: one of the two has fewer than two scores; `leaderboard` says why"]
    of_pairs = "one pair" if len(tested) == 1 else f"{len(tested)} pairs"
    powerless = tested[tested["smallest_p_holm"] > LEVEL]
    if len(powerless):
        which = "" if len(powerless) == len(tested) else f"{len(powerless)} of "
        lines.append(
            f"too few seeds: p Holm of {which}{of_pairs} can't fall below {powerless['smallest_p_holm'].min():.2g}, "
            f"however far apart they are; with {seeds_needed(len(tested))} seeds a model it can reach {LEVEL}"
        )
    if len(tested) < len(rows):
        lines.append("–: one of the two has fewer than two scores; `leaderboard` says why")
    if tested["p_welch"].isna().any():
        lines.append(f"–: an interval, and seeds for 80 %, need {MIN_SEEDS} seeds of each model")
    exact = tested["exact"].astype(bool)
    how = "exact" if exact.all() else f"by {SPLITS:,} random splits" + (" of the larger pairs" if exact.any() else "")
    lines.append(f"p: permutation test of the means, two-sided, {how}; p Holm: corrected for {of_pairs}")
    apart = (tested["p_welch_holm"] <= LEVEL).sum()
    lines.append(f"by Welch's t, as in ranks: p Holm is {LEVEL} or less for {apart} of {len(tested)}")
    if "80 %" in shown:
        lines.append("80 %: the seeds a model with which Welch's t shows such a difference in 80 of 100 studies")
    return lines


def seeds_in_words(rows: Any) -> list[str]:
    """Each model of the table, how many of its seeds have a score, and how many failed."""
    found = {}
    for which in ("a", "b"):
        for row in rows.to_dict("records"):
            failed = row[f"failures_{which}"]
            also = f" ({failed} more failed or diverged)" if failed else ""
            found[row[f"model_{which}"]] = f"{row[f'model_{which}']} {row[f'seeds_{which}']}{also}"
    return list(found.values())
