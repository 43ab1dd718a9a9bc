"""ModelCentrality: without labels, a model whose encoder reads the codes of other seeds' generators is disentangled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import Comparison, Progress, silent
from disentangle_bench.errors import UserError, unknown
from disentangle_bench.metrics.factor_vae import ZERO_VARIANCE
from disentangle_bench.metrics.preparation import unit_size

BLOCK = 10  # votes whose images are in memory at once; part of the numbers, as it orders the random draws


@dataclass(frozen=True)
class Peer:
    """One trained model, as numpy functions of blocks of any length.

    sample_codes: (count, generator) -> (count, D), what the generator takes: independent codes, noise after them.
    generate: (B, D) -> images, of any shape and type that the peers' `encode` take.
    encode: images -> (B, E).
    groups: the columns of each code that a vote can hold fixed, together, as a one-hot code has several. Columns in no
        group are noise. None: each column is a code.
    """

    sample_codes: Callable[[int, np.random.Generator], np.ndarray]
    generate: Callable[[np.ndarray], Any]
    encode: Callable[[Any], np.ndarray]
    groups: Sequence[Sequence[int]] | None = None


@dataclass(frozen=True)
class Protocol:
    """Settings of ModelCentrality: images a vote, and votes for each generator."""

    group: int
    votes: int


PROTOCOLS = {"infogan-cr": Protocol(100, 500)}


def model_centrality(
    peers: Sequence[Peer], protocol: str = "infogan-cr", seed: int = 0, *, progress: Progress = silent
) -> dict[str, Any]:
    """Each model's mean similarity to the others (Lin et al. 2020); at least two models.

    A_ij is the FactorVAE score of encoder i on images of generator j, whose own codes are the factors: in turn, one of
    them is held fixed over a vote's images and the others are drawn. B = (A + Aᵀ) / 2, s_i = mean_{j ≠ i} B_ij.

    Returns `scores`, s, one a model, 0 to 1, higher is better; `similarity`, A as M lists of M; its diagonal tells how
    well a model reads its own codes and enters no score. Generator j's draws depend on the seed and j alone, and
    all encoders see the same images. M models take M · votes · group generated images, and M times as many encoded.

    Departures: constants never vote; the global variance of an encoder's code is that over the images of all votes.
    """
    if protocol not in PROTOCOLS:
        raise unknown("protocol of model-centrality", protocol, PROTOCOLS)
    if len(peers) < 2:
        raise UserError(f"ModelCentrality compares models: it needs two peers or more, not {len(peers)}.")
    chosen = PROTOCOLS[protocol]
    similarity = np.empty((len(peers), len(peers)))
    for j, generator in enumerate(peers):
        fixed, codes = _encoded_votes(generator, j, peers, chosen, np.random.default_rng([seed, j]))
        similarity[:, j] = [vote_score(each, fixed) for each in codes]
        progress(j + 1, len(peers))
    both = (similarity + similarity.T) / 2
    np.fill_diagonal(both, 0)
    return {"scores": (both.sum(axis=1) / (len(peers) - 1)).tolist(), "similarity": similarity.tolist()}


def vote_score(codes: np.ndarray, fixed: np.ndarray) -> float:
    """FactorVAE score, scored on its own votes, of codes (V, L, E) of V groups that hold factor fixed[v] fixed, (V,).

    With 0 active codes it is 0. Use it where groups come from elsewhere than a `Peer`.
    """
    rows = codes.reshape(-1, codes.shape[2]).astype(np.float64)
    finite = np.isfinite(rows).all(axis=0)
    if not finite.all():
        raise UserError(f"codes column {int(np.flatnonzero(~finite)[0])} holds a value that is not finite.")
    scaled = unit_size(rows)[0]
    scaled = scaled - scaled[0]
    variance = scaled.var(axis=0, ddof=1)  # (E,)
    active = variance > ZERO_VARIANCE
    if not active.any():
        return 0.0
    groups = scaled[:, active].reshape(*codes.shape[:2], -1)  # (V, L, active)
    groups = groups - groups[:, :1]  # a code that is constant in a group gives exactly 0, whatever its mean
    winner = (groups.var(axis=1, ddof=1) / variance[active]).argmin(axis=1)  # (V,)
    votes = np.zeros((active.sum(), int(fixed.max()) + 1), dtype=int)
    np.add.at(votes, (winner, fixed), 1)
    return float(votes.max(axis=1).sum() / len(fixed))


def _encoded_votes(
    generator: Peer, number: int, peers: Sequence[Peer], protocol: Protocol, rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The code that each vote fixes, (V,), and each peer's codes of the votes' images, (V, L, E_i)."""
    width = np.asarray(generator.sample_codes(1, rng)).shape[1]
    codes_held = [[d] for d in range(width)] if generator.groups is None else [list(each) for each in generator.groups]
    if not codes_held or not all(each and all(0 <= d < width for d in each) for each in codes_held):
        raise UserError(f"peer {number}: groups must name columns 0 to {width - 1} of its codes, not {codes_held}.")
    fixed = np.arange(protocol.votes) % len(codes_held)
    blocks: list[list[np.ndarray]] = [[] for _ in peers]
    for start in range(0, len(fixed), BLOCK):
        held = fixed[start : start + BLOCK]
        codes = np.array(generator.sample_codes(len(held) * protocol.group, rng))
        groups = codes.reshape(len(held), protocol.group, width)  # a view of `codes`
        for group, code in zip(groups, held, strict=True):  # (L, width)
            group[:, codes_held[code]] = group[0, codes_held[code]]
        images = generator.generate(codes)
        for i, peer in enumerate(peers):
            encoded = np.asarray(peer.encode(images))
            if encoded.ndim != 2 or len(encoded) != len(codes):
                raise UserError(f"peer {i}: encode must give ({len(codes)}, E) codes, not {encoded.shape}.")
            blocks[i].append(encoded)
    return fixed, [np.concatenate(each).reshape(len(fixed), protocol.group, -1) for each in blocks]


COMPARISON = Comparison(
    name="model-centrality",
    title="ModelCentrality",
    cite="Lin et al., InfoGAN-CR and ModelCentrality: Self-supervised Model Training and Selection for Disentangling "
    "GANs, ICML 2020",
    compute=model_centrality,
    needs="peers",
    protocols=PROTOCOLS,
)
