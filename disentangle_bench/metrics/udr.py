"""UDR: without labels, a model whose codes other seeds' codes repeat one to one is disentangled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from disentangle_bench.contracts import CodeTable, Comparison, Progress, silent
from disentangle_bench.errors import UserError, unknown
from disentangle_bench.metrics.preparation import unit_size, varies


@dataclass(frozen=True)
class Protocol:
    """Settings of UDR.

    similarity: "lasso", |coefficients| that predict one model's codes from another's; "spearman", |rank correlation|.
    alpha: the Lasso's penalty.
    min_kl: codes with a mean KL divergence of no more nats are inactive.
    min_variance: where there is no KL: codes with no more than this share of their model's largest variance.
    """

    similarity: Literal["lasso", "spearman"]
    alpha: float = 0.1
    min_kl: float = 0.01
    min_variance: float = 0.01


PROTOCOLS = {"lasso": Protocol("lasso"), "spearman": Protocol("spearman")}


def udr(
    codes: Sequence[npt.ArrayLike],
    protocol: str = "lasso",
    *,
    kl: Sequence[npt.ArrayLike] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Each model's median agreement with the others (Duan et al. 2020); at least two models.

    codes: one (N, D_i) array a model, of the same N images; the paper's models are seeds of one configuration.
    kl: one (D_i,) array a model, each code's mean KL divergence from its prior, in nats; without it, as for GANs, codes
        are called inactive by their variance.

    Returns `scores`, one a model, 0 to 1, higher is better; `pairwise`, M lists of M: `[i][j]` is the relative strength
    of the matrix that relates model i's active codes to model j's, and a model's score the median of its column without
    the diagonal, which is 0; `active_codes`, one count a model. Without an active code in either, a pair scores 0.

    Departure: the paper weights rows and columns by their numbers [unverified]; this, as the authors' code, doesn't.
    """
    if protocol not in PROTOCOLS:
        raise unknown("protocol of udr", protocol, PROTOCOLS)
    chosen = PROTOCOLS[protocol]
    tables = [_table(array, model) for model, array in enumerate(codes)]
    if len(tables) < 2:
        raise UserError(f"UDR compares models: codes must hold two arrays or more, not {len(tables)}.")
    if len({len(table) for table in tables}) > 1:
        raise UserError(f"all codes must be of the same images, but have {[len(table) for table in tables]} rows.")
    if kl is not None and [np.shape(each) for each in kl] != [table.shape[1:] for table in tables]:
        raise UserError("kl must hold one array a model, with one value for each of its codes.")
    divergences = [None] * len(tables) if kl is None else [np.asarray(each) for each in kl]
    active = [_active(table, each, chosen) for table, each in zip(tables, divergences, strict=True)]
    features = [_features(table[:, use], chosen) for table, use in zip(tables, active, strict=True)]
    pairwise = np.zeros((len(tables), len(tables)))
    for i, first in enumerate(features):
        for j, second in enumerate(features):
            if i != j and first.shape[1] and second.shape[1]:
                pairwise[i, j] = relative_strength(_similarity(first, second, chosen))
        progress(i + 1, len(features))
    scores = [float(np.median(np.delete(pairwise[:, i], i))) for i in range(len(tables))]
    return {"scores": scores, "pairwise": pairwise.tolist(), "active_codes": [int(use.sum()) for use in active]}


def relative_strength(similarity: np.ndarray) -> float:
    """How far a non-negative matrix (D_i, D_j) is from a matching: 1 for an identity, 0 for zeros.

    Mean over columns of max² / sum, the same over rows, and the mean of the two; a column or row of zeros counts 0.
    """
    ends = []
    for axis in (0, 1):
        total = similarity.sum(axis=axis)
        ends.append((similarity.max(axis=axis) ** 2 / np.where(total > 0, total, 1)).mean())
    return float(np.mean(ends))


def _table(array: npt.ArrayLike, model: int) -> np.ndarray:
    """A model's codes as float64 (N, D), checked."""
    codes = np.asarray(array)
    try:
        return CodeTable(codes, np.zeros((len(codes), 1), dtype=int)).codes
    except (UserError, TypeError) as error:
        raise UserError(f"model {model}: {error}") from error


def _active(codes: np.ndarray, kl: np.ndarray | None, protocol: Protocol) -> np.ndarray:
    """Which codes of a model (N, D) carry anything: bool (D,). Constants never do."""
    if kl is not None:
        return varies(codes) & (kl > protocol.min_kl)
    scaled = codes / unit_size(codes)[1].max()  # one unit for all, so that no square overflows
    variance = (scaled - scaled[0]).var(axis=0)
    return varies(codes) & (variance > protocol.min_variance * variance.max())


def _features(codes: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Standardised codes (N, active), or their standardised ranks, tied values at their mean rank."""
    if protocol.similarity == "spearman":
        from scipy.stats import rankdata

        codes = rankdata(codes, axis=0)
    scaled = unit_size(codes)[0]
    scaled = scaled - scaled[0]
    return (scaled - scaled.mean(axis=0)) / scaled.std(axis=0)


def _similarity(first: np.ndarray, second: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Non-negative relation of each code of the first (N, D_i) to each of the second (N, D_j): (D_i, D_j)."""
    if protocol.similarity == "spearman":
        return np.abs(first.T @ second) / len(first)
    from sklearn.linear_model import Lasso

    return np.abs(np.atleast_2d(Lasso(alpha=protocol.alpha).fit(first, second).coef_).T)


COMPARISON = Comparison(
    name="udr",
    title="Unsupervised Disentanglement Ranking",
    cite="Duan et al., Unsupervised Model Selection for Variational Disentangled Representation Learning, ICLR 2020",
    compute=udr,
    needs="codes",
    protocols=PROTOCOLS,
)
