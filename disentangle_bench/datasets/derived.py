"""The base of datasets that are another one in all but one respect, such as drafts, and share its prepared file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from disentangle_bench import registry
from disentangle_bench.contracts import Dataset, Progress, silent


class Derived:
    """Stands before the class of the whole dataset, whose images, factors and file it has."""

    name: ClassVar[str]
    whole: ClassVar[type[Any]]
    checksum: str

    @classmethod
    def prepare(cls, root: Path, progress: Progress = silent, source: Path | None = None) -> Path:
        """As the whole dataset's, which may take no source."""
        return cls.whole.prepare(root, progress, **({"source": source} if source else {}))

    @classmethod
    def prepared(cls, root: Path) -> Path | None:
        """As the whole dataset's."""
        return cls.whole.prepared(root)

    @classmethod
    def path(cls, root: Path) -> Path:
        """As the whole dataset's."""
        return cls.whole.path(root)

    def __init__(self, root: Path) -> None:
        super().__init__(root)  # type: ignore[call-arg]  # of the dataset that stands behind this class
        self.root = root

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.name, self.root)


def reopened(name: str, root: Path) -> Dataset:
    """A derived dataset that was pickled: its place, never its images."""
    return registry.get("dataset", name)(root)
