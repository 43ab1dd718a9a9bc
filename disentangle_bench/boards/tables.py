"""A leaderboard as people read it: a CSV file, and tables for a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from disentangle_bench.files import write_file
from disentangle_bench.trials.sweep import variant_of

SHOWN = ["rank", "model", "codes from", "mean ± sd", "95 % interval", "sampling", "seeds", "published"]


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write the leaderboard: comma-separated, a full stop for decimals, no index, empty cells for no value."""
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n", float_format="%.6g")
    write_file(path, buffer.getvalue())


def rich_tables(table: pd.DataFrame) -> Iterable[Table]:
    """The leaderboard for a terminal, one table a dataset × metric × protocol × key, within 100 columns.

    The columns rank, sampling (the metric's own standard deviation on one encoder) and published are shown where they
    hold anything; the reason why a score is missing, and which part
    of a virtual dataset was scored, stand below.
    """
    for (dataset, metric, protocol, key), group in table.groupby(["dataset", "metric", "protocol", "key"], sort=False):
        name = f"{metric} · {protocol}" + ("" if key == "score" else f" · {key}")
        rows = [cells({str(name): value for name, value in row.items()}) for row in group.to_dict("records")]
        columns = [c for c in SHOWN if c not in ("rank", "sampling", "published") or any(row[c] for row in rows)]
        reasons = [str(reason) for reason in group["skipped"].dropna().unique() if reason]
        notes = [f"no score: {'; '.join(reasons)}"] if reasons else []
        notes += [f"scored on {part}" for part in group["evaluated"].dropna().unique() if part]
        caption = "\n".join(notes) or None
        shown = Table(title=f"{dataset} · {name}", title_justify="left", caption=caption, caption_justify="left")
        for column in columns:
            text = column in ("model", "codes from")
            shown.add_column(column, justify="left" if text else "right", overflow="fold" if text else "ellipsis")
        for row in rows:
            shown.add_row(*(row[column] for column in columns))
        yield shown


def cells(row: dict[str, Any]) -> dict[str, str]:
    """One row's text by shown column."""

    def number(name: str) -> str:
        return "" if pd.isna(row[name]) else f"{row[name]:.3f}"

    reference = row["code_source"] == "reference"
    failed = 0 if reference else int(row["failures"])
    spread = f" ± {number('sd')}" if number("sd") else ""
    published = number("published")
    if published and not pd.isna(row["published_spread"]):
        published += f" ± {row['published_spread']:.2f}"
    return {
        "rank": "" if pd.isna(row["rank"]) else str(row["rank"]),
        "model": str(row["model"]) + variant_of(row["configuration"]),
        "codes from": str(row["code_source"]),
        "mean ± sd": (number("mean") or "–") + spread,
        "95 % interval": "" if reference else str(row["ci95"]),
        "sampling": f"± {number('sampling_sd')}" if number("sampling_sd") else "",
        "seeds": "" if reference else str(int(row["seeds"])) + (f", {failed} failed" if failed else ""),
        "published": published,
    }
