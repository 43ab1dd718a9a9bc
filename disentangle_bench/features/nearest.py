"""The nearest of all images of a dataset, exactly, in bounded memory."""

from __future__ import annotations

import math

import numpy as np

from disentangle_bench.contracts import Dataset, Progress, silent
from disentangle_bench.errors import UserError

PATCH = 8  # an image is summarised by the means of so many patches a side, at most
BLOCK = 8192  # images of the dataset that are looked at together
DENSE = 0.05  # a share of a block above which its images are compared by one matrix product


def nearest(images: np.ndarray, dataset: Dataset, progress: Progress = silent) -> tuple[np.ndarray, np.ndarray]:
    """For each of images, uint8 (N, C, H, W): the row of the dataset's nearest image, int64 (N,), the first where
    several are equally near; and its distance, float64 (N,), the root mean square difference of pixels, 0 to 1.

    The search is exact. An image's summary is its patch means and the norm of what they leave; distances between
    summaries are never larger than between images. So an image needs looking at only where its summary is no farther
    than the best image so far, which the image with the nearest summary starts. Where patches say too little, as of
    noise, the candidates of a block are first compared by a matrix product in float32. All bounds have a margin for its
    rounding, and what passes is compared in whole numbers. Raises `UserError` for images of another shape than its own.
    """
    if images.dtype != np.uint8 or images.shape[1:] != dataset.image_shape:
        raise UserError(
            f"images of {dataset.name} are uint8 (N, *{dataset.image_shape}), not {images.dtype} {images.shape}."
        )
    queries = images.reshape(len(images), -1)  # (N, d), uint8
    summaries = _summaries(images)  # (N, s)
    rows = [np.arange(start, min(start + BLOCK, len(dataset))) for start in range(0, len(dataset), BLOCK)]
    known = np.empty((len(dataset), summaries.shape[1]), dtype=np.float32)
    best, start = np.zeros(len(images), dtype=np.int64), np.full(len(images), np.inf)
    for block in rows:
        known[block] = _summaries(dataset.images(block))
        bounds = _squared_distances(summaries, known[block])  # (N, B)
        first = bounds.argmin(axis=1)
        closer = bounds[np.arange(len(images)), first] < start
        best[closer], start[closer] = block[first[closer]], bounds[closer, first[closer]]
        progress(block[-1] + 1, 2 * len(dataset))

    flat = _flat(dataset, best)
    squares = np.array([_exact(query, other[None])[0] for query, other in zip(queries, flat, strict=True)])  # (N,)
    # float32 sums err by far less than 10⁻⁵ of the squared norms that they are differences of
    margin = 1e-5 * (_norms(queries.astype(np.float32)) + 255.0**2 * queries.shape[1])
    for block in rows:
        done = len(dataset) + block[-1] + 1
        near = _squared_distances(summaries, known[block]) <= (squares + margin)[:, None]  # (N, B)
        live = near.any(axis=0)
        block, near = block[live], near[:, live]
        pixels = _flat(dataset, block)
        dense = near.sum(axis=1) > DENSE * len(block)
        if dense.any():
            distances = _squared_distances(queries[dense].astype(np.float32), pixels.astype(np.float32))
            near[dense] &= distances <= (squares + margin)[dense, None]
        for n in np.flatnonzero(near.any(axis=1)):
            candidates = np.flatnonzero(near[n])
            found = _exact(queries[n], pixels[candidates])
            k = int(found.argmin())
            row = block[candidates[k]]
            if (found[k], row) < (squares[n], best[n]):
                squares[n], best[n] = found[k], row
        progress(done, 2 * len(dataset))
    return best, np.sqrt(squares / queries.shape[1]) / 255


def _summaries(images: np.ndarray) -> np.ndarray:
    """Summaries, float32 (N, s), of images, uint8 (N, C, H, W): distances between them bound those between images.

    A patch of p pixels with means a and b has a squared distance of p (a − b)² plus that of the residuals, which is at
    least the square of the difference between their norms.
    """
    n, c, height, width = images.shape
    h, w = (max(k for k in range(1, PATCH + 1) if side % k == 0) for side in (height, width))
    area = (height // h) * (width // w)
    lines = images.reshape(n, c, h, height // h, width).astype(np.float32)
    # sums of a patch and of a line's squares are below 2²⁴, so exact in float32
    sums = lines.sum(axis=3).reshape(n, c, h, w, width // w).sum(axis=4).reshape(n, -1).astype(np.float64)  # (N, C·h·w)
    total = np.einsum("nchlw,nchlw->nchl", lines, lines).reshape(n, -1).sum(axis=1, dtype=np.float64)
    residual = np.maximum(total - (sums**2).sum(axis=1) / area, 0)
    return np.column_stack([sums / np.sqrt(area), np.sqrt(residual)]).astype(np.float32)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances (N, M) between rows of float32 (N, d) and (M, d)."""
    result = a @ b.T
    result *= -2
    result += _norms(a)[:, None].astype(np.float32)
    result += _norms(b).astype(np.float32)
    return result


def _norms(rows: np.ndarray) -> np.ndarray:
    """Squared norms, float64 (N,), of float32 (N, d)."""
    return np.einsum("nd,nd->n", rows, rows, dtype=np.float64)


def _exact(query: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared distances, int64 (M,), between uint8 (d,) and (M, d)."""
    difference = others.astype(np.int32) - query
    return np.einsum("md,md->m", difference, difference, dtype=np.int64)


def _flat(dataset: Dataset, index: np.ndarray) -> np.ndarray:
    return dataset.images(index).reshape(len(index), math.prod(dataset.image_shape))
