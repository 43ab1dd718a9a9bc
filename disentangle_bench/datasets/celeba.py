"""CelebA (Liu et al., ICCV 2015, mmlab.ie.cuhk.edu.hk/projects/CelebA.html): faces with 40 attributes.

Papers crop the aligned images (178 × 218) in different ways, and scores don't compare across crops, so each is a
dataset of its own: `celeba`, `celeba-infogan-cr`, `celeba-squash`. `-train`, `-valid` and `-test` behind any of these
names give the official parts of the same prepared file.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.celeba_files import (
    ATTRIBUTES,
    IMAGES,
    LIST,
    PARTITION,
    PARTS,
    check_partition,
    find,
    images_in_order,
    read_attributes,
)
from disentangle_bench.datasets.download import Remote
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.datasets.trees import decoded, open_tree
from disentangle_bench.errors import UserError

ALIGNED = (178, 218)


def centre_148(image: Image.Image) -> np.ndarray:
    """The middle 148 × 148, averaged to 64 × 64: uint8 (64, 64, 3)."""
    return np.asarray(image.crop((15, 35, 163, 183)).resize((64, 64), Image.Resampling.BILINEAR))


def centre_128(image: Image.Image) -> np.ndarray:
    """The middle 128 × 128 to 32 × 32 as OpenCV interpolates, uint8 (32, 32, 3): the mean of 2 × 2 of each 4 × 4."""
    pixels = np.asarray(image.crop((25, 45, 153, 173))).astype(np.uint16)
    middle = pixels[1::4, 1::4] + pixels[1::4, 2::4] + pixels[2::4, 1::4] + pixels[2::4, 2::4]
    return ((middle + 2) // 4).astype(np.uint8)


def squash(image: Image.Image) -> np.ndarray:
    """The whole image, averaged to 64 × 64 and so flattened: uint8 (64, 64, 3)."""
    return np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR))


CROPS: dict[str, tuple[int, Callable[[Image.Image], np.ndarray], str]] = {  # suffix: side, crop, words
    "": (64, centre_148, "middle 148x148 to 64x64"),
    "infogan-cr": (32, centre_128, "middle 128x128 to 32x32"),
    "squash": (64, squash, "squashed to 64x64"),
}


class CelebA(StoredDataset):
    """Faces, uint8 (N, 3, S, S), with their attributes as factors of two values: 0 absent, 1 present; no labels.

    A subclass with smaller `part_sizes` reads smaller files.
    """

    name: ClassVar[str] = "celeba"
    description: ClassVar[str] = "faces with 40 attributes, middle 148x148 to 64x64, 202,599 images"
    image_shape = (3, 64, 64)
    factor_names = ATTRIBUTES
    factor_sizes = (2,) * len(ATTRIBUTES)
    files: ClassVar[tuple[Remote, Remote, Remote]] = (IMAGES, LIST, PARTITION)
    part_sizes: ClassVar[tuple[int, ...]] = (162_770, 19_867, 19_962)  # of PARTS, which follow one another
    file_name: ClassVar[str] = "celeba.h5"
    crop: ClassVar[str] = ""  # a key of CROPS
    part: ClassVar[str] = ""  # one of PARTS; "" for all of them
    suffix: ClassVar[str] = ""  # what makes this class a variant of `family`, which has none
    family: ClassVar[type[CelebA]]

    @classmethod
    @functools.cache
    def variant(cls, suffix: str) -> type[CelebA] | None:
        """The class of another crop, of a part, or of both: "squash", "train", "squash-train"."""
        for crop, part in itertools.product(CROPS, ("", *PARTS)):
            if suffix and suffix == "-".join(filter(None, (crop, part))):
                side, _, words = CROPS[crop]
                about = {
                    "name": f"{cls.name}-{suffix}",
                    "description": f"faces with 40 attributes, {words}" + (f", the {part} part" if part else ""),
                    "file_name": f"{'-'.join(filter(None, (cls.name, crop)))}.h5",
                    "image_shape": (3, side, side),
                }
                return type(cls.__name__, (cls,), about | {"crop": crop, "part": part, "suffix": suffix, "family": cls})
        return None

    @classmethod
    def published(cls) -> tuple[Remote, ...]:
        return cls.files

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        """From img_align_celeba.zip, or the folder unpacked from it, and two lists; see `celeba_files.find`."""
        images, attributes, partition = find(cls.files, root, source, cls.name)
        count = sum(cls.part_sizes)
        check_partition(partition, cls.part_sizes)
        table = read_attributes(attributes, count)
        tree = open_tree(images)
        crop = CROPS[cls.crop][1]

        def transform(name: str, image: Image.Image) -> np.ndarray:
            if image.size != ALIGNED:
                raise UserError(f"{images}: {name} is {image.width} × {image.height}, expected 178 × 218.")
            return crop(image.convert("RGB"))

        blocks = decoded(tree, images_in_order(tree, count), transform)
        return Reading(
            cls.row_shape(),
            blocks,
            images.name,
            {"factors": table},
            {"name": Path(cls.file_name).stem},
            files=(images, attributes, partition),
        )

    @classmethod
    def row_shape(cls) -> tuple[int, ...]:
        """The shape of all rows in the file, all parts together."""
        channels, height, width = cls.image_shape
        return (sum(cls.part_sizes), height, width, channels)

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.rows = self.rows[self._range()]
        self.checksum += f":{self.part}" if self.part else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_reopened, (self.family, self.suffix, self.root)) if self.suffix else super().__reduce__()

    @property
    def factor_table(self) -> np.ndarray | None:  # type: ignore[override]
        """The attributes, int64 (N, 40), of this part."""
        return self.tables["factors"][self._range()]

    @classmethod
    def _range(cls) -> slice:
        if not cls.part:
            return slice(None)
        k = PARTS.index(cls.part)
        start = sum(cls.part_sizes[:k])
        return slice(start, start + cls.part_sizes[k])


def _reopened(family: type[CelebA], suffix: str, root: Path) -> CelebA:
    found = family.variant(suffix)
    if found is None:
        raise ValueError(f"{family.name} has no variant '{suffix}'")
    return found(root)
