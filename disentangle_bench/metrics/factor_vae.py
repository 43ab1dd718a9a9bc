"""The FactorVAE score: can a majority vote tell which factor was held fixed from the code that varied least?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.preparation import draw_factors, left_out, scale_free, unit_size

CHUNK = 2**17  # numbers gathered at once: 1 MiB, which stays in the processor's cache
ZERO_VARIANCE = 1e-280  # of codes scaled to (-2, 2): a smaller one is a constant, and dividing by it would overflow


@dataclass(frozen=True)
class Protocol:
    """Settings of the FactorVAE score.

    group: L, images a vote.
    train_votes, eval_votes: votes that make the majority table, and held-out ones; 0 scores the training votes.
    variance_of: the rows of a code's global variance: all, 10,000 with replacement, a tenth without, or all that vote.
    ddof: 1 for the unbiased variance, 0 for the population's. It multiplies all codes alike, so no vote depends on it.
    prune_std: codes whose global standard deviation is smaller, in code units, don't vote; 0 drops constants only.
    in_turn: factors are held fixed in turn, not drawn uniformly.
    revised: also report the score that counts the majorities of the K best codes alone.
    robust: codes without outliers and scale, constants relative to their magnitude, identical images merged.
    """

    group: int
    train_votes: int
    eval_votes: int = 0
    variance_of: Literal["all", "10,000", "tenth", "votes"] = "all"
    ddof: int = 1
    prune_std: float = 0.0
    in_turn: bool = False
    revised: bool = False
    robust: bool = False


PROTOCOLS = {
    "locatello": Protocol(64, 10_000, 5_000, variance_of="10,000", prune_std=0.05),
    "ib-gan": Protocol(200, 800, variance_of="votes", prune_std=math.sqrt(0.05)),  # its rule: variance < .05
    "infogan-cr": Protocol(100, 500, variance_of="tenth", ddof=0, in_turn=True, revised=True),
    "original": Protocol(200, 800),
    "robust": Protocol(64, 10_000, 5_000, robust=True),
}


def factor_vae(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """Accuracy, 0..1, with which d* = argmin_d Var_d / s_d² tells the fixed factor (Kim & Mnih 2018, section 4).

    A vote holds factor k fixed over L images; Var_d is code d's variance over them, s_d² its global one. V[d, k]
    counts the training votes, and the score is the share of votes whose k is argmax_k V[d*, ·]; ties go to the first.

    Returns `score`; `train_score` where the score is held out, `revised_score` where the protocol has it;
    `active_codes`, the number of codes that vote; `votes`, V as D lists of K counts, rows by the codes' own column;
    and `left_out`, the factors with a single value, which are never fixed. No active code scores 0.

    Departures: constants never vote (0/0 in InfoGAN-CR's code and, at its default threshold, in disentanglement_lib).
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so none can be told from another"}
    if reason := table.without_company():
        return {"skip": reason}
    unit: float | np.ndarray = 1.0
    if protocol.robust:
        codes, active = scale_free(table.codes)  # (N, D), [0, 1]
    else:
        codes, unit = unit_size(table.codes)  # (N, D), (-2, 2), in units of `unit`
        active = np.ones(codes.shape[1], dtype=bool)

    fixed = draw_factors(varying, protocol.train_votes + protocol.eval_votes, protocol.in_turn, rng)  # (V,)
    rows = table.sample_sharing(fixed, protocol.group, rng)  # (V, L)
    variance = _global_variance(codes, rows, protocol, rng)  # (D,)
    threshold = protocol.prune_std / np.maximum(unit, 1e-300)  # a denormal unit would overflow
    active &= (variance > ZERO_VARIANCE) & (np.sqrt(variance) >= threshold)
    details = {"active_codes": int(active.sum()), **left_out(table)}
    votes = np.zeros((2, *codes.shape[1:], len(table.factor_names)), dtype=np.int64)  # (training | held out, D, K)
    if active.any():
        ratio = _group_variance(codes, rows)[:, active] / variance[active]  # (V, active)
        winner = np.flatnonzero(active)[ratio.argmin(axis=1)]  # (V,), original code indices
        held_out = np.arange(len(fixed)) >= protocol.train_votes
        np.add.at(votes, (held_out.astype(int), winner, fixed), 1)

    train, evaluation = votes
    best = train.max(axis=1)  # (D,)
    scores = {"score": float(best.sum() / protocol.train_votes)}
    if protocol.eval_votes:
        correct = evaluation[np.arange(len(train)), train.argmax(axis=1)].sum()
        scores = {"score": float(correct / protocol.eval_votes), "train_score": scores["score"]}
    if protocol.revised:
        scores["revised_score"] = float(np.sort(best)[::-1][: len(varying)].sum() / protocol.train_votes)
    return {**scores, **details, "votes": train.tolist()}


def _global_variance(codes: np.ndarray, votes: np.ndarray, protocol: Protocol, rng: np.random.Generator) -> np.ndarray:
    """s² of each code (D,), two passes a code: a mean far larger than the spread costs no digits."""
    rows: Any = slice(None)
    if protocol.variance_of == "10,000":
        rows = rng.integers(len(codes), size=10_000)
    elif protocol.variance_of == "tenth":
        rows = rng.choice(len(codes), size=max(2, round(len(codes) / 10)), replace=False)
    elif protocol.variance_of == "votes":
        rows = votes.ravel()
    return np.array([np.var(column[rows] - column[0], ddof=protocol.ddof) for column in codes.T])


def _group_variance(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Unbiased variance of each code within each group of rows (V, L): (V, D)."""
    result = np.empty((len(rows), codes.shape[1]))
    step = max(1, CHUNK // (rows.shape[1] * codes.shape[1]))
    for start in range(0, len(rows), step):
        group = np.take(codes, rows[start : start + step].T, axis=0)  # (L, v, D): sums run along memory
        group -= group[0].copy()  # a code that is constant in a group gives exactly 0, whatever its mean
        group -= group.mean(axis=0)
        np.square(group, out=group)
        result[start : start + step] = group.sum(axis=0) / (rows.shape[1] - 1)
    return result


METRIC = Metric(
    name="factor-vae",
    title="FactorVAE score",
    cite="Kim & Mnih, Disentangling by Factorising, ICML 2018, section 4",
    compute=factor_vae,
    protocols=PROTOCOLS,
)
