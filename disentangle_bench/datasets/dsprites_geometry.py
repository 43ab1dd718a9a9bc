"""The sprites of dSprites as formulas, fitted to the frames that its authors publish.

A pixel is 1 where its centre (column + ½, row + ½) lies inside the shape: no anti-aliasing. In the shape's own axes
(u to the right, v downwards, in pixels at scale 1) the three shapes are

    square    |u| ≤ h and |v| ≤ h
    ellipse   (u/a)² + (v/b)² ≤ 1
    heart     inside u(t) = r·sin³t,  −v(t) = k·(13 cos t − 5 cos 2t − 2 cos 3t − cos 4t) + e,  t in [0, 2π)

A factor's value index fixes its geometry: scale s = 0.5 + 0.1·k, orientation θ = 2π·o/39, centre x = 16 + 32·i/31 and
y = 16 + 32·j/31 pixels. Nothing here is random, and no file is read.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

SIDE = 64  # pixels
POSITIONS = 32  # the steps in x and in y of the official grid
SQUARE, ELLIPSE, HEART = 0, 1, 2

SQUARE_H = 9.5975  # every value in [9.5966, 9.5998) gives the same images
ELLIPSE_A, ELLIPSE_B = 12.766, 7.2123
HEART_R, HEART_K, HEART_E = 9.59365, 0.662221, 1.436211

REACH = (13.6, 12.8, 11.3)
"""A bound on the distance of any point of each shape from its centre, at scale 1, in pixels."""


def inside(shape: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether points of the shape's own axes lie in it: bool, the shape of `u` and `v` broadcast together.

    shape: 0 square, 1 ellipse, 2 heart. u, v: float64, pixels at scale 1, v downwards.

    The heart needs no polygon. With c = cos t its second formula is (−v − e)/k = 4 + 19c − 2c² − 8c³ − 8c⁴, and every
    |u| ≤ r is reached at t and at π − t, where c has opposite signs; so the inside at that |u| lies between
    4 − 2c² − 8c⁴ ± c·(19 − 8c²). The first formula gives c² = 1 − (u/r)^(2/3), which is negative right of |u| = r, and
    then no point passes.
    """
    if shape == SQUARE:
        return (np.abs(u) <= SQUARE_H) & (np.abs(v) <= SQUARE_H)
    if shape == ELLIPSE:
        return (u / ELLIPSE_A) ** 2 + (v / ELLIPSE_B) ** 2 <= 1
    cc = 1 - np.cbrt((u / HEART_R) ** 2)
    middle = 4 - cc * (2 + 8 * cc)
    return ((-v - HEART_E) / HEART_K - middle) ** 2 <= cc * (19 - 8 * cc) ** 2


def draw_pose(shape: int, scale: int, orientation: int, columns: int = POSITIONS, rows: int = POSITIONS) -> np.ndarray:
    """One sprite at all its positions: uint8 (columns · rows, 64, 8), image rows packed as `np.packbits` does.

    shape 0..2, scale 0..5, orientation 0..39: value indices. The first `columns` values of posX and the first `rows`
    of posY are drawn, posY varying fastest: the official order. Orientations 0 and 39 are the same angle.
    """
    s = 0.5 + 0.1 * scale
    theta = 2 * np.pi * (orientation % 39) / 39  # not 2π for 39, whose sine in floating point is not quite 0
    cos, sin = np.cos(theta), np.sin(theta)

    # A centre 16 + 32·i/31 is 16 + i + i/31: the window around it, pixels 16 + i − w to 16 + i + w, moves by whole
    # pixels, and only the fraction i/31 changes what is drawn in it. The windows lie within pixels 2 to 61.
    w = int(REACH[shape] * s + 0.5)
    start = SIDE // 4 + np.arange(POSITIONS) - w
    offset = np.arange(-w, w + 1)
    distance = (offset + 0.5 - np.arange(POSITIONS)[:, None] / 31) / s  # (position, pixel of its window)

    j = np.arange(rows)[:, None]
    dy = distance[:rows, :, None]
    images = np.zeros((columns, rows, SIDE), dtype=">u8")  # an image row as one number, its leftmost pixel on top
    word = np.zeros((rows, 2 * w + 1, 8), dtype=np.uint8)
    for i in range(columns):  # one column of positions at a time stays in the processor's cache
        dx = distance[i]
        bits = np.packbits(inside(shape, cos * dx - sin * dy, sin * dx + cos * dy), axis=-1)
        word[..., : bits.shape[-1]] = bits
        images[i, j, start[:rows, None] + np.arange(2 * w + 1)] = word.view(">u8")[..., 0] >> np.uint64(start[i])
    return images.reshape(columns * rows, SIDE).view(np.uint8).reshape(columns * rows, SIDE, SIDE // 8)


def draw_grid(sizes: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The grid in the official order, one pose a block: uint8 (posX · posY, 64, 8), packed rows; drawn by threads.

    sizes: how many of the first values of shape, scale, orientation, posX and posY; (3, 6, 40, 32, 32) is all.
    """
    threads = max(2, min(8, os.cpu_count() or 2))  # numpy releases the interpreter's lock
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[np.ndarray]] = deque()
        for shape, scale, orientation in np.ndindex(*sizes[:3]):
            pending.append(pool.submit(draw_pose, shape, scale, orientation, *sizes[3:]))
            if len(pending) > 2 * threads:  # few blocks wait to be taken, whatever the disk's speed
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
