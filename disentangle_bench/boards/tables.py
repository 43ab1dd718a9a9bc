"""A leaderboard as people read it: CSV files, and tables for a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from disentangle_bench.boards.leaderboard import NUMERICS, TOO_FEW
from disentangle_bench.files import harmless, write_file
from disentangle_bench.trials.sweep import variant_of

SHOWN = ["rank", "model", "codes from", "mean ± sd", "95 % interval", "sampling", "seeds", "published"]
IF_ANY = ("rank", "sampling", "published")  # shown where they hold anything
DROPPED = [
    "codes from",
    "sampling",
    "rank",
    "published",
    "95 % interval",
    "seeds",
]  # in this order, where space is short
WORDS = ("model", "codes from")
NARROWEST = 12  # a model's name is folded to this width before a column is dropped
SAMPLING = "sampling: the metric's own standard deviation on one encoder, apart from the spread over seeds"


def write_csv(table: pd.DataFrame, path: Path, digits: int | None = 6) -> None:
    """Write a table: comma-separated, a full stop for decimals, no index, empty cells for no value.

    Numbers have `digits` significant digits; or, where that is None, as many as give the same float64 when read.
    """
    buffer = io.StringIO()
    table = table.map(harmless).rename(columns=harmless)
    table.to_csv(buffer, index=False, lineterminator="\n", float_format=None if digits is None else f"%.{digits}g")
    write_file(path, buffer.getvalue())


def rich_tables(table: pd.DataFrame, width: int = 100) -> Iterable[Table]:
    """The leaderboard for a terminal, one table a dataset × metric × protocol × key, within `width` columns.

    Where that is too narrow, columns are left out, never digits. Below stand the reason why a score is missing, which
    part of a dataset was scored, and what else a row or a column needs to be understood.
    """
    for (dataset, metric, protocol, key), group in table.groupby(["dataset", "metric", "protocol", "key"], sort=False):
        name = f"{metric} · {protocol}" + ("" if key == "score" else f" · {key}")
        better = "" if group["better"].iloc[0] == "higher" else " · lower is better"
        rows = [cells({str(name): value for name, value in row.items()}) for row in group.to_dict("records")]
        columns = fitting([c for c in SHOWN if c not in IF_ANY or any(row[c] for row in rows)], rows, width)
        caption = "\n".join(notes(group, columns)) or None
        title = f"{dataset} · {name}{better}"
        shown = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
        for column in columns:
            if column in WORDS:
                shown.add_column(column, justify="left", overflow="fold")
            else:
                shown.add_column(column, justify="right", no_wrap=True, min_width=widest(column, rows))
        for row in rows:
            shown.add_row(*(row[column] for column in columns))
        yield shown


def fitting(columns: list[str], rows: list[dict[str, str]], width: int) -> list[str]:
    """The columns that stand within `width`, without those that matter least."""
    kept = list(columns)
    for column in DROPPED:
        needed = sum(NARROWEST if each == "model" else widest(each, rows) for each in kept) + 3 * len(kept) + 1
        if needed <= width:
            break
        kept = [each for each in kept if each != column]
    return kept


def widest(column: str, rows: list[dict[str, str]]) -> int:
    """The characters that a column needs."""
    return max(len(column), *(len(row[column]) for row in rows))


def notes(group: pd.DataFrame, columns: list[str]) -> Iterable[str]:
    """What has to be said below one table."""
    models = group[group["kind"] == "model"]
    reasons = [str(reason) for reason in models["skipped"].dropna().unique() if reason]
    if reasons:
        yield f"no score: {'; '.join(reasons)}"
    yield from (f"scored on {part}" for part in models["evaluated"].dropna().unique() if part)
    for _, row in models.iterrows():
        if str(row["configuration"]).endswith("-changed") and row["changes"]:
            yield f"{row['model']}: {str(row['configuration']).removesuffix('-changed')} with {row['changes']}"
    mixed = [name for name in NUMERICS if models[name].astype(str).str.startswith("mixed: ").any()]
    if mixed:
        yield f"seeds were computed differently: {', '.join(mixed)}; the CSV says how"
    if "sampling" in columns:
        yield SAMPLING
    if (models["ci95_t"] == TOO_FEW).any() and "95 % interval" in columns:
        yield f"{TOO_FEW}: of fewer no interval is given"


def cells(row: Mapping[str, Any]) -> dict[str, str]:
    """One row's text by shown column."""

    def number(name: str) -> str:
        return "" if pd.isna(row[name]) else f"{row[name]:.3f}"

    reference = row["kind"] == "reference"
    failed = int(row["failures"])
    spread = f" ± {number('sd')}" if number("sd") else ""
    published = number("published")
    if published and not pd.isna(row["published_spread"]):
        published += f" ± {row['published_spread']:.2f}"
    return {
        "rank": "" if pd.isna(row["rank"]) else str(row["rank"]),
        "model": str(row["model"]) + variant_of(row["configuration"]),
        "codes from": str(row["code_source"]),
        "mean ± sd": (number("mean") or "–") + spread,
        "95 % interval": "" if reference else str(row["ci95_t"]),
        "sampling": f"± {number('sampling_sd')}" if number("sampling_sd") else "",
        "seeds": "" if reference else str(int(row["seeds"])) + (f", {failed} failed" if failed else ""),
        "published": published,
    }
