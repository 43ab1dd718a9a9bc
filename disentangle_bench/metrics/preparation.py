"""What the metrics that hold a factor fixed share: which factors can be, how they are drawn, and scale-free codes."""

from __future__ import annotations

import numpy as np

from disentangle_bench.contracts import CodeTable

ROUNDING = 2.0**-21  # four float32 steps: a code that spreads less, next to its own magnitude, is a constant
CLIPPED = 1000  # `scale_free` clips one row in so many at either end


def left_out(table: CodeTable) -> dict[str, list[str]]:
    """The detail that names the factors with a single value, which are never drawn; empty where there is none."""
    varying = set(table.varying_factors.tolist())
    names = [name for k, name in enumerate(table.factor_names) if k not in varying]
    return {"left_out": names} if names else {}


def draw_factors(varying: np.ndarray, count: int, in_turn: bool, rng: np.random.Generator) -> np.ndarray:
    """The factor that each group holds fixed, int (count,): uniform, or each of `varying` in turn."""
    return varying[np.arange(count) % len(varying)] if in_turn else rng.choice(varying, size=count)


def draw_rows(table: CodeTable, rows: str, rng: np.random.Generator) -> np.ndarray:
    """Row indices, int (M,): "10,000" of them uniformly with replacement, or a "tenth" without, at least two of them
    where there are two."""
    if rows == "tenth":
        return rng.choice(
            len(table.codes), size=min(len(table.codes), max(2, round(len(table.codes) / 10))), replace=False
        )
    return table.sample(10_000, rng)


def varies(codes: np.ndarray) -> np.ndarray:
    """Which codes take more than one value: bool (D,) of codes (N, D)."""
    return (codes != codes[0]).any(axis=0)


def unit_size(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, D) over a power of two near their largest magnitude, to (-2, 2); and that power (D,).

    Squares and differences of the result can't overflow, and those of tiny codes don't vanish; the division is exact.
    """
    size = _power_of_two(np.maximum(codes.max(axis=0), -codes.min(axis=0)))
    return codes / size, size


def scale_free(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, D) without outliers, location and scale, to [0, 1]; and which of them vary, bool (D,).

    Each code is clipped to its 0.1 and 99.9 percentiles (rows by rank, so fewer than 1,000 rows are not clipped), then
    mapped to [0, 1]. A code whose clipped spread is rounding next to its magnitude counts as a constant, and is 0.
    """
    rank = len(codes) // CLIPPED
    ends = np.partition(codes, (rank, len(codes) - 1 - rank), axis=0)
    low, high = ends[rank], ends[len(codes) - 1 - rank]  # (D,)
    scaled = np.clip(codes, low, high)
    size = _power_of_two(np.maximum(np.abs(low), np.abs(high)))
    scaled, low, high = scaled / size, low / size, high / size  # now high - low can't overflow
    spread = high - low
    active = spread > ROUNDING * np.maximum(np.abs(low), np.abs(high))
    scaled -= low
    scaled /= np.where(active, spread, 1)
    scaled[:, ~active] = 0
    return scaled, active


def _power_of_two(magnitude: np.ndarray) -> np.ndarray:
    """The largest power of two that is no larger than each positive magnitude, and 0.5 for 0."""
    return np.ldexp(1.0, np.frexp(magnitude)[1] - 1)
