"""The mutual information gap: does one code know a factor, and no second one?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.discretise import (
    entropy,
    equal_width,
    gap,
    mutual_information,
    robust_information,
    value_numbers,
)
from disentangle_bench.metrics.preparation import draw_rows, left_out, varies


@dataclass(frozen=True)
class Protocol:
    """Settings of the mutual information gap.

    rows: the images scored: 10,000 with replacement, a tenth without, or all.
    bins: equal-width bins of each code, between its smallest and its largest value among those images.
    robust: bins by rank, information corrected for chance, constants dropped, identical images merged; no `bins`.
    """

    rows: Literal["10,000", "tenth", "all"] = "all"
    bins: int = 0
    robust: bool = False


PROTOCOLS = {
    "locatello": Protocol("10,000", 20),
    "infogan-cr": Protocol("tenth", 20),
    "robust": Protocol(robust=True),
}


def mig(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """mean_k (I_(1)k - I_(2)k) / H(v_k): how far a factor's best code leads the second (Chen et al. 2018, section 4.1).

    I_dk is the mutual information of code d, in bins, and factor k, H the factor's entropy, both from counts, in nats.

    Returns `score`; `active_codes`, the codes that vary; `mutual_information`, I as D lists of K numbers, 0 for a
    factor left out; and `left_out`, the factors with a single value. No active code scores 0; one code leads by all
    that it knows.

    Departures: factors with a single value are left out, 0/0 in the public codes, which also fail on a single code.
    The paper takes I from q(z|x), which only VAEs have; all protocols here take it from codes, as Locatello et al. do.
    """
    information, entropies, details = information_table(table, protocol, rng)
    if not len(entropies):
        return {"skip": "no factor has more than one value among the images scored, so no code can tell anything of it"}
    return {"score": float((gap(information) / entropies).mean()), **details}


def information_table(
    table: CodeTable, protocol: Protocol, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """I in nats, (D, V), and H, (V,), for the factors that vary among the scored images; and the details to report."""
    if protocol.robust:
        table = table.merge_same_images()
        varying = table.varying_factors
        information, entropies, active = robust_information(table)
    else:
        if protocol.rows != "all":
            rows = draw_rows(table, protocol.rows, rng)
            table = CodeTable(table.codes[rows], table.factors[rows], table.factor_names)
        varying = table.varying_factors
        values = value_numbers(table.factors[:, varying])
        entropies, active = entropy(values), varies(table.codes)
        # No more than the entropy, which rounding may exceed.
        information = np.minimum(mutual_information(equal_width(table.codes, protocol.bins), values), entropies)
    whole = np.zeros((table.codes.shape[1], len(table.factor_names)))
    whole[:, varying] = information
    details = {"active_codes": int(active.sum()), "mutual_information": whole.tolist(), **left_out(table)}
    return information, entropies, details


METRIC = Metric(
    name="mig",
    title="Mutual information gap",
    cite="Chen et al., Isolating Sources of Disentanglement in Variational Autoencoders, NeurIPS 2018, section 4.1",
    compute=mig,
    protocols=PROTOCOLS,
)
