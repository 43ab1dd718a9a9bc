"""What the papers report: tables of published numbers, and the columns of a leaderboard that hold them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from disentangle_bench.errors import UserError
from disentangle_bench.resources import shipped

PUBLISHED_COLUMNS = [
    "model", "configuration", "dataset", "metric", "protocol", "key", "value", "spread", "seeds", "source", "note",
]  # fmt: skip
NOT_STATED = "not stated"  # the protocol of a number whose paper prints none: it can stand beside no score of ours


def published_folder(results: Path) -> Path:
    """Where the papers' tables are: under the results root where it has its own, else those that the package ships."""
    own = results / "published"
    return own if own.is_dir() else shipped("results/published")


def read_published(folder: Path) -> pd.DataFrame:
    """All tables of published numbers in a folder; `UserError` for a file without the columns that they need."""
    tables = []
    for path in sorted(folder.glob("*.csv")):
        table = pd.read_csv(path)
        missing = [column for column in PUBLISHED_COLUMNS if column not in table]
        if missing:
            raise UserError(f"{path} lacks the column '{missing[0]}'; it needs {', '.join(PUBLISHED_COLUMNS)}.")
        tables.append(table[PUBLISHED_COLUMNS])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=PUBLISHED_COLUMNS)


def published_values(published: pd.DataFrame) -> pd.DataFrame:
    """The papers' numbers as columns to join: each stands beside the configuration that it names, and no other."""
    return published.dropna(subset=["configuration"]).rename(
        columns={"value": "published", "spread": "published_spread", "source": "published_source"}
    )[
        [
            "model",
            "configuration",
            "dataset",
            "metric",
            "protocol",
            "key",
            "published",
            "published_spread",
            "published_source",
        ]
    ]
