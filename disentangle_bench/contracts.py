"""What data flows through the suite: `Dataset`, `CodeTable`, `Metric`, `Comparison`.

This file needs numpy alone, so that the metrics work on anyone's arrays without torch or Ray. The contract that does
need torch, `Model`, is in `models/base.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from disentangle_bench.errors import UserError, unknown

Scores = dict[str, float]
Progress = Callable[[int, int], None]  # (done, total)

ROBUST = "robust"  # the suite's own protocol of a metric; see `UnderProtocols.default_protocol`
EVERY = "all"  # stands for every protocol of a metric, and is the name of none


def silent(done: int, total: int) -> None:
    """The `Progress` that shows nothing."""


class Dataset(ABC):
    """Images, with generative factors where they are known: on a full grid, as a table, or none with a reason.

    On a full grid every combination of factor values occurs once, in order, and an image's index is arithmetic.
    Elsewhere `factor_table` holds each image's values. The images lie in `rows`, in whatever form is small and fast
    (dSprites: one bit a pixel), mapped from a file and never copied; `decode` turns rows into pixels, on numpy arrays
    and on torch tensors alike, so that a trainer can keep the rows on its device and decode there.

    A virtual dataset has more images than rows, or draws what is no factor (`nuisance`) anew for each image that is
    trained on: it overrides `pixels`, `__len__` and `evaluation`.
    """

    registered_as: ClassVar[str] = "dataset"
    name: ClassVar[str]
    description: ClassVar[str] = ""
    image_shape: tuple[int, int, int]  # (C, H, W)
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()  # on a full grid, the last factor varies fastest
    no_factors: ClassVar[str] = ""
    """Why it has no factors, where it has none: "its images come without annotation"."""
    same_image: ClassVar[Mapping[str, Mapping[int, int]]] = {}
    """Factor values whose images are identical to another value's: {factor: {value: the value it repeats}}."""
    label_factor: ClassVar[str | None] = None
    """The factor that stands for an image's class, which conditional models are given; None: see `class_names`."""
    class_names: tuple[str, ...] = ()
    """What the classes in `label_table` are called, where labels are no factor; empty: it has no such labels."""
    nuisance: ClassVar[str] = ""
    """What is drawn anew for each image that is trained on and is no factor, in words; empty: nothing is."""

    rows: np.ndarray  # uint8 (N, ...), as stored
    checksum: str  # sha256 of the stored content; part of every trial's identity
    factor_table: np.ndarray | None = None  # int64 (N, K), where the images are no full grid
    label_table: np.ndarray | None = None  # int64 (N,), where the labels are no factor

    @classmethod
    def prepare(cls, root: Path, progress: Progress = silent, source: Path | None = None) -> Path:
        """Make the prepared file under `root` unless it is there already, and return its path.

        By default there is none to make. source: the user's own file, archive or folder to read from. Left out by
        callers that have none, so that a dataset that is made from nothing need not take it.
        """
        return root

    @classmethod
    def download(cls) -> str:
        """How much `prepare` downloads, in words: "268 MB", "none", "yours" (bring the files); empty: not said."""
        return ""

    @classmethod
    def disk(cls) -> int | None:
        """The bytes that the prepared file takes; None where that can't be known before, or there is none."""
        return None

    @classmethod
    def prepared(cls, root: Path) -> Path | None:
        """The prepared file under `root`, or None where it is missing; where none is needed, the root."""
        return root

    @abstractmethod
    def __init__(self, root: Path) -> None:
        """Map the prepared file under `root`; raise `UserError` where it is missing or damaged."""

    def decode(self, rows: Any) -> Any:
        """Stored rows (N, ...) to images, uint8 (N, C, H, W), 0..255; numpy in, numpy out; torch in, torch out.

        By default the rows are the images.
        """
        return rows

    @classmethod
    def variant(cls, suffix: str) -> type[Dataset] | None:
        """The dataset called `<name>-<suffix>` where this class stands for a family; None where there is no such."""
        return None

    def warm(self) -> None:
        """Begin to read the stored rows into memory, where they lie in a file; by default there is nothing to do."""
        return

    def verify(self, progress: Progress = silent) -> None:
        """Check the prepared content again; `UserError` where it isn't what was prepared."""
        raise UserError(f"{self.name} has nothing stored that could be verified.")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def full_grid(self) -> bool:
        """Whether every combination of factor values occurs once, in order."""
        return bool(self.factor_names) and self.factor_table is None

    def evaluation(self) -> np.ndarray:
        """Indices of the images that are encoded and scored, int64 (M,): all, unless they are too many."""
        return np.arange(len(self))

    def draw_weights(self) -> np.ndarray | None:
        """How often training draws each image beside the others, float64 (N,), 0 or more; None: all equally often.

        What is scored is drawn by metrics, which don't read this.
        """
        return None

    def pixels(self, stored: Any, index: Any, keys: Any = None) -> Any:
        """Images, uint8 (B, C, H, W), at `index` from all the rows as stored; numpy in, numpy out; torch, torch.

        keys: int64 (B,), what a dataset with `nuisance` draws it by; None: by the index, so that an image is the same
        each time.
        """
        return self.decode(stored[index])

    def images(self, index: Any) -> np.ndarray:
        """The images at these indices, int (N,) or one: uint8 (N, C, H, W), 0..255; `UserError` outside."""
        return self.pixels(self.rows, self._rows_at(index))

    def index(self, factors: Any) -> np.ndarray:
        """Indices, int64 (N,), of factor values, int (N, K) or (K,), each counted from 0; `UserError` outside.

        `UserError`, too, where the images are no full grid: several or none may have these values.
        """
        if not self.full_grid:
            reason = "its images are not a full grid" if self.factor_names else self.no_factors
            raise UserError(f"{self.name} can't find images by their factors: {reason}.")
        given = np.atleast_2d(np.asarray(factors))
        if given.ndim != 2 or given.shape[1] != len(self.factor_sizes):
            names = ", ".join(self.factor_names)
            raise UserError(f"{self.name} has {len(self.factor_sizes)} factors ({names}), not {given.shape[-1]}.")
        whole = given.astype(np.int64)
        for k, (name, size) in enumerate(zip(self.factor_names, self.factor_sizes, strict=True)):
            wrong = (whole[:, k] != given[:, k]) | (whole[:, k] < 0) | (whole[:, k] >= size)
            if wrong.any():
                raise UserError(
                    f"factor '{name}' of {self.name} takes whole values 0 to {size - 1}, not {given[wrong, k][0]}."
                )
        return np.ravel_multi_index(tuple(whole.T), self.factor_sizes)

    def factors(self, index: Any) -> np.ndarray:
        """Factor values, int64 (N, K), of indices, int (N,) or one; on a full grid the inverse of `index`."""
        if self.factor_table is not None:
            return self.factor_table[self._rows_at(index)]
        if not self.factor_names:
            return np.empty((len(self._rows_at(index)), 0), dtype=np.int64)
        return np.stack(np.unravel_index(self._rows_at(index), self.factor_sizes), axis=1)

    def classes(self) -> int:
        """The number of classes that `labels` tells apart; 0 without labels."""
        if self.label_factor is not None:
            return self.factor_sizes[self.factor_names.index(self.label_factor)]
        return len(self.class_names)

    def labels(self, index: Any) -> np.ndarray:
        """The class of the image at each index, int64 (N,); `UserError` where the dataset has none."""
        if self.label_table is not None:
            return self.label_table[self._rows_at(index)]
        if self.label_factor is None:
            raise UserError(f"{self.name} has no class labels; choose another dataset for conditional models.")
        return self.factors(index)[:, self.factor_names.index(self.label_factor)]

    def _rows_at(self, index: Any) -> np.ndarray:
        given = np.atleast_1d(np.asarray(index))
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
            raise UserError(f"an index into {self.name} is whole numbers (N,), not {given.dtype} {given.shape}.")
        outside = given[(given < 0) | (given >= len(self))]
        if outside.size:
            raise UserError(f"index {outside[0]} is outside {self.name}, which has rows 0 to {len(self) - 1}.")
        return given.astype(np.int64)


