"""A user's own images: `folder`, and `folder-NAME` for as many more as there are names.

    disentangle-bench datasets prepare folder-cats --source my/cats.zip

The source is a folder, searched to all depths, or an archive, of images of one size, all grey or all RGB. A
`factors.csv` among them gives their factors: datasets/folder.md.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import posixpath
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import ExifTags, Image

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.folder_factors import Annotation, annotation
from disentangle_bench.datasets.stored import Reading, StoredDataset
from disentangle_bench.datasets.trees import UNDECODABLE, Tree, decoded, image_of, open_tree
from disentangle_bench.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
KINDS = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}  # Pillow's mode: the mode that it is stored as


class Folder(StoredDataset):
    """The images of one source, uint8 (N, C, H, W), in the order of their factors on a full grid, else of their names.

    Shape, factors and classes are the source's, and known once it is prepared.
    """

    name: ClassVar[str] = "folder"
    description: ClassVar[str] = "your own images; `folder-NAME` for more of them"
    no_factors: ClassVar[str] = "no factors.csv that names any came with its images"

    @classmethod
    @functools.cache
    def variant(cls, suffix: str) -> type[Folder] | None:
        """The class of `folder-<suffix>`; None unless it is of letters, digits, dots, underscores and hyphens."""
        if not re.fullmatch(r"\w[\w.-]*", suffix):
            return None
        return type("NamedFolder", (cls,), {"name": f"{cls.name}-{suffix}"})

    @classmethod
    def download(cls) -> str:
        """There is nothing to download."""
        return "yours"

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        """From `source`, which must be given; `UserError` where its images are not alike, and see `annotation`."""
        if source is None:
            raise UserError(
                f"{cls.name} is made of your own images: disentangle-bench datasets prepare {cls.name} --source PATH, "
                "a folder or an archive of them."
            )
        if not os.path.exists(source):
            raise UserError(f"--source {source}: there is no such file or folder.")
        tree = open_tree(source)
        notes = annotated(tree)
        first = notes.images[0]
        expected = _kind(tree, first, image_of(tree, first, tree.read(first)))
        (width, height), mode = expected

        def transform(name: str, image: Image.Image) -> np.ndarray:  # uint8 (H, W, C)
            if (kind := _kind(tree, name, image)) != expected:
                raise UserError(
                    f"the images in {tree.path} must be alike, but '{first}' is {_words(expected)} and '{name}' is "
                    f"{_words(kind)}."
                )
            return np.atleast_3d(np.asarray(image.convert(mode)))

        tables = {"factors": notes.factors, "labels": notes.labels}
        return Reading(
            (len(notes.images), height, width, len(mode)),  # a mode's letters are its channels
            decoded(tree, notes.images, transform),
            source.resolve().name,
            {key: table for key, table in tables.items() if table is not None},
            {
                "factor_names": list(notes.factor_names),
                "factor_sizes": list(notes.factor_sizes),
                "class_names": list(notes.class_names),
            },
            files=(source,),
        )

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        about = self.stored.attributes
        height, width, channels = self.rows.shape[1:]
        self.image_shape = (channels, height, width)
        self.factor_names = tuple(map(str, about["factor_names"]))
        self.factor_sizes = tuple(map(int, about["factor_sizes"]))
        self.class_names = tuple(map(str, about["class_names"]))
        known = json.dumps([self.rows.shape, self.factor_names, self.factor_sizes, self.class_names])
        self.checksum += f":{hashlib.sha256(known.encode()).hexdigest()[:16]}"  # the same bytes may mean other factors

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.name, self.root)


def _reopened(name: str, root: Path) -> Folder:
    found = Folder if name == Folder.name else Folder.variant(name.removeprefix(f"{Folder.name}-"))
    if found is None:
        raise ValueError(f"'{name}' is no name of a folder")
    return found(root)


def annotated(tree: Tree) -> Annotation:
    """The tree's images with what its factors.csv says of them, if it has one; names are the tree's."""
    images = [name for name in tree.names if name.lower().endswith(SUFFIXES)]
    if not images:
        raise UserError(f"{tree.path} holds no images ({', '.join(SUFFIXES)}).")
    notes = [name for name in tree.names if posixpath.basename(name).lower() == "factors.csv"]
    if not notes:
        return Annotation(images)
    if len(notes) > 1:
        raise UserError(f"{tree.path} holds {notes[0]} and {notes[1]}; leave one factors.csv.")
    base = posixpath.dirname(notes[0]) or "."
    relative = {posixpath.relpath(name, base): name for name in images}
    where = f"'{notes[0]}' in {tree.path}"
    try:
        text = tree.read(notes[0]).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not in UTF-8 ({error}); save it as that.") from error
    found = annotation(where, text, list(relative))
    return replace(found, images=[relative[name] for name in found.images])


def _kind(tree: Tree, name: str, image: Image.Image) -> tuple[tuple[int, int], str]:
    """An image's size, (width, height), and the mode that it is stored as, L or RGB."""
    try:
        unfit = _unfit(image)
    except UNDECODABLE as error:
        raise UserError(f"'{name}' in {tree.path} is damaged behind its first frame ({error}). Replace it.") from error
    if unfit:
        raise UserError(f"'{name}' in {tree.path} {unfit}.")
    return image.size, KINDS[image.mode]


def _unfit(image: Image.Image) -> str:
    """Why it is not one plain array of grey or RGB, and the remedy, in words; "" where it is."""
    if image.mode not in KINDS:
        return f"is of mode {image.mode}; save it as 8-bit grey or RGB"
    if "transparency" in image.info:
        return "has a transparent colour; save it without transparency, on the background that you want"
    if (frames := getattr(image, "n_frames", 1)) > 1:
        return f"holds {frames} frames; save the ones that you want as images of their own"
    if (orientation := image.getexif().get(ExifTags.Base.Orientation, 1)) != 1:
        return f"is to be turned or mirrored (EXIF orientation {orientation}); save it upright, without that entry"
    return ""


def _words(kind: tuple[tuple[int, int], str]) -> str:
    (width, height), mode = kind
    return f"{width} × {height} {'grey' if mode == 'L' else 'RGB'}"
