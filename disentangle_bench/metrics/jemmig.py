"""JEMMIG: the mutual information gap that also counts what the best code holds beside its factor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.discretise import (
    entropy,
    equal_width,
    information_by_values,
    mutual_information,
    value_numbers,
)
from disentangle_bench.metrics.preparation import left_out, varies


@dataclass(frozen=True)
class Protocol:
    """Settings of JEMMIG.

    bins: equal-width bins of each code, between its smallest and its largest value.
    robust: bins by rank, two for each value of the factor and one, information corrected for chance, constants dropped,
        identical images merged; no `bins`.
    """

    bins: int = 0
    robust: bool = False


PROTOCOLS = {"carbonneau": Protocol(10), "robust": Protocol(robust=True)}


def jemmig(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """mean_k 1 - (H(z*, v_k) - I(z*; v_k) + I(z°; v_k)) / (H(v_k) + log B) (Do & Tran 2020, section 4.3).

    z* is the code, in B bins, that knows factor k best, z° the second best; H(z*, v) - I(z*; v) = H(z* | v) + H(v | z*)
    is what either holds without the other. In nats, from counts.

    Returns `score`; `active_codes`, the codes that vary; `code_of_factor`, z* of each factor, -1 where no code knows
    it; `mutual_information`, I as D lists of K numbers, 0 for a factor left out; `left_out`, the factors with a single
    value. A factor that no code knows counts 0.

    Departures: a constant as z* counts 0, where the formula gives log B / (H + log B). The paper's own score is the
    numerator, in nats, and takes I from q(z|x); this is its normalised form by Carbonneau et al. 2020.
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so no code can tell anything about one"}
    values = value_numbers(table.factors[:, varying])
    if protocol.robust:
        information, code_entropies, entropies, bins, active = information_by_values(table)
    else:
        numbers, active = equal_width(table.codes, protocol.bins), varies(table.codes)
        entropies = entropy(values)
        information = np.minimum(mutual_information(numbers, values), entropies)
        code_entropies = np.repeat(entropy(numbers)[:, None], len(varying), axis=1)
        bins = np.full(len(varying), protocol.bins)
    ordered = np.sort(information, axis=0)
    best, second = ordered[-1], (ordered[-2] if len(ordered) > 1 else np.zeros(len(varying)))
    own = information.argmax(axis=0)  # z* of each factor
    extra = code_entropies[own, np.arange(len(varying))] + entropies - 2 * best + second
    known = best > 0
    score = np.where(known, np.clip(1 - extra / (entropies + np.log(bins)), 0, 1), 0)
    whole = np.zeros((len(active), len(table.factor_names)))
    whole[:, varying] = information
    code_of_factor = np.full(len(table.factor_names), -1)
    code_of_factor[varying[known]] = own[known]
    return {
        "score": math.fsum(score.tolist()) / len(score),
        "active_codes": int(active.sum()),
        "code_of_factor": code_of_factor.tolist(),
        "mutual_information": whole.tolist(),
        **left_out(table),
    }


METRIC = Metric(
    name="jemmig",
    title="Joint entropy minus mutual information gap",
    cite="Do & Tran, Theory and Evaluation Metrics for Learning Disentangled Representations, ICLR 2020, section 4.3",
    compute=jemmig,
    protocols=PROTOCOLS,
)
