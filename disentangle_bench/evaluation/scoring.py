"""Scores of anyone's codes, as rows: a finished trial's, or arrays from a file."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from disentangle_bench import registry
from disentangle_bench.contracts import CodeTable, Dataset, Metric, Progress, silent
from disentangle_bench.errors import UserError, unknown
from disentangle_bench.files import write_file
from disentangle_bench.metrics import score_table


@dataclass(frozen=True)
class Row:
    """One number of a metric under a protocol, or the reason why it has none.

    sampling: the standard deviation over the metric's own seeds, where there are several.
    """

    metric: str
    protocol: str
    key: str
    value: float | str
    sampling: float | None = None


def score_rows(
    table: CodeTable,
    wanted: Sequence[str],
    seed: int = 0,
    repeats: int = 1,
    dataset: Dataset | None = None,
    progress: Progress = silent,
) -> list[Row]:
    """Rows of every score, and of the other numbers beside it, but not of the matrices among the details.

    wanted: METRIC, all its protocols, or METRIC/PROTOCOL each; if empty, every metric under `robust`. dataset: where
    the codes are of one, its metrics' reasons to skip it.
    """
    pairs = [pair for name in wanted for pair in protocols(name)] or default_protocols()
    rows: list[Row] = []
    for done, (metric, protocol) in enumerate(pairs, start=1):
        reason = registry.get("metric", metric).reason_to_skip(dataset) if dataset is not None else None
        seeds = 1 if protocol in registry.get("metric", metric).slow else repeats
        result = {"skip": reason} if reason else score_table(metric, table, protocol, seed, seeds)
        sampling = result.get("sampling", {})
        rows += [
            Row(metric, protocol, key, value, sampling.get(key))
            for key, value in result.items()
            if isinstance(value, int | float | str)
        ]
        progress(done, len(pairs))
    return rows


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Rows as CSV; an empty cell where there are no repeats."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows(astuple(row) for row in rows)  # None is an empty cell
    write_file(path, buffer.getvalue())


def default_protocols() -> list[tuple[str, str]]:
    """Every metric of codes under `robust`, or under its first protocol where it has no such."""
    chosen = []
    for name in registry.metrics_of(Metric):
        known = registry.get("metric", name).protocols
        chosen.append((name, "robust" if "robust" in known else next(iter(known))))
    return chosen


def protocols(name: str) -> list[tuple[str, str]]:
    """(metric, protocol) pairs of METRIC, all its protocols, or METRIC/PROTOCOL."""
    metric, slash, protocol = name.partition("/")
    known = registry.get("metric", metric).protocols
    if metric not in registry.metrics_of(Metric):
        raise UserError(f"{metric} judges images, not codes; name it among a study's `metrics` instead.")
    if slash and protocol not in known:
        raise unknown(f"protocol of {metric}", protocol, known)
    return [(metric, protocol)] if slash else [(metric, each) for each in known]


def read_table(codes: Path, factors: Path | None) -> CodeTable:
    """Codes (N, D) and factors (N, K) from .npy or .npz files; both may be in one .npz.

    An .npz holds them under the names `codes` and `factors`, or each as its only array.
    """
    if factors is None and codes.suffix != ".npz":
        raise UserError(f"--factors is missing: {codes} holds codes alone.")
    return CodeTable(read_array(codes, "codes"), read_array(factors or codes, "factors", shared=factors is None))


def read_array(path: Path, name: str, shared: bool = False) -> np.ndarray:
    """One array of a file; `shared`: the file must tell it by its name, as it holds another, too."""
    try:
        content = np.load(path, allow_pickle=False)
        arrays = {name: content} if isinstance(content, np.ndarray) else dict(content)
    except FileNotFoundError as error:
        raise UserError(f"--{name} {path}: there is no such file.") from error
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"--{name} {path} is no .npy or .npz file of numbers; write one with numpy.savez.") from error
    if name in arrays:
        return arrays[name]
    if len(arrays) == 1 and not shared:
        return next(iter(arrays.values()))
    raise UserError(f"{path} holds {', '.join(arrays) or 'no arrays'}, but none is named '{name}'.")
