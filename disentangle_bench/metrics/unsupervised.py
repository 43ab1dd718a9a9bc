"""The unsupervised scores: how far are the codes from being independent of one another, whatever the factors?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.preparation import ROUNDING, scale_free, unit_size, varies

LARGEST = 1e150  # a larger standard deviation counts as this one, whose square is still finite


@dataclass(frozen=True)
class Protocol:
    """Settings of the unsupervised scores.

    rows: images drawn with replacement.
    bins: bins of equal width between each code's smallest and largest drawn value.
    robust: codes without outliers and scale, constants relative to their magnitude and left out of every mean.
    """

    rows: int
    bins: int
    robust: bool = False


PROTOCOLS = {"locatello": Protocol(10_000, 20), "robust": Protocol(100_000, 20, robust=True)}


def unsupervised(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """Dependence between codes with covariance Σ, 0 where there is none (Locatello et al. 2019).

    total_correlation: ½ (Σ_d log Σ_dd - log det Σ), in nats; that of a normal distribution with covariance Σ.
    wasserstein_correlation: 2 tr Σ - 2 tr (Σ · diag Σ)^½; squared 2-Wasserstein distance from that normal distribution
        to the one with independent codes, as the published code has it. In squared code units.
    mutual_information: mean over pairs of codes d ≠ e of the discretised I(c_d; c_e), in nats.

    Returns these; `normalised_wasserstein_correlation`, over tr Σ; `active_codes`, the codes that vary; `singular`, the
    number of directions in which the standardised codes spread by no more than rounding does.
    The true total correlation of singular codes (one is a linear function of others) is infinite. Each such direction
    counts as spreading by 2⁻²¹, so it adds 21 ln 2 = 14.6 nats, and the number is a lower bound.

    Departures: constants add nothing to the first two (NaN in the published code); fewer than two codes score 0.
    """
    drawn = table.codes[table.sample(protocol.rows, rng)]  # (R, D)
    if protocol.robust:
        codes, active = scale_free(drawn)
        codes = codes[:, active]
        pairs = math.comb(codes.shape[1], 2)
    else:
        codes, unit = unit_size(drawn)
        active = varies(codes)
        codes, unit = codes[:, active], unit[active]
        pairs = math.comb(len(active), 2)
    information = _pairwise_information(codes, protocol.bins)

    codes = codes - codes[0]  # a mean far larger than the spread costs no digits
    codes -= codes.mean(axis=0)
    spread = codes.std(axis=0, ddof=1)  # (active,)
    codes /= spread * math.sqrt(len(codes) - 1)
    root = np.linalg.qr(codes, mode="r")  # (active, active): rootᵀ root is the correlation matrix
    spread = (
        np.ones_like(spread) if protocol.robust else np.clip(spread * np.minimum(unit, LARGEST), 1 / LARGEST, LARGEST)
    )
    singular = np.linalg.svd(root, compute_uv=False)
    tc = -np.log(np.maximum(singular, ROUNDING)).sum()
    # tr (Σ · diag Σ)^½ is the sum of the singular values of X diag Σ^½ for any X with XᵀX = Σ: always real, and exact
    # where the square root of a singular matrix is not.
    largest = spread.max(initial=1 / LARGEST)
    variance = (spread / largest) ** 2
    trace = variance.sum()
    distance = max(0.0, 2 * (trace - np.linalg.svd(root * variance, compute_uv=False).sum()))
    return {
        "total_correlation": max(0.0, float(tc)),
        "wasserstein_correlation": float(distance * largest**2),
        "mutual_information": information / pairs if pairs else 0.0,
        "normalised_wasserstein_correlation": float(distance / trace) if trace else 0.0,
        "active_codes": int(active.sum()),
        "singular": int((singular <= ROUNDING).sum()),
    }


def _pairwise_information(codes: np.ndarray, bins: int) -> float:
    """Sum over pairs of codes (R, D) of their plug-in mutual information in nats, from bins of equal width."""
    low, high = codes.min(axis=0), codes.max(axis=0)
    edges = np.linspace(low, high, bins + 1)[:-1]  # (bins, D), lower edges, as numpy's histogram has them
    binned = [np.searchsorted(edge, code, side="right") - 1 for edge, code in zip(edges.T, codes.T, strict=True)]
    total = 0.0
    for d, first in enumerate(binned):
        for second in binned[:d]:
            joint = np.bincount(first * bins + second, minlength=bins * bins).reshape(bins, bins) / len(codes)
            independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
            seen = joint > 0
            total += max(0.0, float((joint[seen] * np.log(joint[seen] / independent[seen])).sum()))
    return total


METRIC = Metric(
    name="unsupervised",
    title="Unsupervised scores",
    cite="Locatello et al., Challenging Common Assumptions in the Unsupervised Learning of Disentangled "
    "Representations, ICML 2019",
    compute=unsupervised,
    protocols=PROTOCOLS,
    keys=("total_correlation", "wasserstein_correlation", "mutual_information"),
    higher_is_better=False,
    needs_factors=False,
    range=(0.0, math.inf),
)
