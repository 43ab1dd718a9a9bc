"""DCI-ES: DCI with explicitness, how little capacity reading the factors takes, and size, how few codes hold them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.dci import concentration
from disentangle_bench.metrics.forests import Curve, capacity_curve
from disentangle_bench.metrics.importance import standardised
from disentangle_bench.metrics.preparation import left_out, scale_free, unit_size

CAPACITIES = (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32)  # depths of the trees, as the paper's code has them
CATEGORIES = (
    "shape", "color", "object_color", "object_shape", "background_color", "object", "category", "model", "object_hue",
    "wall_hue", "floor_hue",
)  # fmt: skip
"""Names of the factors whose values have no order, which `original` classifies; it regresses the others."""


@dataclass(frozen=True)
class Protocol:
    """Settings of DCI-ES.

    trees: of the forest that predicts a factor.
    train, test: rows to fit to and to judge by, drawn with replacement; in `robust` without, two thirds and one third
        of a smaller table.
    robust: all factors are classified, by trees that see all codes at each split and have ten rows in a leaf;
        explicitness counts for what is read beyond chance; codes without outliers and scale, constants never counted,
        identical images merged.
    """

    trees: int = 100
    train: int = 10_000
    test: int = 5_000
    robust: bool = False


PROTOCOLS = {"original": Protocol(), "robust": Protocol(trees=10, robust=True)}
SLOW = {"original": "grows 500 trees of depth 32 on dSprites, up to half a minute of processor time, on all cores"}


def dci_es(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """D, C and I of DCI, and E = mean_k 1 - 2 ∫ (ℓ_k(κ) - ℓ_k*) dκ / ((κ_max - κ_min) ℓ_k⁰), S = K / D_codes.

    Eastwood et al. 2023, sections 4 and 5. ℓ_k(κ) is the smallest held-out loss of a forest of depth κ or less that
    predicts factor k, joined by straight lines; ℓ* its smallest; ℓ⁰ that of predicting without codes. The loss is
    1 - accuracy, with ℓ⁰ = 1 - 1 / values, or 1 - R², with ℓ⁰ = 1. D, C, I are `dci`'s, at the depth with the best I;
    in `robust` at the largest, as shallow trees flatter noise. There each factor's E is multiplied by 1 - ℓ* / ℓ⁰, too:
    noise has nothing to read, and so not at once either.

    Returns `disentanglement`, `completeness`, `informativeness`, `explicitness`, `size`; `capacity`, that depth;
    `loss`, ℓ as K lists, one number a capacity, empty for a factor left out; `active_codes`, the codes that vary over
    the rows fitted to; `left_out`, the factors with a single value.

    Departures: a forest of depth κ is the deepest forest, read κ levels down: the same distribution at a twelfth of the
    cost. ℓ is at most ℓ⁰, and E and S are kept within 0 and 1.
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so there is nothing to predict"}
    if protocol.robust:  # no row that was fitted to may judge
        rows = rng.permutation(len(table.codes))[: protocol.train + protocol.test]
        train = max(1, round(len(rows) * protocol.train / (protocol.train + protocol.test)))
    else:
        rows = np.concatenate([table.sample(protocol.train, rng), table.sample(protocol.test, rng)])
        train = protocol.train
    codes = scale_free(table.codes)[0][rows] if protocol.robust else unit_size(table.codes[rows])[0]
    features, active = standardised(codes, train)
    seen = features[:, active] if active.any() else features[:, :1]  # without a code that varies, one of zeros
    seeds = rng.integers(2**31, size=len(varying))

    def curve(v: int) -> Curve:
        target = table.factors[rows, varying[v]]
        classified = protocol.robust or table.factor_names[varying[v]].lower() in CATEGORIES
        leaf = 10 if protocol.robust else 1
        return capacity_curve(seen, target, train, CAPACITIES, protocol.trees, leaf, classified, int(seeds[v]))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # trees grow without Python's lock; their number changes nothing
        curves = list(pool.map(curve, range(len(varying))))
    quality = np.array([1 - each.loss for each in curves])  # (V, capacities)
    best = len(CAPACITIES) - 1 if protocol.robust else int(quality.mean(axis=0).argmax())
    importance = np.zeros((len(active), len(varying)))
    if active.any():
        importance[active] = np.stack([each.importance[best] for each in curves], axis=1)
    explicit = [_explicitness(each, protocol.robust) for each in curves]
    counted = importance[active] if protocol.robust else importance
    losses: list[list[float]] = [[] for _ in table.factor_names]
    for v, k in enumerate(varying):
        losses[k] = curves[v].loss.tolist()
    return {
        "disentanglement": concentration(counted, 0.0, weighted=True),
        "completeness": concentration(counted.T, 0.0, weighted=False),
        "informativeness": float(quality[:, best].clip(0).mean()),
        "explicitness": float(np.mean(explicit)) if active.any() else 0.0,
        "size": min(1.0, len(varying) / len(counted)) if active.any() else 0.0,
        "capacity": CAPACITIES[best],
        "loss": losses,
        "active_codes": int(active.sum()),
        **left_out(table),
    }


def _explicitness(curve: Curve, beyond_chance: bool) -> float:
    """E of one factor, 0 to 1."""
    loss = np.minimum.accumulate(np.minimum(curve.loss, curve.blind))
    spare = np.trapezoid(loss - loss[-1], CAPACITIES) / ((CAPACITIES[-1] - CAPACITIES[0]) * curve.blind)
    return float(max(0.0, 1 - 2 * spare) * ((1 - loss[-1] / curve.blind) if beyond_chance else 1))


METRIC = Metric(
    name="dci-es",
    title="DCI-ES",
    cite="Eastwood et al., DCI-ES: An Extended Disentanglement Framework with Connections to Identifiability, "
    "ICLR 2023",
    compute=dci_es,
    protocols=PROTOCOLS,
    keys=("disentanglement", "completeness", "informativeness", "explicitness", "size"),
    slow=SLOW,
)
