"""Every dataset: its images, factors and classes, and its card's words on source and licence."""

from __future__ import annotations

import inspect
from typing import Any

from disentangle_bench import registry
from disentangle_bench.contracts import Dataset
from disentangle_bench.datasets.draft import IMAGES, SUFFIX

from . import cards
from .markdown import code, codes, facts, table

HEAD = f"""# Datasets

`disentangle-bench datasets` lists what is prepared under your data root; `datasets prepare NAME` prepares one. Any of
them called `NAME{SUFFIX}` is trained on whole, but encoded and scored on a fixed sample of {IMAGES:,} images: to try
things. A full grid called `NAME-corr-σ-FACTOR+FACTOR` is trained on with [correlated factors](correlated.md). Some
names stand for families, such as `folder-NAME`; their cards say what NAME may be."""


def page() -> str:
    """The whole page."""
    classes = [registry.get("dataset", name) for name in registry.BUILT_IN["dataset"]]
    rows = [(f"[{cls.name}](#{cls.name})", cls.description, shape(cls)) for cls in classes]
    return "\n\n".join([HEAD, table(["dataset", "what it holds", "image"], rows), *map(section, classes)]) + "\n"


def section(cls: type[Dataset]) -> str:
    """A dataset."""
    card = cards.read(f"datasets/{cls.name}.md")
    known = [
        ("image, channels × height × width", shape(cls)),
        ("factors", factors(cls)),
        ("classes", classes(cls)),
        ("drawn anew for each image", cls.nuisance),
        ("source", cards.row(card, "source")),
        ("licence", cards.row(card, "licence")),
        ("card", f"[{cls.name}]({cls.name}.md)"),
    ]
    return "\n\n".join([f"## {cls.name}", inspect.getdoc(cls) or "", facts(known)])


def shape(cls: type[Any]) -> str:
    """(C, H, W); "as they are" where that depends on the user's own images."""
    found = getattr(cls, "image_shape", None)
    return " × ".join(map(str, found)) if isinstance(found, tuple) else "as they are"


def factors(cls: type[Dataset]) -> str:
    """Names and numbers of values; or why there are none."""
    found = ", ".join(f"{code(name)} {size}" for name, size in zip(cls.factor_names, cls.factor_sizes, strict=True))
    return found or f"none: {cls.no_factors}"


def classes(cls: type[Dataset]) -> str:
    """What conditional models are given."""
    if cls.label_factor:
        return f"the factor {code(cls.label_factor)}"
    return codes(cls.class_names)
