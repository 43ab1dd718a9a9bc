"""OMES: do codes move with one factor alone, and factors move one code alone? From pairs that differ in one factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.discretise import value_numbers
from disentangle_bench.metrics.preparation import left_out, scale_free, unit_size

LARGEST_KEY = 2**62  # of the numbers that stand for combinations of factor values


@dataclass(frozen=True)
class Protocol:
    """Settings of OMES.

    pairs: how many for each factor, at most as many as there are images.
    alpha: the weight of overlap; that of multiple encoding is 1 - alpha.
    pooling: over codes, the mean weighted by how far the factor moves them, or the largest.
    least_std: codes whose standard deviation over 10,000 images is smaller, in code units, are dropped.
    robust: the second image's value is drawn from all values, the first one's too; codes without outliers and scale,
        constants relative to their magnitude, identical images merged.
    """

    pairs: int = 100_000
    alpha: float = 0.5
    pooling: Literal["mean", "largest"] = "mean"
    least_std: float = 0.05
    robust: bool = False


PROTOCOLS = {
    "original": Protocol(),
    "original-largest": Protocol(pooling="largest"),
    "robust": Protocol(robust=True),
}


def omes(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """mean_k Σ_d S_dk² (α O_dk + (1 - α) M_dk) / Σ_d S_dk (Dapueto et al. 2024).

    S_dk = 1 - |ρ|, ρ the correlation of code d over pairs of images that differ in factor k alone: 0 where the factor
    doesn't move the code. O_dk = 1 - mean_j |1[j = k] - S_dj| falls where code d overlaps other factors, M_dk =
    1 - mean_e |1[e = d] - S_ek| where other codes encode factor k, too.

    Returns `score`; `overlap` and `multiple_encoding`, the score for α = 1 and for α = 0; `association`, S as D lists
    of K numbers, 0 for a code that is dropped and a factor left out; `active_codes`, the codes kept; `left_out`, the
    factors with a single value. No active code scores 0; a factor that moves none counts 0.
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so no two images differ in one"}
    if protocol.robust:
        codes, active = scale_free(table.codes)
    else:
        codes, unit = unit_size(table.codes)
        spread = codes[table.sample(10_000, rng)].std(axis=0, ddof=1)
        active = spread >= protocol.least_std / np.maximum(unit, 1e-300)
        active &= (codes != codes[0]).any(axis=0)
    values = value_numbers(table.factors)
    moved = np.zeros((len(active), len(varying)))  # S
    for j, k in enumerate(varying):
        first, second = _pairs(values, int(k), protocol, rng)
        if not len(first):
            return {"skip": f"no two images differ in {table.factor_names[k]} alone"}
        moved[:, j] = 1 - _correlation(codes[first], codes[second])
    moved[~active] = 0
    association = np.zeros((len(active), len(table.factor_names)))
    association[:, varying] = moved
    overlap, multiple = _shares(moved[active])
    return {
        "score": _pooled(moved[active], protocol.alpha * overlap + (1 - protocol.alpha) * multiple, protocol.pooling),
        "overlap": _pooled(moved[active], overlap, protocol.pooling),
        "multiple_encoding": _pooled(moved[active], multiple, protocol.pooling),
        "active_codes": int(active.sum()),
        "association": association.tolist(),
        **left_out(table),
    }


def _pairs(values: np.ndarray, k: int, protocol: Protocol, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows (P,) and (P,) that share the value numbers (N, K) of all factors but the k-th.

    First rows are drawn without replacement from those that have company; second ones from the others of their group,
    and in `robust` from all of it. Where a group holds copies of one image, pairs that do not differ are left out.
    """
    group = np.zeros(len(values), dtype=np.int64)
    span = 1
    for factor in np.delete(values, k, axis=1).T:
        levels = int(factor.max()) + 1
        if span * levels > LARGEST_KEY:
            group = np.unique(group, return_inverse=True)[1]
            span = int(group.max()) + 1
        group, span = group * levels + factor, span * levels
    group = np.unique(group, return_inverse=True)[1]
    order = np.argsort(group, kind="stable")
    count = np.bincount(group)
    start = np.cumsum(count) - count
    place = np.empty(len(group), dtype=np.int64)  # of each row within its group
    place[order] = np.arange(len(group)) - start[group[order]]
    first = rng.permutation(np.flatnonzero(count[group] > 1))[: protocol.pairs]
    size, begin = count[group[first]], start[group[first]]
    if protocol.robust:
        second = order[begin + rng.integers(size)]
        return first, second
    second = order[begin + (place[first] + 1 + rng.integers(size - 1)) % size]
    differ = values[first, k] != values[second, k]
    return first[differ], second[differ]


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|ρ| over pairs of each code, (D,), of codes (P, D) and (P, D); 1 where a code varies on neither or one side."""
    first, second = first - first[0], second - second[0]
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    size = np.sqrt((first**2).sum(axis=0)) * np.sqrt((second**2).sum(axis=0))
    rho = np.abs((first * second).sum(axis=0)) / np.where(size > 0, size, 1)
    return np.where(size > 0, np.minimum(rho, 1), 1)


def _shares(moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """O and M, (A, V) each, of S (A, V): |1 - s| is 1 - s and |0 - s| is s, so only a code's own entry differs."""
    codes, factors = moved.shape
    overlap = 1 - (moved.sum(axis=1, keepdims=True) - 2 * moved + 1) / factors
    return overlap, 1 - (moved.sum(axis=0) - 2 * moved + 1) / max(codes, 1)


def _pooled(moved: np.ndarray, score: np.ndarray, pooling: str) -> float:
    """Mean over factors of the pooled S · score, (A, V) each; a factor that moves no code counts 0."""
    if not len(moved):
        return 0.0
    if pooling == "largest":
        return float((score * moved).max(axis=0).mean())
    total = moved.sum(axis=0)
    return float(((score * moved**2).sum(axis=0) / np.where(total > 0, total, 1)).mean())


METRIC = Metric(
    name="omes",
    title="Overlap and multiple encoding score",
    cite="Dapueto et al., Transferring Disentangled Representations: Bridging the Gap Between Synthetic and Real "
    "Images, NeurIPS 2024",
    compute=omes,
    protocols=PROTOCOLS,
)
