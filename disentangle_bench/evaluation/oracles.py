"""Oracle encoders: codes with a known relation to the factors, and so with a known score."""

from __future__ import annotations

import numpy as np

from disentangle_bench.errors import unknown

ORACLES = ("ideal", "constant-added", "duplicated", "rotated", "random", "scaled", "constant")


def oracle_codes(factors: np.ndarray, kind: str, seed: int = 0) -> np.ndarray:
    """The codes of an encoder that never saw an image: float64 (N, D), of factors, int (N, K).

    ideal: the V factors that vary, each standardised over the rows; D = V.
    constant-added: those and 5 constants, of 0, 1, -2, 0.1 and 1000.
    duplicated: those twice.
    rotated: those under a random rotation of all V dimensions, uniform over the orthogonal group.
    random: 10 independent standard normal codes.
    scaled: ideal times 0.01.
    constant: 10 constants.

    `seed` sets `rotated` and `random`; the other kinds don't depend on it. An unknown kind raises `UserError`.
    """
    rng = np.random.default_rng(seed)
    rows = len(factors)
    if kind == "random":
        return rng.standard_normal((rows, 10))
    if kind == "constant":
        return np.tile(np.linspace(-1, 1, 10), (rows, 1))
    varying = factors[:, (factors != factors[0]).any(axis=0)].astype(np.float64)
    ideal = (varying - varying.mean(axis=0)) / varying.std(axis=0)  # (N, V)
    match kind:
        case "ideal":
            return ideal
        case "constant-added":
            return np.hstack([ideal, np.tile([0.0, 1.0, -2.0, 0.1, 1000.0], (rows, 1))])
        case "duplicated":
            return np.hstack([ideal, ideal])
        case "rotated":
            basis, triangle = np.linalg.qr(rng.standard_normal((ideal.shape[1], ideal.shape[1])))
            return ideal @ (basis * np.sign(np.diag(triangle)))  # the signs make the draw uniform
        case "scaled":
            return 0.01 * ideal
    raise unknown("oracle encoder", kind, ORACLES)
