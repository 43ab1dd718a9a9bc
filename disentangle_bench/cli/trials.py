"""`disentangle-bench score` and `traverse`: a finished trial looked at again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from disentangle_bench import registry
from disentangle_bench.cli.options import Data, OldCsv, Plugins, Results, workspace
from disentangle_bench.display import Bar, console, fitted
from disentangle_bench.errors import UserError

if TYPE_CHECKING:
    from disentangle_bench.evaluation.scoring import Row


def score(
    trial: Annotated[str | None, typer.Argument(metavar="TRIAL", help="A trial's id, or the beginning of it.")] = None,
    codes: Annotated[Path | None, typer.Option(help="Your own codes instead: (N, D), .npz or .npy.")] = None,
    factors: Annotated[Path | None, typer.Option(help="Their factors: (N, K) whole numbers, .npz or .npy.")] = None,
    metric: Annotated[
        list[str],
        typer.Option(
            metavar="METRIC|METRIC/PROTOCOL",
            help="METRIC, under its default protocol: robust where it has one; METRIC/PROTOCOL; or METRIC/all, under "
            "each. Repeatable (default: every metric of codes).",
        ),
    ] = [],  # noqa: B006
    seed: Annotated[int | None, typer.Option(min=0, help="The metric's seed (default: the trial's, or 0).")] = None,
    repeats: Annotated[
        int,
        typer.Option(
            min=1, help="Score by so many of the metric's own seeds, and show their spread in a column 'sampling'."
        ),
    ] = 1,
    out: Annotated[Path | None, typer.Option(help="Also write the numbers here, as CSV.")] = None,
    csv: OldCsv = None,
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Score a finished trial's stored codes again, or codes of your own. No record is changed.

    Sampling, shown with --repeats: how far a score moves with the metric's own draws, on the same codes.
    """
    from disentangle_bench.evaluation import scoring

    dataset = None
    if trial is not None and codes is None and factors is None:
        from disentangle_bench.trials.finished import trial_table

        record, dataset, table = trial_table(trial, workspace(results, data_root, plugin))
        seed = record.spec.seed if seed is None else seed
    elif trial is None and codes is not None:
        for path in plugin:
            registry.load_plugin(path)
        table = scoring.read_table(codes, factors)
    else:
        raise UserError("score takes either a TRIAL, or --codes with --factors.")
    with Bar("scoring") as progress:
        rows = scoring.score_rows(table, metric, seed or 0, repeats, dataset, progress)
    shown = Table()
    for column in ("metric", "protocol", "result", "value", *(["sampling"] if repeats > 1 else [])):
        shown.add_column(column, justify="right" if column in ("value", "sampling") else "left", overflow="fold")
    shown.columns[0].no_wrap = True
    for row in rows:
        value = f"{row.value:.6f}" if isinstance(row.value, float) else str(row.value)
        spread = [] if repeats == 1 else ["" if row.sampling is None else f"± {row.sampling:.6f}"]
        shown.add_row(row.metric, row.protocol, row.key, value, *spread)
    console().print(fitted(shown, "sampling"))
    for line in notes(rows, repeats):
        console().print(line, markup=False)
    written = out or csv
    if written is not None:
        scoring.write_rows(rows, written)
        console().print(f"scores  {written}", markup=False)


def notes(rows: list[Row], repeats: int) -> Iterator[str]:
    """What has to be said below a table of scores."""
    lower = dict.fromkeys(row.metric for row in rows if row.better == "lower")
    if lower:
        yield f"lower is better: {', '.join(lower)}"
    if any(row.sampling is not None for row in rows):
        yield f"sampling: standard deviation over {repeats} of the metric's own seeds, on the same codes"
    once = [f"{row.metric}/{row.protocol}" for row in rows if repeats > 1 and row.better and row.sampling is None]
    if once:
        yield f"scored once: {', '.join(dict.fromkeys(once))}"


def traverse(
    trial: Annotated[str, typer.Argument(help="A trial's id, or the beginning of it.")],
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("traversal.png"),
    seed: Annotated[int, typer.Option(min=0, help="Which random code to start from.")] = 0,
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Draw what each code of a finished trial changes in the image."""
    from disentangle_bench.pictures.traversal import write_traversal
    from disentangle_bench.trials.finished import load_trial

    workspace(results, data_root, plugin)
    loaded = load_trial(trial, results, data_root, tuple(plugin))
    write_traversal(loaded.model, seed, out, loaded.spec.title)
    console().print(f"traversal  {out}", markup=False)
