"""Scores of anyone's codes, as rows: a finished trial's, or arrays from a file."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from disentangle_bench import display, registry
from disentangle_bench.contracts import CodeTable, Dataset, Metric, Progress, silent
from disentangle_bench.datasets.regular import irregular
from disentangle_bench.errors import UserError
from disentangle_bench.files import harmless, write_file
from disentangle_bench.metrics import score_table

LARGE, PACKED = 1 << 30, 200  # bytes of an array that may be packed in any way, and how many times beyond that


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

    wanted: METRIC, METRIC/PROTOCOL or METRIC/all each, as `protocols` reads them; if empty, every metric of codes.
    dataset: where the codes are of one, its metrics' reasons to skip it.
    """
    pairs = [pair for name in wanted or registry.metrics_of(Metric) for pair in protocols(name)]
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


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Rows as CSV; an empty cell where there are no repeats."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows(map(harmless, astuple(row)) for row in rows)  # None is an empty cell
    write_file(path, buffer.getvalue())


def protocols(name: str) -> list[tuple[str, str]]:
    """(metric, protocol) pairs of METRIC, its default protocol; METRIC/PROTOCOL; or METRIC/all, every one."""
    metric, slash, word = name.partition("/")
    chosen = registry.get("metric", metric)
    if not isinstance(chosen, Metric):
        raise UserError(f"{metric} judges images, not codes; name it among a study's `metrics` instead.")
    return [(metric, protocol) for protocol in chosen.protocols_of(word if slash else None)]


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
        if kind := irregular(path):
            raise UserError(f"--{name} {path} is {kind}; name an .npy or .npz file.")
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            if name not in content.files and (shared or len(content.files) != 1):
                held = ", ".join(content.files) or "no arrays"
                raise UserError(f"{path} holds {held}, but none is named '{name}'.")
            chosen = name if name in content.files else content.files[0]
            _refuse_a_bomb(path, content.zip.getinfo(f"{chosen}.npy").file_size)
            found: np.ndarray = content[chosen]
            return found
    except FileNotFoundError as error:
        raise UserError(f"--{name} {path}: there is no such file.") from error
    except UserError:
        raise
    except (ValueError, EOFError, OSError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):  # numpy's advice is to unpickle it, which runs whatever it says
            raise UserError(
                f"--{name} {path} holds Python objects, such as text beside numbers, which are not unpickled: number "
                f"each column's values with numpy.unique(..., return_inverse=True), and write {name} as numbers."
            ) from error
        raise UserError(f"--{name} {path} is no .npy or .npz file of numbers; write one with numpy.savez.") from error


def _refuse_a_bomb(path: Path, size: int) -> None:
    """`UserError` for an archive's array that is large, and hundreds of times larger than the whole archive."""
    if size > max(LARGE, PACKED * path.stat().st_size):
        raise UserError(
            f"{path} unpacks to {display.size(size)}, more than {PACKED} times its size; if that is as it should be, "
            "save the arrays with numpy.save."
        )
