"""The SAP score: by how much does the best single code predict a factor better than the second best?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.discretise import gap, joint_counts, robust_bins
from disentangle_bench.metrics.preparation import draw_rows, left_out, unit_size, varies
from disentangle_bench.metrics.svc import linear_svc

LARGEST = 1e15  # codes beyond it are clipped: the classifier squares them
ZERO_VARIANCE = 1e-280  # of codes scaled to (-2, 2): a smaller one is a constant, and dividing by it would overflow


@dataclass(frozen=True)
class Protocol:
    """Settings of the SAP score.

    predictor: "svc", a linear classifier of each factor by each code; "correlation", its square; "mixed", the
        classifier for shape and the correlation for the rest; "bins", the most likely value in each of the code's bins.
    rows: 10,000 with replacement, a tenth without, or all.
    test_rows: held-out rows, with replacement, that score the classifier; 0 scores its training rows.
    least_std: codes whose standard deviation is no larger, in code units, have no correlation; 0 for constants only.
    """

    predictor: Literal["svc", "correlation", "mixed", "bins"]
    rows: Literal["10,000", "tenth", "all"]
    test_rows: int = 0
    least_std: float = 0.0


PROTOCOLS = {
    "locatello": Protocol("svc", "10,000", 5_000),
    "continuous": Protocol("correlation", "10,000", least_std=1e-6),  # its rule: variance > 1e-12
    "infogan-cr": Protocol("mixed", "tenth"),
    "robust": Protocol("bins", "all"),
}


def sap(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """mean_k (S_(1)k - S_(2)k), S_dk how well code d alone predicts factor k, 0..1 (Kumar et al. 2018, section 3).

    S is the accuracy of LinearSVC(C=.01, class_weight="balanced"), or Cov² / (Var Var), 0 if Var_d <= 1e-12. In
    `robust` it is held-out balanced accuracy of the most likely value in the code's bin, from 0 at chance to 1.

    Returns `score`; `active_codes`, the codes that vary; `prediction`, S as D lists of K numbers, 0 for a factor left
    out; and `left_out`, the factors with a single value. No active code scores 0; one code leads by all of its S.

    Departures: factors with a single value are left out, where scikit-learn would raise. The classifier is LinearSVC's
    exact optimum, before which scikit-learn stops, the sooner the farther a code's mean is from 0.
    `infogan-cr` is scored on its own training rows, as its code does, and counts a constant's correlation as 0.
    """
    table = table.merge_same_images() if protocol.predictor == "bins" else table
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so there is nothing to predict"}
    prediction = np.zeros((table.codes.shape[1], len(table.factor_names)))  # (D, K)
    if protocol.predictor == "bins":
        prediction, active = recall_by_bins(table, rng)
    else:
        train = draw_rows(table, protocol.rows, rng)
        test = table.sample(protocol.test_rows, rng) if protocol.test_rows else train
        active = varies(table.codes)
        for k in varying:
            is_shape = table.factor_names[k] == "shape"
            by_class = protocol.predictor == "svc" or (protocol.predictor == "mixed" and is_shape)
            if by_class:
                prediction[:, k] = _accuracy(table, int(k), train, test)
            else:
                prediction[:, k] = _correlation(table, int(k), train, protocol.least_std)
    score = float(gap(prediction[:, varying]).mean()) if active.any() else 0.0
    details = {"active_codes": int(active.sum()), "prediction": prediction.tolist(), **left_out(table)}
    return {"score": score, **details}


def _accuracy(table: CodeTable, k: int, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Accuracy of a linear classifier of factor k by each code alone, (D,); 0 where training rows have one class."""
    labels, target = table.factors[train, k], table.factors[test, k]
    if (labels == labels[0]).all():
        return np.zeros(table.codes.shape[1])
    codes, scored = (np.clip(table.codes[rows], -LARGEST, LARGEST) for rows in (train, test))
    predicted = [linear_svc(code, labels, other) for code, other in zip(codes.T, scored.T, strict=True)]
    return np.array([(labels == target).mean() for labels in predicted])


def _correlation(table: CodeTable, k: int, rows: np.ndarray, least_std: float) -> np.ndarray:
    """Squared correlation of factor k and each code over these rows, (D,); 0 where either is constant."""
    codes, unit = unit_size(table.codes[rows])
    values = table.factors[rows, k].astype(np.float64)
    for array in (codes, values):
        array -= array[0].copy()  # a constant gives exactly 0, and a large mean costs no digits
        array -= array.mean(axis=0)
    variance = codes.var(axis=0, ddof=1)  # (D,), in squares of `unit`
    defined = (variance > ZERO_VARIANCE) & (np.sqrt(variance) > least_std / np.maximum(unit, 1e-300))
    if not values.any():
        return np.zeros(len(defined))
    covariance = values @ codes / (len(rows) - 1)
    square = (covariance / np.sqrt(np.where(defined, variance, 1))) ** 2 / values.var(ddof=1)
    return np.where(defined, np.minimum(square, 1), 0)


def recall_by_bins(table: CodeTable, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """S of `robust`, (D, K), and which codes vary, (D,). Bins see all codes, the classifier half of the labels."""
    numbers, values, active = robust_bins(table)
    prediction = np.zeros((len(active), len(table.factor_names)))
    half = rng.permutation(len(values)) % 2
    for d, code in zip(np.flatnonzero(active), numbers.T, strict=True):
        for k in table.varying_factors:
            levels = int(values[:, k].max()) + 1
            counts = joint_counts(code, 2 * values[:, k] + half, int(code.max()) + 1, 2 * levels)
            halves = counts[:, 0::2], counts[:, 1::2]  # (bins, levels), training and test
            shared = (halves[0].sum(axis=0) > 0) & (halves[1].sum(axis=0) > 0)
            if shared.sum() > 1:
                seen, scored = (counts[:, shared] / counts[:, shared].sum(axis=0) for counts in halves)
                recalls = scored[np.arange(len(seen)), seen.argmax(axis=1)].sum()  # 1 by chance, all classes at best
                prediction[d, k] = max(0.0, (recalls - 1) / (shared.sum() - 1))
    return prediction, active


METRIC = Metric(
    name="sap",
    title="SAP score",
    cite="Kumar et al., Variational Inference of Disentangled Latent Concepts from Unlabeled Observations, ICLR 2018",
    compute=sap,
    protocols=PROTOCOLS,
)
