"""Codes as bins, and what the bins tell about the factors: mutual information in nats, from counts."""

from __future__ import annotations

import math

import numpy as np

from disentangle_bench.contracts import CodeTable
from disentangle_bench.metrics.preparation import scale_free, unit_size

MOST_BINS = 999
ROWS_A_CELL = 10
CHANCE = 4.0  # standard deviations that information must lie above its mean under independence to count at all


def equal_width(codes: np.ndarray, bins: int) -> np.ndarray:
    """Bin numbers 0..bins-1, int (N, D), of codes (N, D): bins of equal width from each code's smallest to its largest.

    These are `numpy.digitize`'s over the edges of `numpy.histogram`; a value on an edge belongs to the bin above it.
    """
    codes, _ = unit_size(codes)  # exact, and no width overflows
    numbers = np.empty(codes.shape, dtype=np.int64, order="F")  # counting reads whole columns
    for d, column in enumerate(codes.T):
        edges = np.linspace(column.min(), column.max(), bins + 1)[:-1]
        numbers[:, d] = np.searchsorted(edges, column, side="right") - 1
    return numbers


def centred_ranks(codes: np.ndarray) -> np.ndarray:
    """Twice each value's distance from the middle rank, int (N, D), of codes (N, D); equal values share their mid-rank,
    (rows below it + rows not above it) / 2."""
    rows = len(codes)
    ranks = np.empty(codes.shape, dtype=np.int64, order="F")  # counting reads whole columns
    for d, column in enumerate(codes.T):
        order = np.argsort(column)
        ordered = column[order]
        first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))  # where each value starts
        last = np.append(first[1:], rows)
        ranks[order, d] = np.repeat(first + last - rows, last - first)
    return ranks


