"""Performance profiles and probabilities of improvement, with stratified bootstrap intervals.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS), section 4. Their
tasks are our datasets, their runs our seeds. Runs are float64 arrays (n,), one for each task; their numbers may differ.
The bootstrap is stratified: it draws each task's runs anew from that task's own. A 95 % interval lies between the 2.5 %
and the 97.5 % quantile of what it gives; of few seeds it is too narrow, as all percentile bootstraps are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from disentangle_bench.boards.statistics import LEVEL

RESAMPLES = 2_000  # as in the paper, of profiles
EDGES = (LEVEL / 2, 1 - LEVEL / 2)

Tasks = Sequence[np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A number, or an array of them, and its 95 % interval."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def performance_profile(
    tasks: Tasks, thresholds: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Estimate:
    """The share of runs that score more than each threshold τ (T,), averaged over tasks: the run-score distribution.

    F(τ) = 1/M Σ_m 1/N_m Σ_n 1[x_mn > τ]; its band is pointwise. Arrays (T,).
    """
    above = [(runs[:, None] > thresholds).astype(np.float64) for runs in tasks]  # (N, T)
    value = np.mean([shares.mean(axis=0) for shares in above], axis=0)
    drawn = np.mean([weights(len(shares), resamples, rng) @ shares for shares in above], axis=0)  # (R, T)
    return Estimate(value, *np.quantile(drawn, EDGES, axis=0))


def probability_of_improvement(
    one: Tasks, two: Tasks, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Estimate:
    """The probability that a run of `one` scores more than one of `two` on a task drawn at random; arrays of no axis.

    P = 1/M Σ_m 1/(N K) Σ_i Σ_j S(x_mi, y_mj), S = 1 where x > y, ½ where they are equal, else 0: Mann and Whitney's U.
    The runs of both are drawn anew. `one` and `two` have the same tasks in the same order.
    """
    wins = [(x[:, None] > y) + 0.5 * (x[:, None] == y) for x, y in zip(one, two, strict=True)]  # (N, K)
    value = np.mean([table.mean() for table in wins])
    drawn = np.mean(
        [
            np.einsum(
                "rn,nk,rk->r", weights(len(table), resamples, rng), table, weights(table.shape[1], resamples, rng)
            )
            for table in wins
        ],
        axis=0,
    )
    return Estimate(value, *np.quantile(drawn, EDGES))


def weights(count: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """(resamples, count): the share that each of `count` runs has in each sample of `count`, drawn with replacement."""
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples) / count
