"""Disentanglement scores of plain arrays: this package needs numpy, scipy and scikit-learn, never torch or Ray.

    from disentangle_bench.metrics import score
    score("factor-vae", codes, factors, protocol="robust")

Each metric is one file, a pure function of a `CodeTable`; `registry.names("metric")` lists them.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from disentangle_bench import registry
from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.errors import UserError, unknown

__all__ = ["score", "score_table"]


def score(
    metric: str,
    codes: npt.ArrayLike,
    factors: npt.ArrayLike,
    protocol: str = "locatello",
    seed: int = 0,
    *,
    factor_names: tuple[str, ...] = (),
    same_image: Mapping[str, Mapping[int, int]] | None = None,
) -> dict[str, Any]:
    """The scores of one metric on plain arrays: its `keys`, and details beside them; or {"skip": reason}.

    codes: (N, D), real, integer or boolean, every value finite; what an encoder gives for each image.
    factors: (N, K), whole numbers; the index of each generative factor's value. The rows need not be a full grid.
    factor_names: K names, for messages and details.
    same_image: {factor name: {value: the value whose images it repeats}}; used by `robust` protocols.

    The same arguments give the same bytes. A mistake in them raises `UserError`, a `ValueError`.
    """
    table = CodeTable(np.asarray(codes), np.asarray(factors), tuple(factor_names), same_image or {})
    return score_table(metric, table, protocol, seed)


def score_table(metric: str, table: CodeTable, protocol: str = "locatello", seed: int = 0) -> dict[str, Any]:
    """As `score`, on a `CodeTable`; scoring many metrics on one table shares its index of factor values.

    The generator depends on the seed, the metric's name and the protocol's name alone, so that adding a metric to a
    study changes no other score. Every number in the result is finite and of a plain Python type; if a metric breaks
    that, this raises `RuntimeError`, because a leaderboard must never see a NaN.
    """
    chosen: Metric = registry.get("metric", metric)
    if protocol not in chosen.protocols:
        raise unknown(f"protocol of {metric}", protocol, chosen.protocols)
    if protocol in chosen.slow:
        sys.stderr.write(f"{metric}, {protocol}: {chosen.slow[protocol]}\n")
    result = chosen.compute(table, chosen.protocols[protocol], generator(seed, metric, protocol))
    if set(result) == {"skip"} and isinstance(result["skip"], str):
        return result
    missing = [key for key in chosen.keys if not isinstance(result.get(key), int | float | np.number)]
    if missing:
        raise RuntimeError(f"metric '{metric}' gave no number for its score '{missing[0]}'.")
    where = f"metric '{metric}', protocol '{protocol}'"
    return {key: _plain(value, f"{where}, key '{key}'") for key, value in result.items()}


def generator(seed: int, metric: str, protocol: str) -> np.random.Generator:
    """The random generator of one score; SHA-256 because Python's own `hash` of a string changes between processes."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UserError(f"seed must be a whole number from 0 up, not {seed!r}.")
    digest = hashlib.sha256(f"{metric}/{protocol}".encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]
    return np.random.default_rng(np.random.SeedSequence([int(seed), *words]))


def _plain(value: Any, where: str) -> Any:
    """`value` in Python's own types; `RuntimeError` where a number in it is not finite or a type is not JSON's."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}, '{key}'") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, where) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise RuntimeError(f"{where}: the value is {value}; a metric must give a finite number or a reason to skip.")
    if not isinstance(value, str | bool | int | float):
        raise RuntimeError(f"{where}: a {type(value).__name__} can't be written to a record.")
    return value
