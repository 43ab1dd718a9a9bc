"""What the tests of the metrics share: grids of factors, codes of all of dSprites, and inputs of any kind."""

import functools
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, example, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from disentangle_bench.contracts import CodeTable
from disentangle_bench.evaluation.oracles import oracle_codes

NAMES = ("shape", "scale", "orientation", "x", "y")
DSPRITES = (3, 6, 40, 32, 32)
SMALL = (3, 4, 10, 8, 8)
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)


@functools.cache
def grid(sizes: tuple[int, ...]) -> np.ndarray:
    """All combinations of factor values, int64 (N, K), the last factor fastest."""
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)


FACTORS = grid((2, 3, 4))
EXTREMES = (
    np.full((len(FACTORS), 1), 1.79e308),
    np.where(FACTORS % 2 == 0, 1.79e308, -1.79e308),
    FACTORS * 5e-324,
    FACTORS * np.array([1e300, 1.0, 1e-300]),
    np.where(np.arange(len(FACTORS))[:, None] == 3, 1e308, FACTORS),
    FACTORS * np.array([1e300, 5e-324, 1e-300]),
)
"""Codes of FACTORS at which arithmetic overflows or vanishes."""


@functools.lru_cache(maxsize=4)  # a table takes 90 MB
def whole(kind: str, seed: int = 0, see_all: bool = False) -> CodeTable:
    """An oracle encoder's codes of all of dSprites. Orientations 0 and 39 are one image and have one code, unless the
    encoder is said to `see_all` forty."""
    factors = grid(DSPRITES)
    seen = factors if see_all else np.where((np.arange(5) == 2) & (factors == 39), 0, factors)
    codes = oracle_codes(seen, "ideal" if kind == "noise-added" else kind, seed)
    if kind == "noise-added":
        codes = np.hstack([codes, np.random.default_rng(seed).standard_normal((len(codes), 5))])
    return CodeTable(codes, factors, NAMES, {"orientation": {39: 0}})


def codes_of(elements: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    """One to four codes of FACTORS."""
    return st.integers(1, 4).flatmap(lambda width: hnp.arrays(np.float64, (len(FACTORS), width), elements=elements))


def extremes(test: Callable[..., None]) -> Callable[..., None]:
    """Adds EXTREMES to a test's examples, with seed 0."""
    for codes in EXTREMES:
        test = example(codes=codes, seed=0)(test)
    return test


def few(examples: int) -> settings:
    """So many examples, the same in each run, however long they take."""
    return settings(max_examples=examples, suppress_health_check=list(HealthCheck), derandomize=True)
