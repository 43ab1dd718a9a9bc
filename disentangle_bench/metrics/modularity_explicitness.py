"""Modularity: does each code know one factor alone? Explicitness: can a linear classifier read the factors?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from disentangle_bench.contracts import CodeTable, Cost, Metric
from disentangle_bench.metrics.classifiers import LOGISTIC_S, class_probabilities
from disentangle_bench.metrics.cost import classes
from disentangle_bench.metrics.discretise import equal_width, mutual_information, robust_information, value_numbers
from disentangle_bench.metrics.preparation import draw_rows, left_out, scale_free, varies

BLOCK = 256  # values whose ranks are in memory at once
LARGEST = 1e15  # codes beyond it are clipped: the classifier squares them, and scikit-learn refuses them above 1e30


@dataclass(frozen=True)
class Protocol:
    """Settings of modularity and explicitness.

    rows: the images that give the information and train the classifier: 10,000 with replacement, or a tenth without.
    test_rows: held-out images, with replacement, whose ROC gives explicitness; 0 takes the training images.
    solver, max_iter: of scikit-learn's logistic regression with C = 1; "liblinear" is one against the rest.
    standardise: codes by the training images' mean and standard deviation before they are classified.
    bins: equal-width bins of each code.
    robust: modularity from all rows, bins by rank and information beyond chance, weighted by it; scale-free codes,
        constants dropped, identical images merged.
    """

    rows: Literal["10,000", "tenth"] = "10,000"
    test_rows: int = 5_000
    solver: Literal["lbfgs", "liblinear"] = "lbfgs"
    max_iter: int = 100
    standardise: bool = True
    bins: int = 20
    robust: bool = False


PROTOCOLS = {
    "locatello": Protocol(),
    "infogan-cr": Protocol("tenth", test_rows=0, solver="liblinear", standardise=False),
    "robust": Protocol(robust=True),
}


def modularity_explicitness(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """mean_d 1 - Σ_{k≠k*} I_dk² / (I_dk*² (K - 1)); and mean ROC-AUC of the factors (Ridgeway & Mozer 2018, section 3).

    I_dk is the mutual information in nats of code d, in bins, and factor k, and k* the factor with the most. The ROC
    is that of each value against the rest, by logistic regression on all codes, averaged over values, then factors.

    Returns `modularity` and `explicitness`; `active_codes`, the codes that vary; `information`, mean_d I_dk* in nats
    over them, because modularity alone can't tell a code from noise; `mutual_information`, I as D lists of K numbers, 0
    for a factor left out; and `left_out`, the factors with a single value. A code without information has modularity
    0 (0/0 in InfoGAN-CR's code). No active code: 0, and 0.5 for explicitness.

    Departures: values that are missing from the training or the test images are left out, where disentanglement_lib
    fails. The AUC is not rescaled from [.5, 1], as the paper is said to do [unverified].
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if len(varying) < 2:
        return {"skip": f"telling factors apart takes two with more than one value, and this data has {len(varying)}"}
    train = draw_rows(table, protocol.rows, rng)
    test = table.sample(protocol.test_rows, rng) if protocol.test_rows else train
    labels = table.factors[:, varying]
    if protocol.robust:
        information, _, active = robust_information(table)  # (D, V)
        codes = scale_free(table.codes)[0][:, active]
    else:
        active = varies(table.codes[train])
        values = value_numbers(labels[train])
        information = mutual_information(equal_width(table.codes[train], protocol.bins), values)
        codes = np.clip(table.codes[:, active], -LARGEST, LARGEST)
    whole = np.zeros((table.codes.shape[1], len(table.factor_names)))
    whole[:, varying] = information
    best = information.max(axis=1)  # (D,)
    modular = _modularity(information, best)  # (D,)
    weights = best if protocol.robust else np.ones(len(best))
    return {
        "modularity": float((weights * modular).sum() / max(weights.sum(), 1e-300)),
        "explicitness": _explicitness(codes[train], codes[test], labels[train], labels[test], protocol),
        "active_codes": int(active.sum()),
        "information": float(best.sum() / max(1, active.sum())),
        "mutual_information": whole.tolist(),
        **left_out(table),
    }


def _modularity(information: np.ndarray, best: np.ndarray) -> np.ndarray:
    """1 - Σ_{k≠k*} I_dk² / (I_dk*² (K - 1)) of each code, (D,); 0 for one without information."""
    ratio = information / np.where(best > 0, best, 1)[:, None]  # of squares this is the formula, and can't underflow
    others = (ratio**2).sum(axis=1) - 1
    return np.where(best > 0, 1 - others / (information.shape[1] - 1), 0)


def _explicitness(
    codes: np.ndarray, test_codes: np.ndarray, factors: np.ndarray, test_factors: np.ndarray, protocol: Protocol
) -> float:
    """Mean ROC-AUC of the factors; a factor with fewer than two values in common to both samples counts .5."""
    from scipy.stats import rankdata

    if protocol.standardise:
        mean, spread = codes.mean(axis=0), codes.std(axis=0)
        spread = np.where(spread == 0, 1, spread)
        codes, test_codes = (codes - mean) / spread, (test_codes - mean) / spread
    areas = np.full(factors.shape[1], 0.5)
    for k, (labels, target) in enumerate(zip(factors.T, test_factors.T, strict=True)):
        if not codes.shape[1] or (labels == labels[0]).all():
            continue
        probability, classes = class_probabilities(codes, labels, test_codes, protocol.solver, protocol.max_iter)
        scored = np.isin(classes, target) & (target != target[0]).any()
        found = []
        for start in range(0, len(classes), BLOCK):
            block = slice(start, start + BLOCK)
            chosen = scored[block]
            positive = target[:, None] == classes[block][chosen]  # (M, C)
            ranks = rankdata(probability[:, block][:, chosen], axis=0)
            ones, zeros = positive.sum(axis=0), (~positive).sum(axis=0)
            above = (ranks * positive).sum(axis=0) - ones * (ones + 1) / 2  # pairs in the right order (Mann & Whitney)
            found.append(above / (ones * zeros))
        if scored.any():
            areas[k] = np.concatenate(found).mean()
    return float(areas.mean())


def _cost(table: CodeTable, protocol: Protocol) -> Cost:
    """A logistic regression for each factor, and the ranks of each value's probabilities."""
    rows = max(2, len(table.codes) // 10) if protocol.rows == "tenth" else 10_000
    values = classes(table, rows)
    overhead = 0.005 if protocol.solver == "liblinear" else 0  # seconds of each value's own fit
    return Cost(f"fits classifiers to {values:,} values", values * (LOGISTIC_S * protocol.max_iter * rows + overhead))


METRIC = Metric(
    name="modularity-explicitness",
    title="Modularity and explicitness",
    cite="Ridgeway & Mozer, Learning Deep Disentangled Embeddings With the F-Statistic Loss, NeurIPS 2018, section 3",
    compute=modularity_explicitness,
    protocols=PROTOCOLS,
    keys=("modularity", "explicitness"),
    cost=_cost,
)
