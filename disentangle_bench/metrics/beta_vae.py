"""The BetaVAE score: can a linear classifier tell which factor two images share from how far apart their codes are?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.classifiers import logistic_regression, softmax_adagrad
from disentangle_bench.metrics.preparation import draw_factors, left_out, scale_free, varies

CHUNK = 256  # points drawn at once; part of the numbers, as it orders the random draws
LARGEST = 1e15  # codes beyond it are clipped: the classifiers square them, and scikit-learn refuses features above 1e30


@dataclass(frozen=True)
class Protocol:
    """Settings of the BetaVAE score.

    pairs: B, the pairs of images that one point averages over.
    train_points, eval_points: points that train the classifier, and held-out ones; 0 scores the training points.
    classifier: "lbfgs", multinomial logistic regression; "liblinear", one against the rest; both with C = 1; or
        "adagrad", a softmax layer trained on batches of 10 points, each seen once.
    max_iter: bound on the iterations of the logistic regression.
    one_value: all pairs of a point share one value of the factor; otherwise each pair has its own.
    in_turn: factors are shared in turn, not drawn uniformly.
    robust: scale-free codes, constants dropped, identical images merged, features standardised by the training points.
    """

    pairs: int
    train_points: int
    eval_points: int = 0
    classifier: Literal["lbfgs", "liblinear", "adagrad"] = "lbfgs"
    max_iter: int = 100
    one_value: bool = False
    in_turn: bool = False
    robust: bool = False


PROTOCOLS = {
    "locatello": Protocol(64, 10_000, 5_000),
    "infogan-cr": Protocol(50, 500, classifier="liblinear", one_value=True, in_turn=True),
    "original": Protocol(64, 100_000, 5_000, classifier="adagrad"),
    "robust": Protocol(64, 10_000, 5_000, max_iter=1000, robust=True),
}


def beta_vae(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """Accuracy, 0..1, of a linear classifier of the shared factor (Higgins et al. 2017, section 3).

    A point shares factor k within each of B pairs of images; its feature is mean_b |c¹_b - c²_b|, (D,), its label k.

    Returns `score`; `train_score` where a held-out score has one; `active_codes`, the codes that vary; `left_out`, the
    factors with a single value, which are never shared. If all codes are constant the score is chance, 1 / factors.

    Unverified numbers of `original`: 64 pairs, Adagrad with rate .01, batches of 10 and 10,000 updates are Kim & Mnih's
    replication as others report it; ours are zero initial weights, an accumulator from 0.1 and 5,000 held-out points.
    `infogan-cr` computes another statistic: all pairs of a point share one value, and it is scored on its own points.
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if len(varying) < 2:
        return {"skip": f"telling factors apart takes two with more than one value, and this data has {len(varying)}"}
    if reason := table.without_company():
        return {"skip": reason}
    if protocol.robust:
        codes, active = scale_free(table.codes)
        codes = codes[:, active]
        # (N, active), unit variance; rows in one piece, as rows are what is gathered
        codes = np.ascontiguousarray(codes / codes.std(axis=0))
    else:
        codes = np.clip(table.codes, -LARGEST, LARGEST)  # (N, D)
        active = varies(codes)
    details = {"active_codes": int(active.sum()), **left_out(table)}
    if not active.any():
        return {"score": 1 / len(varying), **details}

    labels = draw_factors(varying, protocol.train_points + protocol.eval_points, protocol.in_turn, rng)  # (P,)
    features = _features(table, codes, labels, protocol, rng)  # (P, D), non-negative
    train, held_out = np.split(np.arange(len(labels)), [protocol.train_points])
    if protocol.robust:
        spread = features[train].std(axis=0)
        features = (features - features[train].mean(axis=0)) / np.where(spread == 0, 1, spread)
    if protocol.classifier == "adagrad":
        predicted = softmax_adagrad(features, labels, train)  # (P,)
    else:
        predicted = logistic_regression(features, labels, train, protocol.classifier, protocol.max_iter)
    correct = predicted == labels
    if not protocol.eval_points:
        return {"score": float(correct.mean()), **details}
    scores = {"score": float(correct[held_out].mean()), "train_score": float(correct[train].mean())}
    return {**scores, **details}


def _features(
    table: CodeTable, codes: np.ndarray, labels: np.ndarray, protocol: Protocol, rng: np.random.Generator
) -> np.ndarray:
    """mean_b |c¹_b - c²_b| of each point: (P, D)."""
    result = np.empty((len(labels), codes.shape[1]))
    for start in range(0, len(labels), CHUNK):
        shared = labels[start : start + CHUNK]
        if protocol.one_value:
            rows = table.sample_sharing(shared, 2 * protocol.pairs, rng)  # (p, 2B): consecutive rows are a pair
        else:
            rows = table.sample_sharing(np.repeat(shared, protocol.pairs), 2, rng)  # (p·B, 2)
        first, second = np.take(codes, rows.reshape(len(shared), -1, 2).T, axis=0)  # (B, p, D) each
        first -= second
        result[start : start + CHUNK] = np.abs(first, out=first).mean(axis=0)
    return result


METRIC = Metric(
    name="beta-vae",
    title="BetaVAE score",
    cite="Higgins et al., beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework, ICLR 2017",
    compute=beta_vae,
    protocols=PROTOCOLS,
)
