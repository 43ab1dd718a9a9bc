"""Distances between two sets of features, real and generated: Fréchet (Gaussian) and kernel. All of it in float64."""

from __future__ import annotations

import numpy as np

from disentangle_bench.errors import UserError


def statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (d,) and the unbiased covariance (d, d) of features (N, d), N at least 2."""
    checked = _checked(features)
    mean = checked.mean(axis=0)
    centred = checked - mean
    return mean, centred.T @ centred / (len(checked) - 1)


def frechet_distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) of means (d,) and covariances (d, d): the squared 2-Wasserstein distance
    between two normal distributions, in squared units of the features, 0 upwards (Heusel et al., NeurIPS 2017).

    tr (Σ₁Σ₂)^½ is the sum of the singular values of Σ₁^½ Σ₂^½, with symmetric roots: always real, and well defined
    for singular covariances. The published code takes `sqrtm` of the product, drops an imaginary part, and adds 10⁻⁶ to
    the diagonals where that fails, which is not needed here. Rounding never makes the distance negative.
    """
    overlap = np.linalg.svd(_root(cov1) @ _root(cov2), compute_uv=False).sum()
    difference = mean1 - mean2
    return max(0.0, float(difference @ difference + np.trace(cov1) + np.trace(cov2) - 2 * overlap))


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, rng: np.random.Generator, subsets: int = 100, size: int = 1_000
) -> tuple[float, float]:
    """The unbiased squared MMD between features (N, d) and (M, d) under the kernel (x·y / d + 1)³, as the mean over
    random subsets, and its standard deviation over them (Bińkowski et al., ICLR 2018).

    subsets: how many, at least 2. size: rows of each set in a subset, drawn without replacement. Equal distributions
    give 0 on average, so a value may be negative.
    Raises `UserError` where a set has fewer rows than `size`.
    """
    for name, features in (("real", real), ("generated", fake)):
        if len(features) < size:
            raise UserError(
                f"subsets of {size} rows can't be drawn from {len(features)} {name} ones; draw more images."
            )
    values = [
        _mmd(_checked(real[rng.choice(len(real), size, False)]), _checked(fake[rng.choice(len(fake), size, False)]))
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimate from rows (m, d) and (m, d)."""
    m, d = x.shape
    xx, yy, xy = ((a @ b.T / d + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    within = xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)
    return float(within / (m * (m - 1)) - 2 * xy.mean())


def _root(cov: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance (d, d), its eigenvalues below 0, which are rounding, taken as 0."""
    values, vectors = np.linalg.eigh(cov)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _checked(features: np.ndarray) -> np.ndarray:
    """Features as float64 (N, d); `UserError` unless they are two finite rows or more."""
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or len(array) < 2 or not array.shape[1]:
        raise UserError(f"features must be (N, d) with two rows or more, but their shape is {array.shape}.")
    if not np.isfinite(array).all():
        raise UserError("features hold a value that is not finite; look for images or weights that are not.")
    return array