@dataclass(frozen=True)
class CodeTable:
    """The codes of all images beside their factors; all that a metric sees.

    codes: (N, D), cast to float64; every value finite.
    factors: (N, K), cast to int64; value labels, in any coding. K may be 0: scores that need none remain.
    factor_names: K names, for messages.
    same_image: as `Dataset.same_image`; protocols that ask for it see repeated values merged.
    """

    codes: np.ndarray
    factors: np.ndarray
    factor_names: tuple[str, ...] = ()
    same_image: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        codes, factors = np.asarray(self.codes), np.asarray(self.factors)
        if codes.ndim != 2 or factors.ndim != 2:
            raise UserError(
                f"codes must be (N, D) and factors (N, K), but their shapes are {codes.shape} and {factors.shape}."
            )
        if len(codes) != len(factors):
            raise UserError(f"codes have {len(codes)} rows and factors {len(factors)}; each image needs both.")
        if not codes.size or not len(factors):
            raise UserError(f"codes {codes.shape} and factors {factors.shape} must not be empty.")
        for name, array in (("codes", codes), ("factors", factors)):
            if array.dtype.kind not in "biuf":
                raise UserError(f"{name} must be real numbers, but {_not_number(name, array)}")
        codes = codes.astype(np.float64)
        finite = np.isfinite(codes).all(axis=0)
        if not finite.all():
            column = int(np.flatnonzero(~finite)[0])
            raise UserError(f"codes column {column} holds a value that is not finite; repair or drop that column.")
        fits = np.abs(factors) < 2.0**63  # the cast of a NaN, or of more, would warn before this says what is wrong
        whole = factors.astype(np.int64) if fits.all() else factors
        wrong = whole != factors if fits.all() else ~fits
        if wrong.any():
            column = int(np.flatnonzero(wrong.any(axis=0))[0])
            raise UserError(
                f"factors must be whole numbers: the index of each factor's value, not the value itself, and column "
                f"{column} holds others. {_numbering(column)}"
            )
        names = tuple(self.factor_names) or tuple(f"factor{k}" for k in range(factors.shape[1]))
        if len(names) != factors.shape[1]:
            raise UserError(f"{len(names)} factor names were given for {factors.shape[1]} factors.")
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "factors", whole)
        object.__setattr__(self, "factor_names", names)

    @classmethod
    def of(cls, dataset: Dataset, codes: np.ndarray) -> CodeTable:
        """The table of the images that a dataset is evaluated on, from their codes (M, D)."""
        return cls(codes, dataset.factors(dataset.evaluation()), dataset.factor_names, dataset.same_image)

    @cached_property
    def varying_factors(self) -> np.ndarray:
        """Indices of the factors with more than one value; the others can be neither fixed nor predicted."""
        return np.flatnonzero((self.factors != self.factors[0]).any(axis=0))

    @cached_property
    def _by_value(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """For each factor: rows sorted by value; and by row, value number; and by value number, start and count."""
        tables = []
        for column in self.factors.T:
            _, number, count = np.unique(column, return_inverse=True, return_counts=True)
            order = np.argsort(number, kind="stable")
            tables.append((order, number, np.cumsum(count) - count, count))
        return tables

    @cached_property
    def value_counts(self) -> np.ndarray:
        """How many values each factor takes: int (K,)."""
        return np.array([len(np.unique(column)) for column in self.factors.T], dtype=np.int64)

    def sample(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Row indices (size,), uniform with replacement."""
        return rng.integers(len(self.codes), size=size)

    def sample_sharing(self, factor: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        """Row indices (V, size): in group v all rows share one value of factor[v], int (V,).

        An anchor row, uniform over all rows, sets that value; the group is drawn uniformly with replacement from the
        rows that have it. On a full grid this draws the value and all other factors uniformly and independently.
        """
        anchor = rng.integers(len(self.codes), size=len(factor))
        rows = np.empty((len(factor), size), dtype=np.int64)
        for k in np.flatnonzero(np.bincount(factor)):
            groups = np.flatnonzero(factor == k)
            order, number, start, count = self._by_value[k]
            value = number[anchor[groups]]
            # A scalar bound, as on a full grid, draws the same numbers as an array of it in a quarter of the time.
            bound = count[0] if (count == count[0]).all() else count[value][:, None]
            rows[groups] = order[start[value][:, None] + rng.integers(bound, size=(len(groups), size))]
        return rows

    def without_company(self) -> str | None:
        """The reason why groups that share a factor's value would say nothing; None where they do.

        Where most images are the only one with their value of a factor, such a group is one image over and over, and
        every code is constant on it.
        """
        for k in self.varying_factors:
            _, number, _, count = self._by_value[k]
            if (count[number] == 1).mean() > 0.5:
                return f"most values of factor '{self.factor_names[k]}' occur in a single image"
        return None

    def merge_same_images(self) -> CodeTable:
        """This table with the factor values that give identical images counted as one value."""
        if not self.same_image:
            return self
        factors = self.factors.copy()
        for name, same in self.same_image.items():
            column = factors[:, self.factor_names.index(name)]
            for value, original in same.items():
                column[column == value] = original
        return CodeTable(self.codes, factors, self.factor_names)


def _not_number(name: str, array: np.ndarray) -> str:
    """Which column holds something else, what, and what to do; (N, any) of a type that is not real."""
    for column, values in enumerate(array.T):
        for value in values:
            if not isinstance(value, int | float | np.number) or np.iscomplexobj(value):
                next_step = _numbering(column) if name == "factors" else "Repair or drop that column."
                return f"column {column} holds {str(value)!r:.40}. {next_step}"
    return f"their type is {array.dtype}; convert them: {name}.astype(float)."


def _numbering(column: int) -> str:
    return f"Number its values: numpy.unique(factors[:, {column}], return_inverse=True)[1]."


class UnderProtocols:
    """What is computed under named protocols; the name fixes all that could change the result."""

    name: str
    protocols: Mapping[str, Any]

    @property
    def default_protocol(self) -> str:
        """The protocol that is meant wherever none is named: `robust` where there is one, else the first."""
        return ROBUST if ROBUST in self.protocols else next(iter(self.protocols))

    def protocol(self, name: str | None) -> str:
        """The protocol of this name, or the default one; `UserError` with those that there are."""
        chosen = self.default_protocol if name is None else name
        if chosen not in self.protocols:
            raise unknown(f"protocol of {self.name}", chosen, self.protocols)
        return chosen

    def protocols_of(self, word: str | None) -> list[str]:
        """The protocols that a word of the command line or of a study file stands for: `all`, one, or the default."""
        return list(self.protocols) if word == EVERY else [self.protocol(word)]


@dataclass(frozen=True)
class Score(UnderProtocols):
    """What every metric declares: a pure function under named protocols, and how its result is read.

    compute: (what is scored, protocol's settings, generator) -> {key: value}, every value finite, or {"skip": reason}.
    protocols: settings by name; the name fixes all that could change the score.
    keys: the entries of that result that are scores, in the leaderboard's order; others are details beside them.
    range: the smallest and the largest value that a score can take.
    skip: why a dataset can't be scored, in words; None where it can.
    slow: protocols that take minutes, each with what it costs in words, said before it starts.
    """

    name: str
    title: str
    cite: str
    compute: Callable[[Any, Any, np.random.Generator], dict[str, Any]]
    protocols: Mapping[str, Any]
    keys: tuple[str, ...] = ("score",)
    higher_is_better: bool = True
    range: tuple[float, float] = (0.0, 1.0)
    skip: Callable[[Dataset], str | None] = lambda dataset: None
    slow: Mapping[str, str] = field(default_factory=dict)

    def reason_to_skip(self, dataset: Dataset) -> str | None:
        """Why models of this dataset can't be scored, in words; None where they can."""
        return self.skip(dataset)


@dataclass(frozen=True)
class Cost:
    """What a score takes on the data at hand.

    work: in words, such as "trains 800 boosted trees". seconds: of processor time, roughly.
    """

    work: str
    seconds: float


@dataclass(frozen=True)
class Metric(Score):
    """A disentanglement score, of a `CodeTable`.

    needs_factors: False where codes alone are enough.
    cost: (codes, protocol's settings) -> what the score takes on them, for what may take minutes; None elsewhere.
    """

    needs_factors: bool = True
    cost: Callable[[CodeTable, Any], Cost | None] = lambda table, protocol: None

    def reason_to_skip(self, dataset: Dataset) -> str | None:
        """As `Score` has it; a dataset without factors is skipped where they are needed."""
        if self.needs_factors and not dataset.factor_names:
            return f"{dataset.name} has no factors: {dataset.no_factors}"
        return self.skip(dataset)


@dataclass(frozen=True)
class Comparison(UnderProtocols):
    """A score of several trained models by one another, which needs no label; higher is better, 0 to 1.

    compute: (what it needs of each model, protocol's name, progress=...) -> {"scores": [one a model], ...}, all finite.
    needs: "codes", the models' codes (N, D_i) of the same N images; or "peers", each model as a
        `metrics.model_centrality.Peer`, which generates and encodes.
    protocols: settings by name; the name fixes all that could change the scores.
    """

    name: str
    title: str
    cite: str
    compute: Callable[..., dict[str, Any]]
    needs: Literal["codes", "peers"]
    protocols: Mapping[str, Any]


class ImageSamples(ABC):
    """Generated images beside the real ones: all that an `ImageMetric` sees.

    dataset: where the real images come from.
    conditional: whether the model is given labels, so that `fake_labelled` works.
    root: the data root, where networks that judge images lie and what was computed of the real images is kept.
    device: where such a network runs, in torch's words.
    progress: (done, total) images, for what takes minutes.
    """

    dataset: Dataset
    conditional: bool
    root: Path
    device: str = "cpu"
    progress: Progress = staticmethod(silent)

    def real(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` real images drawn without replacement: uint8 (n, C, H, W); `UserError` where there are fewer."""
        if n > len(self.dataset):
            raise UserError(f"{self.dataset.name} has {len(self.dataset)} images; {n} can't be drawn from it.")
        return self.dataset.images(rng.choice(len(self.dataset), n, replace=False))

    @abstractmethod
    def fake(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` samples of the model: uint8 (n, C, H, W), 0..255."""

    def fake_labelled(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """`n` samples of a conditional model and the labels that they were made for, uniform: (images, int64 (n,))."""
        raise UserError("this model is given no labels, so it can't be asked for images of a class.")


@dataclass(frozen=True)
class ImageMetric(Score):
    """A score of a model's images beside the real ones, of `ImageSamples`; listed and ranked as a `Metric` is.

    prepare: what has to be under the data root before the first score, such as a network's weights; does nothing where
        it is there, and raises `UserError` where it can't be had.
    """

    prepare: Callable[[Path, Progress], object] = lambda root, progress: None
