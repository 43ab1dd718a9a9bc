"""`NAME-corr-σ-PAIR…`: a full grid whose training images are drawn with correlated factors (Roth et al., ICLR 2023).

`dsprites-corr-0.1-scale+posX` draws an image with probability ∝ exp(−(c₁ − c₂)² / 2σ²), where c₁ and c₂ are its scale
and its posX, scaled to [0, 1], and σ is 0.1. Only what training draws changes: images, factors and all that is encoded
and scored are the whole grid's.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from disentangle_bench.contracts import Dataset
from disentangle_bench.datasets.derived import Derived
from disentangle_bench.errors import UserError, unknown

MARK = "-corr-"
ALL = "all"  # `scale+all`: one factor with each of the others
MOST_PAIRS = 3
SIGMA = re.compile(r"(0|[1-9]\d*)(\.\d*[1-9])?")  # one way of writing a number, so that a distribution has one name

Pair = tuple[str, str]


class Correlated(Derived):
    """What a correlated dataset has of its own; all else is the whole grid's, whose prepared file it shares."""

    sigma: ClassVar[float]
    asked: ClassVar[tuple[Pair, ...]]  # as the name says them

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.checksum += self.name.removeprefix(self.whole.name)
        if not self.full_grid:  # type: ignore[attr-defined]
            raise UserError(
                f"{self.name}: the images of {self.whole.name} are no full grid of factors, so none can be correlated; "
                "choose a dataset that is one, such as dsprites."
            )
        self.pairs = resolved(self.name, self.asked, self.factor_names, self.factor_sizes)  # type: ignore[attr-defined]

    def draw_weights(self) -> np.ndarray:
        """Of each image the product of exp(−(c₁ − c₂)² / 2σ²) over the pairs, float64 (N,), at most 1."""
        return grid_weights(self.factor_sizes, self.pairs, self.sigma)  # type: ignore[attr-defined]


def grid_weights(sizes: Sequence[int], pairs: Sequence[tuple[int, int]], sigma: float) -> np.ndarray:
    """exp(−Σ (c_j − c_k)² / 2σ²) over pairs (j, k), float64 (∏ sizes,), rows in order, the last factor fastest.

    c_k: the number of factor k's value, divided by its largest.
    """
    values = np.meshgrid(*(np.linspace(0, 1, size) for size in sizes), indexing="ij", sparse=True)
    exponent = np.zeros((1,) * len(sizes))
    for j, k in pairs:
        exponent = exponent - (values[j] - values[k]) ** 2 / (2 * sigma**2)
    return np.broadcast_to(np.exp(exponent), tuple(sizes)).ravel()


@functools.cache
def correlated(whole: type[Dataset], correlation: str) -> type[Dataset]:
    """The dataset called `<whole's name>-corr-<correlation>`, such as `0.1-scale+posX` or `0.4-shape+all`.

    `UserError` for a σ or pairs that can't be, or that have another name already; pairs are compared with the factors
    where the class knows them, else once it is prepared.
    """
    name = whole.name + MARK + correlation
    first, *written = correlation.split("-")
    if whole.name.endswith("-draft"):
        raise UserError(f"'{name}': write -draft at its end.")
    if not SIGMA.fullmatch(first) or float(first) == 0:
        raise UserError(f"'{name}': after {MARK} comes σ, a number above 0 such as 0.4, 0.1 or 0.04, not '{first}'.")
    asked: list[Pair] = []
    for pair in written:
        one, plus, other = pair.partition("+")
        if not (one and plus and other) or "+" in other:
            raise UserError(f"'{name}': '{pair}' is no pair of factors; write it FACTOR+FACTOR.")
        asked.append((one, other))
    if whole.factor_names:
        resolved(name, asked, whole.factor_names, whole.factor_sizes)
    said = " and ".join(f"{one} with {other}" for one, other in asked)
    about = f"{whole.description}; trained on images in which {said} correlate (σ {first}), scored on the full grid"
    own = {"name": name, "description": about, "whole": whole, "sigma": float(first), "asked": tuple(asked)}
    return type(f"{whole.__name__}Correlated", (Correlated, whole), own)


def resolved(
    name: str, asked: Sequence[Pair], factors: tuple[str, ...], sizes: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """The pairs as numbers of factors; `UserError` unless they are one to three, each once, in the factors' order."""
    for factor in (each for one, other in asked for each in ((one,) if other == ALL else (one, other))):
        if factor not in factors:
            raise unknown("factor", factor, factors, f" ('{name}')")
        if sizes[factors.index(factor)] == 1:
            raise UserError(f"'{name}': factor '{factor}' has a single value and can't correlate; choose another.")
    if any(other == ALL for _, other in asked):
        if len(asked) > 1:
            raise UserError(f"'{name}': {asked[0][0]}+{ALL} stands alone; leave out the other pairs.")
        k = factors.index(asked[0][0])
        return tuple((k, j) for j in range(len(factors)) if j != k)  # one of a single value changes nothing
    pairs = [(factors.index(one), factors.index(other)) for one, other in asked]
    ordered = sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
    if pairs != ordered:
        once = "-".join(f"{factors[j]}+{factors[k]}" for j, k in ordered)
        remedy = f"write {once}" if once else "name two factors"
        raise UserError(f"'{name}': pairs are of two factors, each once and in the factors' order; {remedy}.")
    if len(pairs) > MOST_PAIRS:
        raise UserError(f"'{name}': it names {len(pairs)} pairs; name one to {MOST_PAIRS}, or FACTOR+{ALL}.")
    return tuple(pairs)
