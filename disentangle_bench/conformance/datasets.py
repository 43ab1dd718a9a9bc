"""The checks of a dataset, on its prepared file."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from disentangle_bench.conformance import Fault, Skip, require
from disentangle_bench.contracts import Dataset
from disentangle_bench.datasets import data_root
from disentangle_bench.errors import UserError

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
        return self.cls(self.root)

    @cached_property
    def some(self) -> np.ndarray:
        """Indices of some of its images, the first and the last among them."""
        return np.unique(np.linspace(0, len(self.dataset) - 1, SAMPLE).astype(np.int64))


def declares(subject: Subject) -> None:
    """It says what it is."""
    cls = subject.cls
    for field in ("name", "description"):
        value = getattr(cls, field, None)
        require(isinstance(value, str) and value, f"set the class attribute `{field}` to a text; it is {value!r}")
    require(len(cls.image_shape) == 3, f"`image_shape` must be (C, H, W), not {cls.image_shape}")
    names, sizes = cls.factor_names, cls.factor_sizes
    require(len(names) == len(sizes), f"{len(names)} factor names stand beside {len(sizes)} factor sizes")
    require(len(set(names)) == len(names), f"two factors have the same name: {names}")
    require(all(size >= 1 for size in sizes), f"factor sizes must be 1 or more, not {sizes}")
    label = cls.label_factor
    require(label is None or label in names, f"`label_factor` must be one of {names}, not {label!r}")
    for factor, same in cls.same_image.items():
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


def is_a_full_grid(subject: Subject) -> None:
    """It has one image for each combination of factor values, in order."""
    dataset = subject.dataset
    size = math.prod(subject.cls.factor_sizes)
    require(len(dataset) == size, f"it has {len(dataset)} images, and its factors {size} combinations")
    factors = dataset.factors(subject.some)
    require(np.array_equal(dataset.index(factors), subject.some), "`index` is not the inverse of `factors`")


def gives_images(subject: Subject) -> None:
    """Images are uint8 of its shape, and decoding is the same for numpy and torch."""
    dataset = subject.dataset
    images = dataset.images(subject.some)
    require(images.dtype == np.uint8, f"images must be uint8, 0 to 255, not {images.dtype}")
    expected = (len(subject.some), *subject.cls.image_shape)
    require(images.shape == expected, f"images must be {expected}, not {images.shape}")
    require(images.min() < images.max(), "all pixels of the images that were looked at are the same")
    tensor = dataset.decode(torch.from_numpy(np.ascontiguousarray(dataset.rows[subject.some])))
    require(isinstance(tensor, torch.Tensor), "`decode` of a torch tensor must give a torch tensor")
    require(
        np.array_equal(tensor.numpy(), images), "`decode` gives other images for torch tensors than for numpy arrays"
    )


def tells_same_images(subject: Subject) -> None:
    """Factor values that are said to give the same image do."""
    dataset = subject.dataset
    for factor, same in subject.cls.same_image.items():
        k = subject.cls.factor_names.index(factor)
        for value, original in same.items():
            factors = dataset.factors(subject.some)
            pairs = [np.where(np.arange(factors.shape[1]) == k, each, factors) for each in (value, original)]
            one, other = (dataset.images(dataset.index(pair)) for pair in pairs)
            require(np.array_equal(one, other), f"values {value} and {original} of '{factor}' give different images")


def refuses_nonsense(subject: Subject) -> None:
    """An index or a factor value that is not there is an error, not another image."""
    dataset = subject.dataset
    sizes = subject.cls.factor_sizes
    for ask, what in (
        (lambda: dataset.images(len(dataset)), "an index past the end"),
        (lambda: dataset.images(-1), "a negative index"),
        (lambda: dataset.index([[0] * (len(sizes) - 1) + [sizes[-1]]]), "a factor value past the end"),
    ):
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
    if subject.cls.label_factor is None:
        return
    labels = dataset.labels()
    require(labels.shape == (len(subject.dataset),), f"`labels` must be (N,), not {labels.shape}")
    inside = labels.min() >= 0 and labels.max() < subject.cls.classes()
    require(inside, f"labels must be 0 to {subject.cls.classes() - 1}, not {labels.min()} to {labels.max()}")


CHECKS = [
    declares, prepares_once, is_a_full_grid, gives_images, tells_same_images, refuses_nonsense, is_identified,
    labels_its_images,
]  # fmt: skip
