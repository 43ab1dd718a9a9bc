"""DCIMIG: does each factor have a code of its own, one that knows it and hardly any other factor?"""

from __future__ import annotations

from typing import Any

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.discretise import gap
from disentangle_bench.metrics.mig import Protocol, information_table

PROTOCOLS = {"locatello": Protocol("10,000", 20), "carbonneau": Protocol("all", 10), "robust": Protocol(robust=True)}


def dcimig(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """Σ_k S_k / Σ_k H(v_k), S_k = max over codes d whose best factor is k of I_dk - max_{j ≠ k} I_dj.

    Sepliarskaia et al. 2019, section 4: each code belongs to the factor that it knows best, by a gap to its second
    factor; each factor counts the largest gap among its codes, or 0 where it has none. I_dk is the mutual information
    of code d, in bins, and factor k, H the factor's entropy, both from counts, in nats. A second code that knows the
    same factor costs nothing here, as it does in MIG, nor does a code of noise, as it does in MIG-sup.

    Returns `score`; `active_codes`, the codes that vary; `code_of_factor`, for each factor the number of the code that
    counts, -1 where it has none; `mutual_information`, I as D lists of K numbers, 0 for a factor left out; and
    `left_out`, the factors with a single value. A single factor has no second, so the result is a reason to skip.

    Departure: the paper takes I from q(z|x) [unverified], which only VAEs have; here it is from codes.
    """
    information, entropies, details = information_table(table, protocol, rng)
    if len(entropies) < 2:
        return {"skip": f"a gap between factors takes two that vary among the images scored, and {len(entropies)} do"}
    gaps, best = gap(information.T), information.argmax(axis=1)  # (D,) each
    owned = np.where(best[:, None] == np.arange(len(entropies)), gaps[:, None], 0.0)  # (D, V)
    code_of_factor = np.full(len(table.factor_names), -1)
    varying = np.flatnonzero([name not in details.get("left_out", ()) for name in table.factor_names])
    code_of_factor[varying] = np.where(owned.max(axis=0) > 0, owned.argmax(axis=0), -1)
    score = float(owned.max(axis=0).sum() / entropies.sum())
    return {"score": score, "code_of_factor": code_of_factor.tolist(), **details}


METRIC = Metric(
    name="dcimig",
    title="DCIMIG",
    cite="Sepliarskaia et al., How to Not Measure Disentanglement, arXiv:1910.05587, 2019, section 4",
    compute=dcimig,
    protocols=PROTOCOLS,
)
