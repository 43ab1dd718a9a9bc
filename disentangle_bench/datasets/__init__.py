"""Datasets by name: `load("dsprites")` prepares what is missing and returns a `Dataset`.

d = load("dsprites")
d.factor_names, d.factor_sizes       # ("shape", ...), (3, 6, 40, 32, 32)
i = d.index([[2, 5, 0, 16, 16]])     # the row of a large heart in the middle
d.images(i)                          # uint8 (1, 1, 64, 64), 0 and 255
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from disentangle_bench import registry
from disentangle_bench.contracts import Dataset, Progress, silent
from disentangle_bench.plugins import guarded

__all__ = ["data_root", "load", "names"]


def data_root(root: str | Path | None = None) -> Path:
    """The folder of the prepared datasets, absolute: `root`, else DISENTANGLE_BENCH_DATA, else ./datasets."""
    return Path(root or os.environ.get("DISENTANGLE_BENCH_DATA") or "datasets").expanduser().absolute()


def names(root: str | Path | None = None) -> list[str]:
    """All registered datasets, each followed by the members of its family that are prepared under `data_root(root)`."""
    found = {path.stem for path in data_root(root).glob("*.h5")}
    listed = []
    for name in registry.names("dataset"):
        members = sorted(each for each in found if name in registry.families(each)[:1])
        listed += [name, *(each for each in members if registry.known_dataset(each))]
    return listed


def load(name: str, root: str | Path | None = None, prepare: bool = True, progress: Progress = silent) -> Dataset:
    """Open a dataset by its registered name, mapped from its prepared file under `data_root(root)`.

    prepare: make that file where it is missing, saying so on stderr in one line. progress: (done, total) while it does.
    Raises `UserError` for an unknown name; for a file that is damaged, or missing where `prepare` is False; and where
    it can't be made.
    """
    cls = registry.get("dataset", name)
    folder = data_root(root)
    if prepare and guarded(cls, "`prepared`", cls.prepared, folder) is None:
        sys.stderr.write(f"{name}: preparing it under {folder}, once\n")
        guarded(cls, "`prepare`", cls.prepare, folder, progress)
    return guarded(cls, "its constructor", cls, folder)
