"""`NAME-draft`: any dataset, trained on whole, but encoded and scored on a fixed sample of 10,000 images.

To try things: 20 steps on `dsprites-32` are nothing beside the codes of its 737,280 images. The name marks what is a
draft, in each trial's identity and in each table, which also says "scored on 10,000 of 737,280 images"; a score of it
stands beside no other's.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from disentangle_bench.contracts import Dataset
from disentangle_bench.datasets.derived import Derived

SUFFIX = "-draft"
IMAGES = 10_000


class Draft(Derived):
    """What a draft has of its own; all else is the whole dataset's, whose prepared file it shares."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.checksum += SUFFIX

    def evaluation(self) -> np.ndarray:
        """`IMAGES` of the images that the whole dataset is evaluated on, drawn once without replacement, in order."""
        all_of_them: np.ndarray = super().evaluation()  # type: ignore[misc]
        if len(all_of_them) <= IMAGES:
            return all_of_them
        return np.sort(np.random.default_rng(0).choice(all_of_them, IMAGES, replace=False))


@functools.cache
def draft_of(whole: type[Dataset]) -> type[Dataset]:
    """The draft of a dataset: the class that is called `<its name>-draft`."""
    about = f"{whole.description}; a draft: scored on a sample of {IMAGES:,}"
    return type(
        f"{whole.__name__}Draft", (Draft, whole), {"name": whole.name + SUFFIX, "description": about, "whole": whole}
    )
