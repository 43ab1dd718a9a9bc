"""Scores of anyone's codes, as rows: a finished trial's, or arrays from a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from disentangle_bench import registry
from disentangle_bench.contracts import CodeTable, Dataset, Metric, Progress, silent
from disentangle_bench.errors import UserError
from disentangle_bench.files import inert, write_file
from disentangle_bench.metrics import score_table


@dataclass(frozen=True)
class Row:
    """One number of a metric under a protocol, or the reason why it has none.

    sampling: the standard deviation over the metric's own seeds, where there are several.
    better: "higher" or "lower"; empty for what is no score but a detail beside it, or the reason why there is none.
    """

    metric: str
    protocol: str
    key: str
    value: float | str
    sampling: float | None = None
    better: str = ""


def score_rows(
    table: CodeTable,
    wanted: Sequence[str],
    seed: int = 0,
    repeats: int = 1,
    dataset: Dataset | None = None,
    progress: Progress = silent,
) -> list[Row]:
    """Rows of every score, and of the other numbers beside it, but not of the matrices among the details.

    wanted: METRIC, METRIC/PROTOCOL or METRIC/all each, as `protocols` reads them; if empty, `default_metrics`.
    dataset: where the codes are of one, its metrics' reasons to skip it.
    """
    pairs = [pair for name in wanted or default_metrics() for pair in protocols(name)]
    rows: list[Row] = []
    for done, (metric, protocol) in enumerate(pairs, start=1):
        chosen = registry.get("metric", metric)
        reason = chosen.reason_to_skip(dataset) if dataset is not None else None
        seeds = 1 if protocol in chosen.slow else repeats
        result = {"skip": reason} if reason else score_table(metric, table, protocol, seed, seeds)
        sampling = result.get("sampling", {})
        better = "higher" if chosen.higher_is_better else "lower"
        rows += [
            Row(metric, protocol, key, value, sampling.get(key), better if key in chosen.keys else "")
            for key, value in result.items()
            if isinstance(value, int | float | str)
        ]
        progress(done, len(pairs))
    return rows


def default_metrics() -> list[str]:
    """The metrics of codes that are meant where none is named: all but those whose default protocol takes minutes."""
    found = ((name, registry.get("metric", name)) for name in registry.metrics_of(Metric))
    return [name for name, metric in found if metric.default_protocol not in metric.slow]


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Rows as CSV; an empty cell where there are no repeats; no text that a spreadsheet would run."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    for row in rows:  # None is an empty cell
        writer.writerow([inert(value) if isinstance(value, str) else value for value in astuple(row)])
    write_file(path, buffer.getvalue())


def protocols(name: str) -> list[tuple[str, str]]:
    """(metric, protocol) pairs of METRIC, its default protocol; METRIC/PROTOCOL; or METRIC/all, every one."""
    metric, slash, word = name.partition("/")
    chosen = registry.get("metric", metric)
    if not isinstance(chosen, Metric):
        raise UserError(f"{metric} judges images, not codes; name it among a study's `metrics` instead.")
    return [(metric, protocol) for protocol in chosen.protocols_of(word if slash else None)]
