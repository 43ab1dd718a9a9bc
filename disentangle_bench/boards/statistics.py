"""Statistics over seeds: an interval of a mean, tests of two samples, Holm's correction, ranks, and seeds for a power.

Samples are float64 arrays (n,), one number a seed. Nothing here rounds, clips a score, or draws without a generator.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

MIN_SEEDS = 3  # of each sample, for an interval or a test of means: see `t_interval`
LEVEL = 0.05  # of every test, two-sided; intervals are of 1 - LEVEL
POWER = 0.8
SPLITS = 19_999  # of a permutation test, which is exact up to so many: eight seeds against eight have 12,870
MOST_SEEDS = 10_000  # beyond that, no number of seeds is named for a power
QUANTILES = (np.arange(1_000) + 0.5) / 1_000
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Difference:
    """The difference of two means, its 95 % interval, and the two-sided p of no difference."""

    value: float
    low: float
    high: float
    p: float


def variance(sample: np.ndarray) -> float:
    """The variance (n - 1) of a sample; exactly 0 where all numbers are equal, which a mean's rounding may hide."""
    return 0.0 if sample.min() == sample.max() else float(sample.var(ddof=1))


def t_interval(sample: np.ndarray) -> tuple[float, float]:
    """Student's t interval of the mean, 95 %: mean ± t(n - 1) · sd / √n. It may reach beyond a score's range.

    For normal scores it covers what it promises at any number of seeds, where a percentile bootstrap covers 84 % at
    five and 91 % at ten. Tables give it from `MIN_SEEDS` = 3 on: of two seeds, t is 12.7 and the interval 18 sd wide,
    which says nothing; of three, t is 4.3 and it is 5 sd wide. It does not hold where some seeds collapse: seeds that
    have not collapsed yet know nothing of those that will. Of equal numbers it has no width.
    """
    mean, half = float(sample.mean()), t_quantile(len(sample) - 1) * math.sqrt(variance(sample) / len(sample))
    return mean - half, mean + half


def t_quantile(freedom: float) -> float:
    """Where Student's t of these degrees of freedom leaves half of `LEVEL` above."""
    return float(special.stdtrit(freedom, 1 - LEVEL / 2))


def welch(one: np.ndarray, two: np.ndarray) -> Difference:
    """The mean of `one` minus that of `two`, by Welch's t: the two may differ in their spread and their size.

    Where neither has any spread, t has no scale; the interval then has no width, and p is that of an exact
    permutation test: the smallest there is for so many seeds where they differ, 1 where they don't.
    """
    value = float(one.mean() - two.mean())
    parts = variance(one) / len(one), variance(two) / len(two)
    error = math.sqrt(sum(parts))
    if error == 0:
        return Difference(value, value, value, 1.0 if one[0] == two[0] else smallest_p(len(one), len(two)))
    share = parts[0] / sum(parts)
    freedom = 1 / (share**2 / (len(one) - 1) + (1 - share) ** 2 / (len(two) - 1))
    half = t_quantile(freedom) * error
    p = 2 * float(special.stdtr(freedom, -abs(value) / error))
    return Difference(value, value - half, value + half, max(p, TINY))  # p is never 0, but may be too small for a float


def chance_above(one: np.ndarray, two: np.ndarray) -> float:
    """P(A > B) + ½ P(A = B) of a seed A of `one` and a seed B of `two`: the share of all pairs, ties counted half."""
    return float((one[:, None] > two).mean() + 0.5 * (one[:, None] == two).mean())


def permutation_p(one: np.ndarray, two: np.ndarray, rng: np.random.Generator) -> tuple[float, bool]:
    """The two-sided p of a permutation test of the means by scipy, and whether it is exact; from two numbers each on.

    Twice the smaller of two shares: of the splits of all numbers into samples of these sizes whose difference of means
    is at least, and at most, the observed one. All splits where there are no more than `SPLITS`; else so many random
    ones from `rng`, the observed split counted with them, so that p is never 0.
    """
    middle = np.concatenate([one, two]).mean()
    unit = max(np.abs(one - middle).max(), np.abs(two - middle).max()) or 1.0

    def difference(one: np.ndarray, two: np.ndarray, axis: int) -> np.ndarray:
        found: np.ndarray = (one.mean(axis=axis) - two.mean(axis=axis)).round(12)  # the same numbers in another order
        return found

    samples = [(each - middle) / unit for each in sorted((one, two), key=len)]
    test = stats.permutation_test(samples, difference, vectorized=True, n_resamples=SPLITS, batch=SPLITS, rng=rng)
    return float(test.pvalue), math.comb(len(one) + len(two), len(one)) <= SPLITS


def smallest_p(one: int, two: int) -> float:
    """The smallest two-sided p that a permutation test of so many numbers against so many can give."""
    return min(1.0, 2 / math.comb(one + two, one))


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """p values adjusted by Holm's step-down: rejecting those up to 5 % errs in no more than 5 % of whole families."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return adjusted


def pairwise_ranks(samples: Sequence[np.ndarray], higher_is_better: bool) -> list[int]:
    """Each sample's rank: one more than the number of samples that are significantly better than it.

    Significantly: by Welch's t, two-sided, at 5 % after Holm's correction over all pairs of these samples.
    """
    pairs = list(itertools.combinations(range(len(samples)), 2))
    tests = [welch(samples[i], samples[j]) for i, j in pairs]
    ranks = [1] * len(samples)
    for (i, j), test, p in zip(pairs, tests, holm([test.p for test in tests]), strict=True):
        if p <= LEVEL:
            ranks[j if (test.value > 0) == higher_is_better else i] += 1
    return ranks


def power(seeds: int, difference: float, variances: tuple[float, float]) -> float:
    """The chance that Welch's test of so many seeds each is significant at 5 %, either way, for normal scores.

    The mean over a thousand equally likely values of the estimated error, relative to the true one; the distribution
    of the noncentral t itself is NaN in scipy for many seeds.
    """
    total = sum(variances)
    share = variances[0] / total
    freedom = (seeds - 1) / (share**2 + (1 - share) ** 2)
    shift = abs(difference) / math.sqrt(total / seeds)
    edges = t_quantile(freedom) * np.sqrt(2 * special.gammaincinv(freedom / 2, QUANTILES) / freedom)
    return float(np.mean(special.ndtr(shift - edges) + special.ndtr(-shift - edges)))


def seeds_for_power(difference: float, variances: tuple[float, float]) -> int | None:
    """The fewest seeds each, `MIN_SEEDS` or more, that find this difference of means at 80 % power.

    None where there is no difference or no spread to plan with, or where it takes more than `MOST_SEEDS`.
    """
    if difference == 0 or sum(variances) == 0 or power(MOST_SEEDS, difference, variances) < POWER:
        return None
    low, high = MIN_SEEDS, MOST_SEEDS  # power grows with the number of seeds
    while low < high:
        middle = (low + high) // 2
        if power(middle, difference, variances) >= POWER:
            high = middle
        else:
            low = middle + 1
    return low
