"""Numbers drawn by a key, for images that are made when they are asked for: the same on numpy arrays and torch tensors.

An image of a virtual dataset is a function of its index and of a key. Integer arithmetic alone decides it, so the
same image comes out of numpy, of a CPU and of a GPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # as signed 64 bits, in which both libraries wrap around
FIRST = 0xBF58476D1CE4E5B9 - 2**64
SECOND = 0x94D049BB133111EB - 2**64


def draws(keys: Any, count: int) -> Any:
    """The first `count` numbers of each key's stream, int64 of all 64 bits: (B,) to (B, count).

    SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), started at the mixed key so that neighbours have nothing in common.
    """
    if isinstance(keys, np.ndarray):
        steps: Any = np.arange(1, count + 1)
    else:
        import torch  # here, so that whoever reads images as arrays needn't load it

        steps = torch.arange(1, count + 1, device=keys.device)
    return mix(mix(keys)[:, None] + steps * GOLDEN)


def mix(x: Any) -> Any:
    """SplitMix64's finaliser: a one-to-one map of 64-bit numbers in which each bit of x moves half of the bits."""
    x = (x ^ shifted(x, 30)) * FIRST
    x = (x ^ shifted(x, 27)) * SECOND
    return x ^ shifted(x, 31)


def shifted(x: Any, places: int) -> Any:
    """x, int64, shifted right with zeros from the left: both libraries would shift in the sign."""
    return (x >> places) & (2 ** (64 - places) - 1)


def octets(numbers: Any) -> Any:
    """int64 (B, n) as uint8 (B, 8n)."""
    if isinstance(numbers, np.ndarray):
        return numbers.view(np.uint8)
    import torch

    return numbers.view(torch.uint8)
