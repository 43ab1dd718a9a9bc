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
    return mix(mix(keys)[:, None] + (up_to(count, keys) + 1) * GOLDEN)


def mix(x: Any) -> Any:
    """SplitMix64's finaliser: a one-to-one map of 64-bit numbers in which each bit of x moves half of the bits."""
    x = (x ^ shifted(x, 30)) * FIRST
    x = (x ^ shifted(x, 27)) * SECOND
    return x ^ shifted(x, 31)


def shifted(x: Any, places: int) -> Any:
    """x, int64, shifted right with zeros from the left: both libraries would shift in the sign."""
    return (x >> places) & (2 ** (64 - places) - 1)


def as_bytes(numbers: Any) -> Any:
    """int64 (B, n) as their bytes, uint8 (B, 8n)."""
    if isinstance(numbers, np.ndarray):
        return numbers.view(np.uint8)
    import torch

    return numbers.view(torch.uint8)


def keys_of(index: Any, keys: Any) -> Any:
    """The keys by which nuisance is drawn: as given, or the indices themselves, so that an image is always the same."""
    return index if keys is None else keys


def up_to(count: int, like: Any) -> Any:
    """0 to count − 1, int64 (count,), in the library and on the device of `like`."""
    if isinstance(like, np.ndarray):
        return np.arange(count)
    import torch  # here, so that whoever reads images as arrays needn't load it

    return torch.arange(count, device=like.device)


def channels_first(images: Any) -> Any:
    """(B, H, W, C) as (B, C, H, W)."""
    return np.moveaxis(images, 3, 1) if isinstance(images, np.ndarray) else images.movedim(3, 1)
