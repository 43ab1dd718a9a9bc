"""What `disentangle-bench score` prints: scores, their floors and ceilings, and the papers' numbers below."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from disentangle_bench.contracts import Dataset
from disentangle_bench.display import Bar, console, fitted

if TYPE_CHECKING:
    from disentangle_bench.evaluation.scoring import Row

ENDS = ("floor", "ceiling")


def show_beside_papers(
    rows: list[Row], name: str, data: Dataset, width: int, results: Path | None, repeats: int, written: Path | None
) -> None:
    """Print the scores beside floor and ceiling, and below what the papers report; write both."""
    import pandas as pd

    from disentangle_bench.boards.own_codes import in_words, own_scores, papers_scores
    from disentangle_bench.boards.published import published_folder, read_published
    from disentangle_bench.boards.tables import write_csv
    from disentangle_bench.trials.records import results_root

    root = results_root(results)
    with Bar("floors and ceilings") as progress:
        own = own_scores(rows, name, data, width, root / "runs" / "calibration", progress)
    papers = papers_scores(read_published(published_folder(root)), data.name, list(dict.fromkeys(own["metric"])))
    ends = {
        (row["metric"], row["protocol"], row["key"]): ["" if pd.isna(row[end]) else f"{row[end]:.6f}" for end in ENDS]
        for row in own.to_dict("records")
    }
    console().print(fitted(scores_table([row for row in rows if key_of(row) in ends], repeats, ends), "sampling"))
    if len(papers):
        table = Table(title=f"published on {data.name}, under the papers' own protocols", title_justify="left")
        for column in ("metric", "protocol", "result", "papers"):
            table.add_column(column, overflow="fold", no_wrap=column in ("metric", "protocol"))
        for line in in_words(papers):
            table.add_row(*line)
        console().print(fitted(table, "result"))
        console().print(f"papers: {'; '.join(papers['source'].unique())}", markup=False)
        console().print("score under a paper's protocol to compare with it: --metric METRIC/PROTOCOL", markup=False)
    else:
        console().print(f"no paper's numbers on {data.name} are known here", markup=False)
    if written is not None:
        write_csv(pd.concat([own, papers], ignore_index=True), written, digits=None)


def key_of(row: Row) -> tuple[str, str, str]:
    """What tells a row from the others."""
    return row.metric, row.protocol, row.key


def scores_table(rows: list[Row], repeats: int, ends: dict[tuple[str, str, str], list[str]] | None = None) -> Table:
    """Scores for a terminal. ends: the text of each row's floor and ceiling, for columns of their own."""
    shown = Table()
    numbers = ["value", *(["sampling"] if repeats > 1 else []), *(ENDS if ends is not None else [])]
    for column in ("metric", "protocol", "result", *numbers):
        shown.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    shown.columns[0].no_wrap = True
    for row in rows:
        value = f"{row.value:.6f}" if isinstance(row.value, float) else str(row.value)
        spread = [] if repeats == 1 else ["" if row.sampling is None else f"± {row.sampling:.6f}"]
        shown.add_row(row.metric, row.protocol, row.key, value, *spread, *(ends[key_of(row)] if ends else []))
    return shown


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