def ranks_in_bins(ranks: np.ndarray, bins: int) -> np.ndarray:
    """Bin numbers 0..bins-1, int (N,), of one code's `centred_ranks`: equally filled but for ties; `bins` is odd."""
    rows = len(ranks)
    return np.sign(ranks) * ((np.abs(ranks) * bins + rows) // (2 * rows)) + bins // 2


def equal_count(codes: np.ndarray, bins: int) -> np.ndarray:
    """Bin numbers 0..bins-1, int (N, D), of codes (N, D): by rank, as equally filled as ties allow; `bins` is odd.

    A value goes where its mid-rank falls, so equal values share a bin, two neighbours that each make up 1 / bins of the
    rows have a bin each, and every strictly monotone map of a code, rising or falling, gives the same bins. One outlier
    is one row at an end, no more.
    """
    numbers = centred_ranks(codes)
    for column in numbers.T:
        column[:] = ranks_in_bins(column, bins)
    return numbers


def joint_counts(numbers: np.ndarray, values: np.ndarray, bins: int, levels: int) -> np.ndarray:
    """How often a bin meets a value: int (bins, levels), of bin numbers (N,) and value numbers (N,), from 0 up."""
    return np.bincount(numbers * levels + values, minlength=bins * levels).reshape(bins, levels)


def value_numbers(factors: np.ndarray) -> np.ndarray:
    """Each factor's values counted from 0 in their order: int (N, K) of whole numbers (N, K)."""
    numbers = np.empty(factors.shape, dtype=np.int64, order="F")
    for k, column in enumerate(factors.T):
        low, high = int(column.min()), int(column.max())
        if high - low <= len(column):  # indices of values: counting them is ten times as fast as sorting them
            offset = column - low
            numbers[:, k] = (np.cumsum(np.bincount(offset) > 0) - 1)[offset]
        else:
            numbers[:, k] = np.unique(column, return_inverse=True)[1]
    return numbers


def entropy(values: np.ndarray) -> np.ndarray:
    """Plug-in entropy in nats of each column: (K,) of value numbers (N, K)."""
    result = []
    for count in (np.bincount(column).astype(np.float64) for column in values.T):
        count = count[count > 0]  # the same terms as a code's that is the factor, so that their quotient is exactly 1
        result.append(math.fsum((count * np.log(count * len(values) / (count * count))).tolist()) / len(values))
    return np.array(result)


def mutual_information(numbers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Plug-in mutual information in nats, (D, K), of bin numbers (N, D) and value numbers (N, K); never below 0."""
    bins, levels = int(numbers.max()) + 1, values.max(axis=0) + 1
    counts = [[joint_counts(code, values[:, k], bins, levels[k]) for k in range(len(levels))] for code in numbers.T]
    return np.array([[_information(table) for table in tables] for tables in counts])


def _information(counts: np.ndarray) -> float:
    """Plug-in mutual information in nats of a table of counts; exactly 0 where it factorises.

    The sum is rounded once, so neither the order of bins nor that of values changes a bit of it.
    """
    rows, columns = np.nonzero(counts)
    cell = counts[rows, columns].astype(np.float64)
    expected = counts.sum(axis=1)[rows].astype(np.float64) * counts.sum(axis=0)[columns]
    total = counts.sum()
    return max(0.0, math.fsum((cell * np.log(cell * total / expected)).tolist()) / float(total))


def robust_bins(table: CodeTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equally filled bins of the codes that vary, int (N, active); value numbers, int (N, K); and which vary, (D,).

    The table should have its identical images merged. There are as many bins as leave ten rows for each pair of a bin
    and a value of the largest factor, at least twice that factor's values, and at most 999. A code is a constant where
    `scale_free` says so: rounding noise must not be spread over bins by its rank.
    """
    active = scale_free(table.codes)[1]
    values = value_numbers(table.factors)
    most = int(values.max()) + 1
    bins = min(MOST_BINS, max(2 * most, len(values) // (ROWS_A_CELL * most))) | 1
    return equal_count(table.codes[:, active], bins), values, active


def robust_information(table: CodeTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Information in nats of all codes on the varying factors, (D, V); those factors' entropies, (V,); active, (D,).

    Each is what `beyond_chance` leaves, at most the factor's entropy.
    """
    numbers, values, active = robust_bins(table)
    values = values[:, table.varying_factors]
    entropies = entropy(values)  # (V,)
    information = np.zeros((len(active), len(entropies)))
    for d, code in zip(np.flatnonzero(active), numbers.T, strict=True):
        for k, factor in enumerate(values.T):
            counts = joint_counts(code, factor, int(code.max()) + 1, int(factor.max()) + 1)
            information[d, k] = min(beyond_chance(counts), entropies[k])
    return information, entropies, active


def information_by_values(
    table: CodeTable,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What codes in as many bins as a factor needs know of it: 2V + 1 by rank for a factor of V values, at most 999.

    A code that is the factor keeps a bin for each value, and there are few more, so that the code's own entropy means
    something: it grows with the number of bins.

    Returns information in nats beyond chance, (D, V); the codes' plug-in entropies, (D, V), those of constants 0; the
    factors', (V,); the bins, int (V,); and which codes vary, bool (D,), as `scale_free` says.
    """
    active = scale_free(table.codes)[1]
    values = value_numbers(table.factors[:, table.varying_factors])
    entropies = entropy(values)
    bins = np.minimum(MOST_BINS, 2 * values.max(axis=0) + 3)
    information, code_entropies = np.zeros((2, len(active), len(entropies)))
    for d in np.flatnonzero(active):
        ranks = centred_ranks(table.codes[:, [d]])[:, 0]
        for k, factor in enumerate(values.T):
            numbers = ranks_in_bins(ranks, int(bins[k]))
            counts = joint_counts(numbers, factor, int(bins[k]), int(factor.max()) + 1)
            code_entropies[d, k] = entropy(numbers[:, None])[0]
            information[d, k] = min(beyond_chance(counts), entropies[k], code_entropies[d, k])
    return information, code_entropies, entropies, bins, active


def beyond_chance(counts: np.ndarray) -> float:
    """Mutual information in nats of a table of counts (bins, levels), less what chance alone would show; never below 0.

    Miller & Madow's correction takes off (pairs - bins - values + 1) / 2N, in the counts of those that occur, which is
    (bins - 1)(values - 1) / 2N for independent codes; it never adds, so a function of the factor keeps all of it.
    Information that does not stand out from chance by four standard deviations is 0, so noise has none.
    """
    bins, levels = (int((counts.sum(axis=axis) > 0).sum()) for axis in (1, 0))
    freedom = (bins - 1) * (levels - 1)  # 2N times the plug-in is chi-square with these under independence
    plug_in, rows = _information(counts), int(counts.sum())
    if 2 * rows * plug_in <= freedom + CHANCE * math.sqrt(2 * freedom):
        return 0.0
    return max(0.0, plug_in - max(0, int((counts > 0).sum()) - bins - levels + 1) / (2 * rows))


def gap(matrix: np.ndarray) -> np.ndarray:
    """The largest less the second largest entry of each column; a column of one entry has 0 as its second."""
    ordered = np.sort(matrix, axis=0)
    return ordered[-1] - (ordered[-2] if len(ordered) > 1 else 0.0)
