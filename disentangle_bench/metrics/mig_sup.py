"""MIG-sup, the mutual information gap seen from the codes: does a code know one factor, and no second one?"""

from __future__ import annotations

from typing import Any

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.discretise import gap
from disentangle_bench.metrics.mig import Protocol, information_table

PROTOCOLS = {
    "locatello": Protocol("10,000", 20),
    "original": Protocol("all", 20),
    "robust": Protocol(robust=True),
}


def mig_sup(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """mean_d (J_d(1) - J_d(2)), J_dk = I_dk / H(v_k): how far a code's best factor leads its second (Li et al. 2020).

    I_dk is the mutual information of code d, in bins, and factor k, H the factor's entropy, both from counts, in nats.
    The mean is over the codes that vary, so a constant changes nothing and a code of noise counts 0.

    Returns `score`; `active_codes`, the codes that vary; `mutual_information`, I as D lists of K numbers, 0 for a
    factor left out; and `left_out`, the factors with a single value. No active code scores 0. A single factor has no
    second, so the result is a reason to skip.

    Unverified: the paper's normalisation, H of the factor here, and its number of bins; some public codes divide by
    the entropy of the binned code instead. The paper takes I from q(z|x), which only VAEs have.
    """
    information, entropies, details = information_table(table, protocol, rng)
    if len(entropies) < 2:
        return {"skip": f"a gap between factors takes two that vary among the images scored, and {len(entropies)} do"}
    if not details["active_codes"]:
        return {"score": 0.0, **details}
    gaps = gap((information / entropies).T)  # (D,), 0 for a constant
    return {"score": float(gaps.sum() / details["active_codes"]), **details}


METRIC = Metric(
    name="mig-sup",
    title="Mutual information gap over codes",
    cite="Li et al., Progressive Learning and Disentanglement of Hierarchical Representations, ICLR 2020",
    compute=mig_sup,
    protocols=PROTOCOLS,
)
