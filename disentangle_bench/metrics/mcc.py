"""The mean correlation coefficient: how well does each factor's own code follow it, one code to one factor?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics.preparation import left_out, scale_free, unit_size

CHANCE = 4.0  # standard deviations of an independent code's correlation, 1/√N, that `robust` calls none


@dataclass(frozen=True)
class Protocol:
    """Settings of the mean correlation coefficient.

    correlation: Pearson's, of the values, or Spearman's, of their ranks.
    rows: how many images, with replacement.
    robust: without replacement, the regression judged on one half of the images, correlation beyond chance alone, codes
        without outliers and scale, constants relative to their magnitude, identical images merged.
    """

    correlation: Literal["pearson", "spearman"]
    rows: int = 10_000
    robust: bool = False


PROTOCOLS = {
    "pearson": Protocol("pearson"),
    "spearman": Protocol("spearman"),
    "robust": Protocol("spearman", rows=100_000, robust=True),
}


def mcc(table: CodeTable, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """max over matchings of mean_k |ρ(c_m(k), v_k)|, no code to two factors (Hyvärinen & Morioka 2016); and R².

    ρ is the correlation of code and factor index. r2: mean_k max(0, 1 - Σ (v_k - v̂_k)² / Σ (v_k - v̄_k)²), v̂ the least
    squares prediction from all codes (Zimmermann et al. 2021, section 4).

    Returns `score` and `r2`; `code_of_factor`, the code that each factor is matched with, -1 where it has none;
    `correlation`, |ρ| as D lists of K numbers, 0 for a constant code and a factor left out; `active_codes`, the codes
    that vary; `left_out`, the factors with a single value. A factor without a code counts 0.
    """
    from scipy.optimize import linear_sum_assignment

    if protocol.robust:
        table = table.merge_same_images()
        rows = rng.permutation(len(table.codes))[: protocol.rows]
        codes, active = scale_free(table.codes)
        codes = codes[rows]
    else:
        rows = table.sample(protocol.rows, rng)
        codes = table.codes[rows]
        active = (codes != codes[0]).any(axis=0)
    factors = table.factors[rows]
    varying = np.flatnonzero((factors != factors[0]).any(axis=0))
    if not len(varying):
        return {"skip": "no factor has more than one value, so no code can follow one"}
    targets = factors[:, varying].astype(np.float64)
    rho = np.zeros((codes.shape[1], len(table.factor_names)))
    rho[:, varying] = _correlation(codes, targets, protocol)
    rho[~active] = 0
    chosen, matched = linear_sum_assignment(rho[:, varying], maximize=True)  # codes, and their places in `varying`
    known = rho[chosen, varying[matched]] > 0
    code_of_factor = np.full(len(table.factor_names), -1)
    code_of_factor[varying[matched[known]]] = chosen[known]
    half = len(rows) // 2 if protocol.robust else 0
    return {
        "score": float(rho[chosen, varying[matched]].sum() / len(varying)),
        "r2": _explained(codes[:, active], targets, half) if active.any() else 0.0,
        "code_of_factor": code_of_factor.tolist(),
        "correlation": rho.tolist(),
        "active_codes": int(active.sum()),
        **left_out(table),
    }


def _correlation(codes: np.ndarray, factors: np.ndarray, protocol: Protocol) -> np.ndarray:
    """|ρ| of codes (n, D) and factors (n, V): (D, V); 0 with a constant."""
    from scipy.stats import rankdata

    if protocol.correlation == "spearman":
        codes, factors = rankdata(codes, axis=0), rankdata(factors, axis=0)
    rho = np.minimum(np.abs(_standardised(codes).T @ _standardised(factors)) / len(codes), 1)
    return np.where(rho * np.sqrt(len(codes)) > CHANCE, rho, 0) if protocol.robust else rho


def _standardised(columns: np.ndarray) -> np.ndarray:
    """Columns (n, D) with mean 0 and variance 1; a constant is 0."""
    scaled = unit_size(columns)[0]
    scaled = scaled - scaled[0]  # exactly 0 for a constant, and a large mean costs no digits
    scaled -= scaled.mean(axis=0)
    spread = scaled.std(axis=0)
    return scaled / np.where(spread > 0, spread, np.inf)


def _explained(codes: np.ndarray, factors: np.ndarray, half: int) -> float:
    """Mean R² of factors (n, V) by least squares from codes (n, D): of the rows from `half` on, fitted to those before
    it; of all rows where it is 0."""
    inputs = np.column_stack([_standardised(codes), np.ones(len(codes))])
    fit = slice(0, half) if half else slice(None)
    weights = np.linalg.lstsq(inputs[fit], factors[fit], rcond=None)[0]
    residual = factors[half:] - inputs[half:] @ weights
    total = ((factors[half:] - factors[half:].mean(axis=0)) ** 2).sum(axis=0)
    share = (residual**2).sum(axis=0) / np.where(total > 0, total, 1)
    return float(np.where(total > 0, np.clip(1 - share, 0, 1), 0).mean())


METRIC = Metric(
    name="mcc",
    title="Mean correlation coefficient",
    cite="Hyvärinen & Morioka, Unsupervised Feature Extraction by Time-Contrastive Learning and Nonlinear ICA, "
    "NeurIPS 2016; as in Zimmermann et al., Contrastive Learning Inverts the Data Generating Process, ICML 2021",
    compute=mcc,
    protocols=PROTOCOLS,
    keys=("score", "r2"),
)
