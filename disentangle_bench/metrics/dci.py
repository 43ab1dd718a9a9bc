"""DCI: disentanglement, completeness and informativeness, from how much each code matters for each factor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from disentangle_bench.contracts import CodeTable, Cost, Metric
from disentangle_bench.metrics.cost import classes
from disentangle_bench.metrics.importance import Estimator, predict, standardised
from disentangle_bench.metrics.preparation import left_out, scale_free, unit_size

TINY = 1e-12  # inside the logarithm, as qedr and InfoGAN-CR have it


@dataclass(frozen=True)
class Protocol:
    """Settings of DCI.

    estimator: what predicts a factor from the codes.
    train, test: rows to fit to and to judge by, drawn with replacement; "tenth" of all rows.
    split: the rows are drawn without replacement instead, a quarter more than `train` or all of a smaller table: 80 %
        to fit to, 10 % that would choose settings but are unused here, as those are fixed, and 10 % to judge by.
    depths: of a forest's trees, one a factor, in the order of the factors that vary; None for no limit.
    mean_of_factors: completeness is the plain mean over factors, else it is weighted by their importance.
    smoothing: added to each importance before it is a probability.
    parallel: fit the factors on all cores; their number changes no result.
    robust: codes without outliers and scale, constants relative to their magnitude and never counted, identical images
        merged.
    """

    estimator: Estimator
    train: int | Literal["tenth"] = 10_000
    test: int = 5_000
    split: bool = False
    depths: tuple[int, ...] | None = None
    mean_of_factors: bool = True
    smoothing: float = 0.0
    parallel: bool = False
    robust: bool = False


PROTOCOLS = {
    "locatello": Protocol("boosting", mean_of_factors=False, smoothing=1e-11, parallel=True),
    "histogram-boosting": Protocol("histogram-boosting", mean_of_factors=False, smoothing=1e-11),
    "ib-gan": Protocol("forest", depths=(4, 2, 4, 2, 2)),
    "infogan-cr": Protocol("forest", train="tenth", depths=(4, 2, 4, 2, 2)),
    "infogan-cr-forest": Protocol("forest", train="tenth", depths=(4, 5, 2, 5, 5)),
    "infogan-cr-lasso": Protocol("lasso", train="tenth"),
    "original": Protocol("lasso", train=40_000, split=True),
    "original-forest": Protocol("forest", train=40_000, split=True, depths=(12, 10, 10, 10, 10)),
    "robust": Protocol("forest-classifier", parallel=True, robust=True),
}
SLOW = {"locatello": "trains 11,300 boosted trees on dSprites, one to six minutes of processor time, on all cores"}


def dci(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """D = Σ_d ρ_d (1 - H_K(P_d)), C = mean_k (1 - H_D(P̃_k)), I: prediction (Eastwood & Williams 2018, section 2).

    R[d, k] is the importance of code d for factor k; P_d is its row d, P̃_k its column k, each over its sum; H_n is the
    entropy in base n, and ρ_d the share of row d in the sum of R. I is the mean over factors of the held-out accuracy,
    or of max(0, 1 - NRMSE) where the estimator is a regressor: higher is better, unlike the paper's error.

    Returns `disentanglement`, `completeness`, `informativeness`; `active_codes`, the codes that vary over the rows
    fitted to; `importance`, R as D lists of K numbers, a 0 where a code is constant or a factor left out; `left_out`,
    the factors with a single value. Without importance, D and C are 0. With one code, C is 1; with one factor, D is.
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so there is nothing to predict"}
    if protocol.depths and len(protocol.depths) != len(varying):
        counts = f"{len(protocol.depths)} factors, and in this data {len(varying)} vary"
        return {"skip": f"the protocol fixes the depth of the trees for {counts}"}
    train, test = _draw(len(table.codes), protocol, rng)
    rows = np.concatenate([train, test])
    codes = scale_free(table.codes)[0][rows] if protocol.robust else unit_size(table.codes[rows])[0]
    features, active = standardised(codes, len(train))  # (n, D), and which codes vary, (D,)
    targets = table.factors[rows][:, varying]  # (n, V)
    seeds = rng.integers(2**31, size=len(varying))
    depths = protocol.depths or (None,) * len(varying)
    importance = np.zeros((len(active), len(varying)))  # R
    # Without a code that varies, one of zeros stands in: the estimators then predict what they can without any.
    seen = features[:, active] if active.any() else features[:, :1]
    found, quality = predict(protocol.estimator, seen, targets, len(train), depths, seeds, protocol.parallel)
    if active.any():
        importance[active] = found
    counted = importance[active] if protocol.robust else importance
    full = np.zeros((len(active), len(table.factor_names)))
    full[:, varying] = importance
    return {
        "disentanglement": concentration(counted, protocol.smoothing, weighted=True),
        "completeness": concentration(counted.T, protocol.smoothing, weighted=not protocol.mean_of_factors),
        "informativeness": float(np.mean(quality)),
        "active_codes": int(active.sum()),
        **left_out(table),
        "importance": full.tolist(),
    }


def concentration(rows: np.ndarray, smoothing: float, weighted: bool) -> float:
    """Mean over rows (R, n) of 1 - entropy in base n of the row over its sum; rows of zeros count 0."""
    mass = rows.sum(axis=1)
    if not mass.any():
        return 0.0
    score = np.ones(len(rows))
    if rows.shape[1] > 1:
        p = rows + smoothing
        p /= np.where(mass > 0, p.sum(axis=1), 1)[:, None]
        score += (p * np.log(p + (0 if smoothing else TINY))).sum(axis=1) / math.log(rows.shape[1])
    score = np.where(mass > 0, np.clip(score, 0, 1), 0)
    return float(score @ (mass / mass.sum()) if weighted else score.mean())


def _draw(size: int, protocol: Protocol, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Row indices to fit to and to judge by."""
    train = max(2, round(size / 10)) if protocol.train == "tenth" else protocol.train
    if not protocol.split:
        return rng.integers(size, size=train), rng.integers(size, size=protocol.test)
    rows = rng.permutation(size)[: train * 5 // 4]
    tenth = max(1, len(rows) // 10)
    return rows[: max(1, len(rows) - 2 * tenth)], rows[-tenth:]


# Seconds of processor time for a value of a factor, on 10,000 rows: a hundred boosted trees, or its share of a forest.
SECONDS_A_VALUE_AND_CODE = {"boosting": 0.25, "forest-classifier": 0.002}
SECONDS_A_VALUE = {"histogram-boosting": 0.05}


def _cost(table: CodeTable, protocol: Protocol) -> Cost | None:
    """Classifiers alone: a regressor doesn't mind how many values a factor has."""
    rows = max(2, len(table.codes) // 10) if protocol.train == "tenth" else protocol.train
    values = classes(table, rows)
    each = SECONDS_A_VALUE.get(protocol.estimator, 0.0)
    each += table.codes.shape[1] * SECONDS_A_VALUE_AND_CODE.get(protocol.estimator, 0.0)
    if not each:
        return None
    trees = f"{100 * values:,} boosted trees" if "boosting" in protocol.estimator else f"forests for {values:,} values"
    return Cost(f"trains {trees}", each * values)


METRIC = Metric(
    name="dci",
    title="DCI",
    cite="Eastwood & Williams, A Framework for the Quantitative Evaluation of Disentangled Representations, ICLR 2018",
    compute=dci,
    protocols=PROTOCOLS,
    keys=("disentanglement", "completeness", "informativeness"),
    slow=SLOW,
    cost=_cost,
)
