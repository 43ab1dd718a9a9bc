"""`digits`: the 8 × 8 handwritten digits that come with scikit-learn, in MNIST's form, for runs without a download."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import sklearn
from PIL import Image
from sklearn.datasets import load_digits

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.errors import UserError

IMAGES = 1_797
SIDE = 28
BOX = 20  # MNIST's digits, too, were fitted into 20 × 20 pixels of the 28 × 28
MARGIN = (SIDE - BOX) // 2
LEVELS = 16


class Digits(StoredDataset):
    """Handwritten digits (Alpaydin & Kaynak 1998), white on black: uint8 (1797, 1, 28, 28), with the digit as label.

    Pixels of 0..16 become 0..255; 8 × 8 is enlarged to 20 × 20 by Pillow's bicubic filter; 4 black pixels go around.
    """

    name: ClassVar[str] = "digits"
    description: ClassVar[str] = "1,797 small handwritten digits of scikit-learn enlarged to 28x28 grey, no download"
    image_shape = (1, SIDE, SIDE)
    no_factors: ClassVar[str] = "its images are annotated with their digit alone"
    class_names = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

    @classmethod
    def row_shape(cls) -> tuple[int, ...]:
        return (IMAGES, SIDE, SIDE, 1)

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        if source is not None:
            raise UserError(f"--source {source}: {cls.name} comes with scikit-learn; leave --source out.")
        found = load_digits()
        images = np.stack([enlarge(image) for image in found.images])[..., None]
        return Reading(
            images.shape,
            [images],
            f"scikit-learn {sklearn.__version__}",
            tables={"labels": found.target.astype(np.int64)},
        )


def enlarge(image: np.ndarray) -> np.ndarray:
    """A digit of 0..16, float64 (8, 8), to uint8 (28, 28)."""
    # In 8 bits Pillow computes with whole numbers: the same bytes on every machine.
    grey = Image.fromarray(np.round(image * 255 / LEVELS).astype(np.uint8))
    return np.pad(np.asarray(grey.resize((BOX, BOX), Image.Resampling.BICUBIC)), MARGIN)
