"""Downstream accuracy: how well does a linear classifier predict each factor from the codes of few labelled images?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import CodeTable, Cost, Metric
from disentangle_bench.metrics.classifiers import LOGISTIC_S, logistic_regression, logistic_regression_cv
from disentangle_bench.metrics.cost import classes
from disentangle_bench.metrics.preparation import left_out, scale_free, varies

SIZES = (10, 100, 1000, 10_000)  # labelled images
MAX_ITER = 100  # bound on the iterations of a logistic regression
LARGEST = 1e15  # codes beyond it are clipped: the classifier squares them, and scikit-learn refuses more than 1e30


@dataclass(frozen=True)
class Protocol:
    """Settings of the downstream accuracy.

    test_rows: images that each classifier is scored on.
    penalty: C of the logistic regression, the inverse of its penalty; None chooses it by 10-fold cross-validation.
    robust: scale-free codes, constants dropped, identical images merged, features standardised by the training rows,
        and training and test images drawn from two halves of the table.
    """

    test_rows: int = 5_000
    penalty: float | None = None
    robust: bool = False


PROTOCOLS = {"locatello": Protocol(), "robust": Protocol(penalty=1e4, robust=True)}
SLOW = {"locatello": "cross-validates 20 classifiers, one to four minutes of processor time on dSprites"}


def downstream(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """Accuracy of predicting a factor's value from codes, mean over factors (Locatello et al. 2019).

    accuracy_n: logistic regression on n labelled images, scored on other draws. Each n draws its own images.

    Returns these; `sample_efficiency`, accuracy_100 / accuracy_10000; `accuracy_of`, accuracy_10000 of each factor;
    `active_codes`, the codes that vary; `left_out`, the factors with a single value, which no mean counts.
    A value that no training image has is predicted wrongly; where all have one value, or no code varies, the most
    frequent value is predicted.

    Departures: where leaving out a fold leaves one value, which makes the published cross-validation fail, C is 1. The
    published study's second predictor, boosted trees, is left out.
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so there is nothing to predict"}
    if protocol.robust:
        codes, active = scale_free(table.codes)
        codes = codes[:, active]
        train_half, test_half = np.array_split(rng.permutation(len(codes)), 2)
    else:
        codes = np.clip(table.codes, -LARGEST, LARGEST)  # (N, D)
        active = varies(codes)
        train_half = test_half = np.arange(len(codes))

    accuracy = np.empty((len(SIZES), len(varying)))
    for i, size in enumerate(SIZES):
        train, test = rng.choice(train_half, size), rng.choice(test_half, protocol.test_rows)
        features = codes[np.concatenate([train, test])]  # (size + test rows, active)
        if protocol.robust:
            spread = features[:size].std(axis=0)
            features = (features - features[:size].mean(axis=0)) / np.where(spread > 0, spread, 1)
        for k, factor in enumerate(varying):
            labels = table.factors[train, factor]
            predicted = _predict(features, labels, bool(active.any()), protocol)
            accuracy[i, k] = (predicted == table.factors[test, factor]).mean()

    mean = accuracy.mean(axis=1)
    names = [table.factor_names[k] for k in varying]
    return {
        **{f"accuracy_{size}": float(value) for size, value in zip(SIZES, mean, strict=True)},
        "sample_efficiency": float(mean[1] / mean[-1]) if mean[-1] else 0.0,
        "accuracy_of": dict(zip(names, accuracy[-1].tolist(), strict=True)),
        "active_codes": int(active.sum()),
        **left_out(table),
    }


def _predict(features: np.ndarray, labels: np.ndarray, informative: bool, protocol: Protocol) -> np.ndarray:
    """Values predicted for all features beyond the first len(labels), which train the classifier."""
    values, counts = np.unique(labels, return_counts=True)
    if len(values) == 1 or not informative:
        return np.full(len(features) - len(labels), values[counts.argmax()])
    train = np.arange(len(labels))
    if protocol.penalty is None:
        return logistic_regression_cv(features, labels, train)[len(labels) :]
    return logistic_regression(features, labels, train, "lbfgs", MAX_ITER, protocol.penalty)[len(labels) :]


def _cost(table: CodeTable, protocol: Protocol) -> Cost:
    """A logistic regression for each factor and number of labelled images; chosen from a hundred where none is set."""
    fits = 101 if protocol.penalty is None else 1
    work = sum(size * classes(table, size) for size in SIZES)
    return Cost(
        f"fits {fits * len(SIZES) * len(table.varying_factors):,} classifiers to {classes(table, SIZES[-1]):,} values",
        LOGISTIC_S * MAX_ITER * fits * work,
    )


METRIC = Metric(
    name="downstream",
    title="Downstream accuracy",
    cite="Locatello et al., Challenging Common Assumptions in the Unsupervised Learning of Disentangled "
    "Representations, ICML 2019",
    compute=downstream,
    protocols=PROTOCOLS,
    keys=tuple(f"accuracy_{size}" for size in SIZES),
    slow=SLOW,
    cost=_cost,
)
