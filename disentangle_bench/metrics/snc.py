"""SNC, single-neuron classification: how often does a factor's own code alone tell its value?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.discretise import joint_counts, mutual_information, value_numbers
from disentangle_bench.metrics.preparation import left_out, varies
from disentangle_bench.metrics.sap import recall_by_bins

MOST_VALUES = 1_000  # of a factor that `original` maps one to one: its bins are as many, and their table is square


@dataclass(frozen=True)
class Protocol:
    """Settings of single-neuron classification.

    train, test: rows that set bins, matching and map, and rows that are judged, drawn with replacement.
    robust: bins by rank of all rows, two and more for each value, the most likely value of each learned from one half
        of the rows and judged on the other, every value weighing the same, codes matched by that; constants relative
        to their magnitude, identical images merged.
    """

    train: int = 10_000
    test: int = 5_000
    robust: bool = False


PROTOCOLS = {"original": Protocol(), "robust": Protocol(robust=True)}


def snc(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """mean_k accuracy of v_k predicted from one code m(k), no code serving two factors (Mahon et al. 2024, section 4).

    Each code is cut at its quantiles into as many bins as the factor has values; m maximises Σ_k I(bins of c_m(k);
    v_k); each bin predicts one value, and each value has one bin, whichever assignment is right most often.

    Returns `snc`; `adjusted`, mean_k max(0, (accuracy - chance) / (1 - chance)), chance being the accuracy of the
    commonest value; `chance`, its mean over factors; `code_of_factor`, m, -1 where a factor has no code;
    `accuracy_of`, the accuracy of each factor; `active_codes`, the codes that vary; `left_out`, the factors with a
    single value. A factor without a code has the accuracy of chance.

    Departure: a value that no training row has is predicted wrongly. The paper's other score, neuron knockout, takes a
    network for each factor and is not offered.
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so there is nothing to predict"}
    values = value_numbers(table.factors[:, varying])
    most = int(values.max()) + 1
    if most > MOST_VALUES and not protocol.robust:
        return {"skip": f"a factor has {most:,} values, too many to have a bin each; use `robust`"}
    find = _by_recall if protocol.robust else _by_quantiles
    accuracy, chance, code, active = find(table, values, protocol, rng)
    adjusted = np.clip((accuracy - chance) / np.where(chance < 1, 1 - chance, 1), 0, 1)
    code_of_factor = np.full(len(table.factor_names), -1)
    code_of_factor[varying] = code
    names = [table.factor_names[k] for k in varying]
    return {
        "snc": float(accuracy.mean()),
        "adjusted": float(adjusted.mean()),
        "chance": float(chance.mean()),
        "code_of_factor": code_of_factor.tolist(),
        "accuracy_of": dict(zip(names, accuracy.tolist(), strict=True)),
        "active_codes": int(active.sum()),
        **left_out(table),
    }


Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Accuracy (V,), chance (V,) and code, int (V,), -1 for none, of each factor that varies; and which codes do, (D,)."""


def _by_quantiles(table: CodeTable, values: np.ndarray, protocol: Protocol, rng: np.random.Generator) -> Found:
    """The paper's: bins by quantiles, matched by information, mapped one to one."""
    train, test = table.sample(protocol.train, rng), table.sample(protocol.test, rng)
    active = varies(table.codes[train])
    codes, scored = table.codes[train][:, active], table.codes[test][:, active]
    levels = values.max(axis=0) + 1
    known = np.zeros((len(levels), codes.shape[1]))  # (V, active)
    for k, level in enumerate(levels):
        if codes.shape[1]:
            known[k] = mutual_information(_quantile_bins(codes, codes, level), values[train][:, [k]])[:, 0]
    code, chosen = _matched(known, np.flatnonzero(active))
    accuracy, chance = np.empty((2, len(levels)))
    for k, level in enumerate(levels):
        labels, target = values[train, k], values[test, k]
        chance[k] = accuracy[k] = (target == np.bincount(labels).argmax()).mean()
        if code[k] >= 0:
            own, judged = codes[:, [chosen[k]]], scored[:, [chosen[k]]]
            bins, seen = _quantile_bins(own, own, level)[:, 0], _quantile_bins(own, judged, level)[:, 0]
            accuracy[k] = (_one_to_one(joint_counts(bins, labels, level, level))[seen] == target).mean()
    return accuracy, chance, code, active


def _by_recall(table: CodeTable, values: np.ndarray, protocol: Protocol, rng: np.random.Generator) -> Found:
    """Ours: what `sap` by bins knows of each factor, whose chance is one in as many as it has values."""
    recall, active = recall_by_bins(table, rng)
    known = recall[:, table.varying_factors].T  # (V, D), 0 by chance, 1 at best
    code, _ = _matched(known, np.arange(len(active)))
    own = np.where(code >= 0, known[np.arange(len(code)), code], 0)
    chance = 1 / (values.max(axis=0) + 1)
    return chance + own * (1 - chance), chance, code, active


def _quantile_bins(train: np.ndarray, codes: np.ndarray, bins: int) -> np.ndarray:
    """Bin numbers 0..bins-1, int (n, A), of codes (n, A), cut where the sorted training codes (N, A) are cut into equal
    parts; the lowest is open below."""
    cuts = np.sort(train, axis=0)[(np.arange(1, bins) * len(train) / bins).astype(int)]
    pairs = zip(cuts.T, codes.T, strict=True)
    return np.stack([np.searchsorted(cut, code, side="right") for cut, code in pairs], axis=1)


def _matched(known: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which code each factor is matched with by what is known, (V, C): its number and its column, (V,); -1: none."""
    from scipy.optimize import linear_sum_assignment

    factors, chosen = linear_sum_assignment(known, maximize=True)
    useful = known[factors, chosen] > 0
    code, column = np.full((2, len(known)), -1)
    column[factors[useful]] = chosen[useful]
    code[factors[useful]] = numbers[chosen[useful]]
    return code, column


def _one_to_one(counts: np.ndarray) -> np.ndarray:
    """The value that each bin predicts, int (bins,), of counts (bins, bins): no two the same, most rows right."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(counts, maximize=True)[1]


METRIC = Metric(
    name="snc",
    title="Single-neuron classification",
    cite="Mahon, Sha & Lukasiewicz, Correcting Flaws in Common Disentanglement Metrics, TMLR 2024",
    compute=snc,
    protocols=PROTOCOLS,
    keys=("snc", "adjusted"),
)
