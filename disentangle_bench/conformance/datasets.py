"""The checks of a dataset, on its prepared file."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from disentangle_bench.conformance import Fatal, Fault, Skip, require
from disentangle_bench.conformance.device import META, on_device
from disentangle_bench.contracts import Dataset
from disentangle_bench.datasets import data_root
from disentangle_bench.errors import PluginError, UserError
from disentangle_bench.plugins import guarded

SAMPLE = 64  # images that are looked at


class Subject:
    """A dataset class, and the dataset itself where it is prepared."""

    def __init__(self, cls: type[Dataset], data: Path | None = None) -> None:
        self.cls, self.root = cls, data_root(data)

    @cached_property
    def dataset(self) -> Dataset:
        """The prepared dataset; `Skip` where there is none."""
        if self.cls.prepared(self.root) is None:
            raise Skip(f"it is not prepared under {self.root}; `disentangle-bench datasets prepare {self.cls.name}`")
        try:
            return guarded(self.cls, "its constructor", self.cls, self.root)
        except PluginError as error:
            raise Fatal(str(error)) from error

    @cached_property
    def some(self) -> np.ndarray:
        """Indices of some of its images, the first and the last among them."""
        return np.unique(np.linspace(0, len(self.dataset) - 1, SAMPLE).astype(np.int64))


def declares(subject: Subject) -> None:
    """It says what it is."""
    prepared = subject.cls.prepared(subject.root) is not None
    about = subject.dataset if prepared else subject.cls  # a family's members know their factors once they are prepared
    for field in ("name", "description"):
        value = getattr(about, field, None)
        require(isinstance(value, str) and value, f"set the class attribute `{field}` to a text; it is {value!r}")
    shape = getattr(about, "image_shape", None)
    require(shape is None or len(shape) == 3, f"`image_shape` must be (C, H, W), not {shape}")
    require(shape is not None or not prepared, "set `image_shape` to (C, H, W)")
    names, sizes = about.factor_names, about.factor_sizes
    require(len(names) == len(sizes), f"{len(names)} factor names stand beside {len(sizes)} factor sizes")
    require(len(set(names)) == len(names), f"two factors have the same name: {names}")
    require(all(size >= 1 for size in sizes), f"factor sizes must be 1 or more, not {sizes}")
    explained = names or about.no_factors or not prepared
    require(explained, "it has no factors; say why in `no_factors`, a reason such as 'its images come unlabelled'")
    label = about.label_factor
    require(label is None or label in names, f"`label_factor` must be one of {names}, not {label!r}")
    for factor, same in about.same_image.items():
        require(factor in names, f"`same_image` names the factor '{factor}', which is none of {names}")
        inside = all(0 <= v < sizes[names.index(factor)] for pair in same.items() for v in pair)
        require(inside, f"`same_image` of '{factor}' holds values outside its {sizes[names.index(factor)]}")


def prepares_once(subject: Subject) -> None:
    """A second `prepare` leaves what is there."""
    subject.dataset  # noqa: B018  skips where it is not prepared
    path = subject.cls.prepared(subject.root)
    before = path.stat().st_mtime_ns if path is not None else 0
    again = subject.cls.prepare(subject.root)
    require(path == again and again.stat().st_mtime_ns == before, "a second `prepare` made the file again")


def knows_its_factors(subject: Subject) -> None:
    """A full grid has one image for each combination of factor values, in order; else a table holds their values."""
    dataset = subject.dataset
    factors, sizes = dataset.factors(subject.some), dataset.factor_sizes
    expected = (len(subject.some), len(dataset.factor_names))
    require(factors.shape == expected, f"`factors` must be {expected}, not {factors.shape}")
    inside = ((factors >= 0) & (factors < np.array(sizes, dtype=np.int64))).all()
    require(inside, f"factor values must be 0 up to their sizes {sizes}, each less one")
    if dataset.full_grid:
        size = math.prod(sizes)
        require(len(dataset) == size, f"it has {len(dataset)} images, and its factors {size} combinations")
        require(np.array_equal(dataset.index(factors), subject.some), "`index` is not the inverse of `factors`")


def gives_images(subject: Subject) -> None:
    """Images are uint8 of its shape, the same each time, and the same for numpy and torch."""
    dataset = subject.dataset
    images = dataset.images(subject.some)
    require(images.dtype == np.uint8, f"images must be uint8, 0 to 255, not {images.dtype}")
    expected = (len(subject.some), *dataset.image_shape)
    require(images.shape == expected, f"images must be {expected}, not {images.shape}")
    require(images.min() < images.max(), "all pixels of the images that were looked at are the same")
    require(np.array_equal(images, dataset.images(subject.some)), "the same indices give other images the second time")
    tensor = dataset.pixels(torch.from_numpy(dataset.rows), torch.from_numpy(subject.some))
    require(isinstance(tensor, torch.Tensor), "`decode` of a torch tensor must give a torch tensor")
    same = tensor.shape == images.shape and np.array_equal(tensor.numpy(), images)
    require(same, "`decode` gives other images for torch tensors than for numpy arrays")


def draws_nuisance(subject: Subject) -> None:
    """What it draws anew is decided by the key alone, for numpy and torch alike."""
    dataset = subject.dataset
    if not dataset.nuisance:
        return
    keys = np.arange(len(subject.some))
    first, second = (dataset.pixels(dataset.rows, subject.some, each) for each in (keys, keys + len(keys)))
    require(not np.array_equal(first, second), "other keys give the same images; draw the nuisance by `keys`")
    rows, index = torch.from_numpy(dataset.rows), torch.from_numpy(subject.some)
    tensor = dataset.pixels(rows, index, torch.from_numpy(keys))
    require(np.array_equal(tensor.numpy(), first), "`pixels` draws otherwise for torch tensors than for numpy arrays")


def weighs_its_images(subject: Subject) -> None:
    """How often training draws each image is said for all of them."""
    weights = subject.dataset.draw_weights()
    if weights is None:
        return
    expected = (len(subject.dataset),)
    require(weights.shape == expected, f"`draw_weights` must be {expected}, not {weights.shape}")
    sound = np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0
    require(sound, "`draw_weights` must be finite, 0 or more, and not all 0")


def stays_on_the_device(subject: Subject) -> None:
    """Images are made where the stored rows are, as a captured step needs it."""
    dataset = subject.dataset
    rows, index = torch.from_numpy(dataset.rows).to(META), torch.from_numpy(subject.some).to(META)
    for copies in (True, False):  # the first images may fetch what they need
        with on_device(copies):
            images = dataset.pixels(rows, index, index if dataset.nuisance else None)
            require(images.device == META, "images are made on the CPU where their stored rows aren't")


def chooses_what_is_evaluated(subject: Subject) -> None:
    """The images that are encoded and scored are its own, each once."""
    index = subject.dataset.evaluation()
    require(index.ndim == 1 and index.size, f"`evaluation` must give indices (M,), not {index.shape}")
    inside = index.min() >= 0 and index.max() < len(subject.dataset)
    require(inside, f"`evaluation` gives indices outside 0 to {len(subject.dataset) - 1}")
    require(len(np.unique(index)) == len(index), "`evaluation` gives an image twice")


def tells_same_images(subject: Subject) -> None:
    """Factor values that are said to give the same image do."""
    dataset = subject.dataset
    if not dataset.full_grid:
        return
    for factor, same in dataset.same_image.items():
        k = dataset.factor_names.index(factor)
        for value, original in same.items():
            factors = dataset.factors(subject.some)
            pairs = [np.where(np.arange(factors.shape[1]) == k, each, factors) for each in (value, original)]
            keys = subject.some  # the same nuisance in both
            one, other = (dataset.pixels(dataset.rows, dataset.index(pair), keys) for pair in pairs)
            require(np.array_equal(one, other), f"values {value} and {original} of '{factor}' give different images")


def refuses_nonsense(subject: Subject) -> None:
    """An index or a factor value that is not there is an error, not another image."""
    dataset = subject.dataset
    sizes = dataset.factor_sizes
    questions: list[tuple[Callable[[], object], str]] = [
        (lambda: dataset.images(len(dataset)), "an index past the end"),
        (lambda: dataset.images(-1), "a negative index"),
    ]
    if dataset.full_grid:
        beyond = [[0] * (len(sizes) - 1) + [sizes[-1]]]
        questions.append((lambda: dataset.index(beyond), "a factor value past the end"))
    else:
        questions.append((lambda: dataset.index([[0] * len(sizes)]), "factor values, where it is no full grid,"))
    for ask, what in questions:
        try:
            ask()
        except UserError:
            continue
        raise Fault(f"{what} gave an answer; raise UserError")


def is_identified(subject: Subject) -> None:
    """Its checksum is the same each time that it is opened."""
    first = subject.dataset.checksum
    same = isinstance(first, str) and first and first == subject.cls(subject.root).checksum
    require(same, "`checksum` must be a text that depends on the stored content alone")


def labels_its_images(subject: Subject) -> None:
    """Its labels, if it has any, count its classes from 0."""
    dataset = subject.dataset
    if not dataset.classes():
        return
    labels = dataset.labels(subject.some)
    require(labels.shape == subject.some.shape, f"`labels` must be {subject.some.shape}, not {labels.shape}")
    inside = labels.min() >= 0 and labels.max() < dataset.classes()
    require(inside, f"labels must be 0 to {dataset.classes() - 1}, not {labels.min()} to {labels.max()}")


CHECKS = [
    declares, prepares_once, knows_its_factors, gives_images, draws_nuisance, weighs_its_images,
    stays_on_the_device, chooses_what_is_evaluated, tells_same_images, refuses_nonsense, is_identified,
    labels_its_images,
]  # fmt: skip
