"""InfoMEC: modularity and compactness from normalised information, explicitness from the log loss of linear readers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.classifiers import class_probabilities
from disentangle_bench.metrics.discretise import entropy, mutual_information, robust_information, value_numbers
from disentangle_bench.metrics.neighbours import neighbour_information
from disentangle_bench.metrics.preparation import left_out, scale_free, unit_size

ROWS = 10_000  # without replacement: copies of a row would be each other's nearest neighbours
MOST_VALUES = 1_000  # of all quantised codes together: each is a feature of the classifier
C_HELD_OUT = 1e5  # the inverse penalty of `robust`: next to none, but the loss of values that codes part stays finite


@dataclass(frozen=True)
class Protocol:
    """Settings of InfoMEC.

    neighbours: of the estimate of information from real codes.
    spread, share, least: a code is active whose spread, of all values or of the middle half, is above this share of the
        largest, and above `least` code units.
    quantised: a code's values are labels, so its information is counted and its values are features, one each.
    iterations: the most that the classifier takes.
    robust: information beyond chance from bins by rank, active codes those that have some, log loss held out,
        scale-free codes, identical images merged.
    """

    neighbours: int = 10
    spread: Literal["range", "middle half"] = "range"
    share: float = 1 / 20
    least: float = 0.0
    quantised: bool = False
    iterations: int = 100
    robust: bool = False


PROTOCOLS = {
    "original": Protocol(),
    "original-quantised": Protocol(share=0, quantised=True),
    "qlae": Protocol(neighbours=3, share=1 / 8),
    "qlae-quantised": Protocol(share=1 / 8, quantised=True),
    "tripod": Protocol(spread="middle half", share=1 / 10),
    "tripod-quantised": Protocol(spread="middle half", share=0, least=0.1, quantised=True),
    "factorqvae": Protocol(neighbours=3, iterations=500),
    "factorqvae-quantised": Protocol(share=0, quantised=True, iterations=500),
    "robust": Protocol(robust=True),
}


def infomec(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """InfoM, InfoE and InfoC (Hsu et al. 2023, section 4), over A active codes and K factors, R_dk = I_dk / H(v_k).

    InfoM = (mean_d max_k R_dk / Σ_k R_dk - 1/K) / (1 - 1/K): does a code know one factor alone?
    InfoC = (mean_k max_d R_dk / Σ_d R_dk - 1/A) / (1 - 1/A): is a factor in one code alone?
    InfoE = mean_k 1 - L_k / L₀: L the log loss of logistic regression from all codes, L₀ that from none.

    Returns `modularity`, `explicitness`, `compactness`; `floor_modularity` and `floor_compactness`, the same with the
    rows of the factors shuffled; `active_codes`, A; `normalised_information`, R as D lists of K numbers, 0 for a factor
    left out; `left_out`, the factors with a single value. No active code scores 0. One active code is compact, one
    factor is modular, as there is nothing else to share with.

    Departures: a code, or a factor, whose information is 0 counts 0, and not NaN; a loss above L₀ counts 0.
    """
    if protocol.robust:
        table = table.merge_same_images()
    else:
        rows = rng.permutation(len(table.codes))[:ROWS]
        table = CodeTable(table.codes[rows], table.factors[rows], table.factor_names)
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so no code can tell anything about one"}
    if protocol.quantised and (many := _too_many_values(table.codes)):
        return {"skip": many}
    shuffled = CodeTable(table.codes, rng.permutation(table.factors), table.factor_names)
    known, active = _known(table, protocol, rng)
    floor, by_chance = _known(shuffled, protocol, rng)
    whole = np.zeros((len(active), len(table.factor_names)))
    whole[:, varying] = known
    return {
        "modularity": _peak(known[active]),
        "explicitness": _held_out_explicitness(table, rng) if protocol.robust else _explicitness(table, protocol),
        "compactness": _peak(known[active].T),
        "floor_modularity": _peak(floor[by_chance]),
        "floor_compactness": _peak(floor[by_chance].T),
        "active_codes": int(active.sum()),
        "normalised_information": whole.tolist(),
        **left_out(table),
    }


def _known(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """R, (D, V), of the factors that vary; and which codes are active, bool (D,)."""
    if protocol.robust:
        information, entropies, _ = robust_information(table)
        return information / entropies, np.asarray(information.any(axis=1))
    values = value_numbers(table.factors[:, table.varying_factors])
    if protocol.quantised:
        information = mutual_information(_labels(table.codes), values)
    else:
        information = neighbour_information(table.codes, values, protocol.neighbours, rng)
    return np.clip(information / entropy(values), 0, 1), _active(table.codes, protocol)


def _active(codes: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Which codes (N, D) spread by more than the protocol's threshold: bool (D,)."""
    unit = unit_size(codes)[1].max()  # one for all codes, so that no width overflows
    low, high = np.quantile(codes / unit, (0, 1) if protocol.spread == "range" else (0.25, 0.75), axis=0)
    width = high - low
    return np.logical_and(width > protocol.share * width.max(), width > protocol.least / max(unit, 1e-300))


