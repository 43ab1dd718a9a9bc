"""Seeds for every purpose of a trial, derived from its one seed."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed in [0, 2⁶³) for one purpose: sha256 of the trial's seed and the purpose's words.

    Streams for different purposes never share draws, so that logging more often, say, can't change a training run.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
