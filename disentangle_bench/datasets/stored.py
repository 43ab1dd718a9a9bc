"""The base of datasets whose images lie in one prepared file: a subclass says how to read its source."""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from disentangle_bench.contracts import Dataset, Progress, silent
from disentangle_bench.datasets import storage
from disentangle_bench.datasets.remote import Remote
from disentangle_bench.datasets.virtual import channels_first
from disentangle_bench.display import size


@dataclass(frozen=True)
class Reading:
    """What a dataset's source holds, ready to be written.

    shape: of all rows, (N, H, W, C). blocks: uint8 (n, H, W, C), in order, N rows in all; read as they are asked for.
    source: what they were read from, in words. tables: `factors`, int64 (N, K), and `labels`, int64 (N,), where the
    images are no full grid or have classes that are no factor. attributes: what else the file should say of itself.
    files: those that are read, or the folder or archive that they are in; none where the images are drawn.
    """

    shape: tuple[int, ...]
    blocks: Iterable[np.ndarray]
    source: str
    tables: Mapping[str, np.ndarray] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[Path] = ()


class StoredDataset(Dataset):
    """Images in `<root>/<file_name>`, stored as uint8 (N, H, W, C): a grey image has one channel."""

    file_name: ClassVar[str] = ""  # left out: `<name>.h5`

    @classmethod
    @abstractmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        """Find the source, check it, and say what it holds; `UserError` where it can't be found or isn't whole.

        source: the user's own file, archive or folder; None: look under `root`, then download. progress: of a
        download, in bytes; writing the rows reports for itself.
        """

    @classmethod
    def path(cls, root: Path) -> Path:
        """Where the prepared file is, or will be."""
        return root / (cls.file_name or f"{cls.name}.h5")

    @classmethod
    def published(cls) -> tuple[Remote, ...]:
        """The published files that it is read from; those without an address have to be the user's own copies."""
        return ()

    @classmethod
    def download(cls) -> str:
        """The sum of the published files' sizes, as far as they are known: 268 MB, > 263 MB; "yours": bring them."""
        files = cls.published()
        if not any(file.urls for file in files):
            return "yours" if files else "none"
        least = sum(file.size or file.smallest for file in files)
        if all(file.size for file in files):
            return size(least)
        return f"> {size(least)}" if least else "unknown"

    @classmethod
    def disk(cls) -> int | None:
        """One byte a stored value."""
        shape = cls.row_shape()
        return math.prod(shape) if shape else None

    @classmethod
    def prepared(cls, root: Path) -> Path | None:
        """The prepared file; None where it is missing."""
        path = cls.path(root)
        return path if os.path.exists(path) else None  # unlike Path.exists, False where a folder can't be entered

    @classmethod
    def prepare(cls, root: Path, progress: Progress = silent, source: Path | None = None) -> Path:
        """Make the prepared file unless it is there. Raises `UserError` where `read` does or `root` can't be written.

        A file that was prepared before stays, whatever `source` is given now.
        """
        path = cls.path(root)
        if cls.prepared(root) is None:
            with storage.locked(path):
                if cls.prepared(root) is None:  # else another process made it while this one waited
                    found = cls.read(root, source, progress)
                    about = {"name": cls.name, "source": found.source, **read_from(*found.files), **found.attributes}
                    storage.write(path, found.shape, found.blocks, about, progress, found.tables)
        return path

    def __init__(self, root: Path) -> None:
        """Map the prepared file under `root`; `UserError` where it is missing or damaged."""
        self.root = root
        self.stored = storage.open_rows(self.path(root), self.name, self.row_shape())
        self.rows = self.stored.rows
        self.checksum = str(self.stored.attributes["content_sha256"])
        self.source = str(self.stored.attributes["source"])
        self.read_from: tuple[str, ...] = tuple(map(str, self.stored.attributes.get("read_from", ())))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.root,)  # a pickled dataset is its place, never its images

    @classmethod
    def row_shape(cls) -> tuple[int, ...] | None:
        """The shape of all rows in the file; None where it can't be known before."""
        return None

    @cached_property
    def tables(self) -> dict[str, np.ndarray]:
        """The file's tables, read when they are first asked for."""
        return storage.read_tables(self.stored.path, self.name)

    @property
    def factor_table(self) -> np.ndarray | None:  # type: ignore[override]  # read late: few need it, and it may be large
        """Factor values, int64 (N, K), where the images are no full grid."""
        return self.tables.get("factors")

    @property
    def label_table(self) -> np.ndarray | None:  # type: ignore[override]
        """Classes, int64 (N,), where they are no factor."""
        return self.tables.get("labels")

    def warm(self) -> None:
        """Begin to read the file ahead, so that random rows are in memory when training asks for them."""
        storage.warm(self.stored)

    def verify(self, progress: Progress = silent) -> None:
        """Hash the stored content again; `UserError` where it isn't what was written."""
        storage.verify(self.stored, self.name, progress)

    def decode(self, rows: Any) -> Any:
        """Stored rows, uint8 (N, H, W, C), to images, uint8 (N, C, H, W); numpy or torch."""
        return channels_first(rows)


def read_from(*files: Path) -> dict[str, list[str]]:
    """The attribute that keeps the absolute paths of what was read; none of them, none of it."""
    paths = [os.fsencode(file.absolute()).decode(errors="replace") for file in files]
    return {"read_from": paths} if paths else {}
