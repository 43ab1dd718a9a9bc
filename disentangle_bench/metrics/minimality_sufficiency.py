"""Minimality: does a code hold nothing but one factor? Sufficiency: is a factor held by one code whole?"""

from __future__ import annotations

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
    """Settings of minimality and sufficiency.

    bins: equal-width bins of each code, between its smallest and its largest value.
    robust: bins by rank, two for each value of the factor and one, information corrected for chance, constants relative
        to their magnitude, identical images merged; no `bins`.
    """

    bins: int = 0
    robust: bool = False


PROTOCOLS = {"original": Protocol(15), "robust": Protocol(robust=True)}


def minimality_sufficiency(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """mean_j max_k I(z_j; v_k) / H(z_j); and mean_k max_j I(z_j; v_k) / H(v_k) (Almudévar et al. 2024).

    z_j is code j in bins; information and entropies are from counts, in nats. The first mean is over the codes that
    vary: a constant holds nothing, 0/0.

    Returns `minimality` and `sufficiency`; `active_codes`, the codes that vary; `mutual_information`, I as D lists of K
    numbers, 0 for a factor left out; `left_out`, the factors with a single value. No active code scores 0.
    """
    table = table.merge_same_images() if protocol.robust else table
    varying = table.varying_factors
    if not len(varying):
        return {"skip": "no factor has more than one value, so no code can hold one"}
    if protocol.robust:
        information, code_entropies, entropies, _, active = information_by_values(table)
    else:
        numbers, active = equal_width(table.codes, protocol.bins), varies(table.codes)
        values = value_numbers(table.factors[:, varying])
        entropies, code_entropies = entropy(values), entropy(numbers)[:, None]
        information = np.minimum(mutual_information(numbers, values), np.minimum(entropies, code_entropies))
    minimal = (information / np.where(code_entropies > 0, code_entropies, 1)).max(axis=1)[active]  # (active,)
    whole = np.zeros((len(active), len(table.factor_names)))
    whole[:, varying] = information
    return {
        "minimality": float(minimal.mean()) if active.any() else 0.0,
        "sufficiency": float((information / entropies).max(axis=0).mean()),
        "active_codes": int(active.sum()),
        "mutual_information": whole.tolist(),
        **left_out(table),
    }


METRIC = Metric(
    name="minimality-sufficiency",
    title="Minimality and sufficiency",
    cite="Almudévar et al., Defining and Measuring Disentanglement for non-Independent Factors of Variation, "
    "arXiv:2408.07016, 2024",
    compute=minimality_sufficiency,
    protocols=PROTOCOLS,
    keys=("minimality", "sufficiency"),
)
