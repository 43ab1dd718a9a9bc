"""The interventional robustness score: how far does a code move while the factor that it stands for is held?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.preparation import left_out, scale_free, unit_size


@dataclass(frozen=True)
class Protocol:
    """Settings of the interventional robustness score.

    rows: how many are drawn, with replacement; None takes all, each once.
    bins: equal-width bins of a factor's values, between the smallest and the largest drawn; None keeps each value.
    quantile: of the deviations in a group; 1 is their maximum.
    robust: codes without outliers and scale, constants relative to their magnitude, identical images merged, and D_d
        the same quantile as the groups' instead of the maximum.
    """

    rows: int | None
    bins: int | None
    quantile: float
    robust: bool = False


PROTOCOLS = {
    "locatello": Protocol(10_000, bins=20, quantile=0.99),
    "original": Protocol(None, bins=None, quantile=1.0),
    "robust": Protocol(50_000, bins=None, quantile=0.99, robust=True),
}


def irs(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """Σ_d D_d max_k (1 - dev_dk / D_d) / Σ_d D_d, 0..1 (Suter et al. 2019, section 4).

    dev_dk is the mean over factor k's values v of the quantile of |c_d - E[c_d | v]| among the rows with that value;
    D_d is the maximum of |c_d - E[c_d]|, over all rows drawn.

    Returns `score`; `active_codes`, the codes that vary over the rows drawn; and `left_out`, the factors with a single
    value. No active code scores 0.

    Departures: a code counts as constant if all its values are equal, where disentanglement_lib compares a rounded
    variance to 0; `active_codes` is their number, where its `num_active_dims` adds up the codes' values.
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so holding one changes nothing"}
    if reason := table.without_company():
        return {"skip": reason}
    rows: Any = slice(None) if protocol.rows is None else table.sample(protocol.rows, rng)
    if protocol.robust:
        codes, unit = scale_free(table.codes)[0][rows], np.ones(table.codes.shape[1])
    else:
        codes, unit = unit_size(table.codes[rows])  # (n, D), (-2, 2), in units of `unit`
    codes = codes - codes[0]  # exactly 0 for a constant, whatever its value
    centred = np.abs(codes - codes.mean(axis=0))
    largest = np.quantile(centred, protocol.quantile, axis=0) if protocol.robust else centred.max(axis=0)  # D_d, (D,)
    active = (codes != 0).any(axis=0) & (largest > 0)
    details = {"active_codes": int(active.sum()), **left_out(table)}
    if not active.any():
        return {"score": 0.0, **details}

    codes, largest = codes[:, active], largest[active]
    best = np.zeros(len(largest))  # max_k (1 - dev_dk / D_d), and 0 for a code that no factor steadies
    for k in varying:
        deviation = _deviation(codes, _groups(table.factors[rows, k], protocol.bins), protocol.quantile)
        best = np.maximum(best, 1 - np.minimum(deviation / largest, 1))
    weight = largest * (unit[active] / unit[active].max())  # relative units: their sum can't overflow
    return {"score": float(np.average(best, weights=weight / weight.max())), **details}


def _groups(values: np.ndarray, bins: int | None) -> np.ndarray:
    """The number of each value's group, int (n,): the value itself, or its bin."""
    if bins is None or (values == values[0]).all():
        return values
    edges = np.histogram_bin_edges(values, bins)
    return np.digitize(values, edges[:-1])


def _deviation(codes: np.ndarray, groups: np.ndarray, quantile: float) -> np.ndarray:
    """Mean over groups of the quantile of |c - group's mean| of codes (n, D): (D,)."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    total = np.zeros(codes.shape[1])
    for rows in np.split(order, starts):
        group = codes[rows]
        group -= group[0].copy()  # a code that is constant in a group doesn't move, whatever its mean
        deviation = np.abs(group - group.mean(axis=0))
        total += deviation.max(axis=0) if quantile == 1 else np.quantile(deviation, quantile, axis=0)
    return total / (len(starts) + 1)


METRIC = Metric(
    name="irs",
    title="Interventional robustness score",
    cite="Suter et al., Robustly Disentangled Causal Mechanisms, ICML 2019, section 4",
    compute=irs,
    protocols=PROTOCOLS,
)