def _peak(shares: np.ndarray) -> float:
    """Mean over rows (R, n) of (largest / sum - 1/n) / (1 - 1/n); rows of zeros count 0, a single column 1."""
    if not shares.size:
        return 0.0
    total, n = shares.sum(axis=1), shares.shape[1]
    peak = shares.max(axis=1) / np.where(total > 0, total, 1)
    score = np.clip((peak - 1 / n) / (1 - 1 / n), 0, 1) if n > 1 else peak
    return float(np.where(total > 0, score, 0).mean())


def _explicitness(table: CodeTable, protocol: Protocol) -> float:
    """InfoE of the rows that the classifier is fitted to, without a penalty, each value weighing the same."""
    from sklearn.preprocessing import OneHotEncoder

    codes = OneHotEncoder().fit_transform(_labels(table.codes)) if protocol.quantised else _standardised(table.codes)[0]
    scores = []
    for k in table.varying_factors:
        labels = table.factors[:, k]
        probability, classes = class_probabilities(
            codes, labels, codes, "lbfgs", protocol.iterations, math.inf, balanced=True
        )
        # Without codes a balanced fit gives each value the same probability.
        scores.append(1 - _log_loss(probability, classes, labels) / math.log(len(classes)))
    return float(np.clip(scores, 0, 1).mean())


def _held_out_explicitness(table: CodeTable, rng: np.random.Generator) -> float:
    """InfoE of rows that the classifier has not seen, a third of 15,000; values unknown to it are left out."""
    codes, active = scale_free(table.codes)
    rows = rng.permutation(len(codes))[: 3 * ROWS // 2]
    train, test = rows[: max(1, len(rows) * 2 // 3)], rows[max(1, len(rows) * 2 // 3) :]
    seen, scored = _standardised(codes[train][:, active], codes[test][:, active])
    scores = []
    for k in table.varying_factors:
        classes, counts = np.unique(table.factors[train, k], return_counts=True)
        target = table.factors[test, k]
        common = np.isin(target, classes)
        blind = _log_loss(np.tile(counts / counts.sum(), (int(common.sum()), 1)), classes, target[common])
        if blind == 0 or not active.any():
            scores.append(0.0)
            continue
        fitted = class_probabilities(seen, table.factors[train, k], scored[common], "lbfgs", 100, C_HELD_OUT)
        scores.append(1 - _log_loss(*fitted, target[common]) / blind)
    return float(np.clip(scores, 0, 1).mean())


def _standardised(train: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Arrays (n, D) by the mean and standard deviation of the first, which is standardised, too; constants are 0."""
    size = unit_size(train)[1]
    first = train[0] / size
    mean = (train / size - first).mean(axis=0)
    spread = (train / size - first).std(axis=0)
    spread = np.where(spread > 0, spread, np.inf)
    return tuple((each / size - first - mean) / spread for each in (train, *others))


def _log_loss(probability: np.ndarray, classes: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log of the probability (n, C) of each row's own label, one of the sorted classes; 0 of no rows."""
    if not len(labels):
        return 0.0
    own = probability[np.arange(len(labels)), np.searchsorted(classes, labels)]
    return float(-np.log(np.maximum(own, np.finfo(float).eps)).mean())


def _labels(codes: np.ndarray) -> np.ndarray:
    """Each code's values counted from 0, int (N, D), of quantised codes (N, D)."""
    return np.stack([np.unique(code, return_inverse=True)[1] for code in codes.T], axis=1)


def _too_many_values(codes: np.ndarray) -> str:
    """Why these codes can't be taken for quantised ones; empty where they can."""
    count = sum(len(np.unique(code)) for code in codes.T)
    return f"quantised codes take few values, and these {count:,}; use a protocol of real codes" * (count > MOST_VALUES)


METRIC = Metric(
    name="infomec",
    title="InfoMEC",
    cite="Hsu et al., Disentanglement via Latent Quantization, NeurIPS 2023, section 4",
    compute=infomec,
    protocols=PROTOCOLS,
    keys=("modularity", "explicitness", "compactness"),
)
