"""3D Chairs (Aubry et al., CVPR 2014, www.di.ens.fr/willow/research/seeing3Dchairs): `chairs3d`, 64 × 64, grey.

Renderings of 1,393 chairs, each from 2 elevations and 31 azimuths. Models that were trained on 3D Chairs crop the
600 × 600 renderings to their middle 400 × 400 first, as is done here.
"""

from __future__ import annotations

import math
import posixpath
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.download import Remote, fetch
from disentangle_bench.datasets.sources import locate
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.datasets.trees import Tree, decoded, open_tree
from disentangle_bench.errors import UserError

SIDE = 64
RENDERED = (600, 600)
BOX = (100, 100, 500, 500)  # left, top, right, bottom
ELEVATIONS = (20, 30)  # degrees; the rotation about the view is 96 in all names
AZIMUTHS = tuple(360 * k // 31 for k in range(31))
VIEWS = tuple(
    f"image_{31 * i + k:03d}_p{elevation:03d}_t{azimuth:03d}_r096.png"
    for i, elevation in enumerate(ELEVATIONS)
    for k, azimuth in enumerate(AZIMUTHS)
)

REMEDY = "Delete it, fetch or unpack rendered_chairs.tar again, and add or remove nothing."


class Chairs3D(StoredDataset):
    """Dark chairs on white: uint8 (N, 1, 64, 64). A subclass with fewer models in `factor_sizes` reads a smaller tree.

    Models are numbered in the order of their folders' names.
    """

    name: ClassVar[str] = "chairs3d"
    description: ClassVar[str] = "renderings of 1,393 chairs by 2 elevations and 31 azimuths, 64x64 grey, 86,366 images"
    image_shape = (1, SIDE, SIDE)
    factor_names = ("model", "elevation", "azimuth")
    factor_sizes = (1393, len(ELEVATIONS), len(AZIMUTHS))
    remote: ClassVar[Remote] = Remote(
        "rendered_chairs.tar",
        ("https://www.di.ens.fr/willow/research/seeing3Dchairs/data/rendered_chairs.tar",),
        smallest=86_366 * 1024,  # a tar has a header and a block, 512 bytes each, for a file of one byte
    )

    @classmethod
    def published(cls) -> tuple[Remote, ...]:
        return (cls.remote,)

    @classmethod
    def row_shape(cls) -> tuple[int, ...]:
        return (math.prod(cls.factor_sizes), SIDE, SIDE, 1)

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        """From rendered_chairs.tar or the folder rendered_chairs; downloaded where neither is there.

        `UserError` unless exactly the expected images are in it.
        """
        path = locate((cls.remote.file_name, "rendered_chairs"), root, cls.name, source)
        tree = open_tree(path or fetch(cls.remote, root / cls.name, progress), REMEDY)
        names = in_order(tree, cls.factor_sizes[0])
        return Reading(cls.row_shape(), decoded(tree, names, small), tree.path.name, files=(tree.path,))


def in_order(tree: Tree, models: int) -> list[str]:
    """The names of all images in the order of the grid; `UserError` that names one that is missing or one too many."""
    found: dict[str, set[str]] = defaultdict(set)  # folder -> its images
    for name in tree.names:
        if name.endswith(".png"):
            found[posixpath.dirname(name)].add(posixpath.basename(name))
    for folder, images in sorted(found.items()):
        for wrong, what in ((images - set(VIEWS), "is none of the 62 views"), (set(VIEWS) - images, "is missing")):
            if wrong:
                raise UserError(f"{tree.path}: {posixpath.join(folder, min(wrong))} {what}. {REMEDY}")
    if len(found) != models:
        some = ", ".join(islice(sorted(found), 2)) or "none"
        raise UserError(f"{tree.path} holds {len(found)} chairs ({some}, ...), expected {models}. {REMEDY}")
    return [f"{folder}/{view}" for folder in sorted(found) for view in VIEWS]


def small(name: str, image: Image.Image) -> np.ndarray:
    """A rendering cropped, averaged and made grey: uint8 (64, 64, 1)."""
    if image.size != RENDERED:
        raise UserError(f"{name} is {image.width} × {image.height}, expected 600 × 600. {REMEDY}")
    averaged = image.convert("RGB").crop(BOX).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(averaged.convert("L"))[..., None]
