"""Codes of one's own on a dataset: their scores beside the chance floor, the ceiling, and what the papers report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from disentangle_bench.contracts import Dataset, Progress, silent
from disentangle_bench.evaluation.calibration import Calibration, calibrate
from disentangle_bench.evaluation.scoring import Row

COLUMNS = [
    "metric", "protocol", "key", "value", "sampling", "better", "floor", "ceiling", "model", "spread", "source",
]  # fmt: skip


def own_scores(
    rows: Sequence[Row], name: str, dataset: Dataset, width: int, cache: Path | None = None, progress: Progress = silent
) -> pd.DataFrame:
    """The scores among `rows`, and the reasons where there are none, with `COLUMNS`; what papers have is empty.

    name: of the encoder, in the column `model`. width: of its codes; the floor is that of random codes as wide.
    cache: where floors and ceilings are kept, see `calibrate`.
    """
    told = [row for row in rows if row.better or row.key == "skip"]
    pairs = list(dict.fromkeys((row.metric, row.protocol) for row in told if row.better))
    ends: dict[tuple[str, str], Calibration] = {}
    for done, pair in enumerate(pairs, start=1):
        ends[pair] = calibrate(dataset, *pair, width, cache)
        progress(done, len(pairs))
    table = pd.DataFrame([vars(row) for row in told]).reindex(columns=COLUMNS)
    for end in ("floor", "ceiling"):
        table[end] = [ends.get((row.metric, row.protocol), {}).get(row.key, {}).get(end) for row in told]
    return table.assign(model=name)


def papers_scores(published: pd.DataFrame, dataset: str, metrics: Sequence[str]) -> pd.DataFrame:
    """What the papers report of a dataset by these metrics, each number under its own protocol, with `COLUMNS`."""
    found = published[(published["dataset"] == dataset) & published["metric"].isin(metrics)]
    place = found["metric"].map(list(metrics).index)
    order = found.assign(place=place).sort_values(["place", "protocol", "key"], kind="stable")
    return order.reindex(columns=COLUMNS).reset_index(drop=True)


def in_words(papers: pd.DataFrame) -> Iterator[tuple[str, str, str, str]]:
    """(metric, protocol, key, "vae 0.63 ± 0.06, gan 0.40"): a row for all numbers of one score."""
    for (metric, protocol, key), group in papers.groupby(["metric", "protocol", "key"], sort=False):
        numbers = [
            f"{row['model']} {row['value']:.2f}" + ("" if pd.isna(row["spread"]) else f" ± {row['spread']:.2f}")
            for row in group.to_dict("records")
        ]
        yield str(metric), str(protocol), str(key), ", ".join(numbers)
