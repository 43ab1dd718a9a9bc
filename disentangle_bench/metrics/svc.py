"""A linear support vector classifier of one feature, solved exactly: what scikit-learn's LinearSVC converges to."""

from __future__ import annotations

import numpy as np

MAX_ITER = 200  # a bound; about ten are needed
PRECISION = 1e-10  # of slope and offset, on the standardised feature
ROUNDING = 1e-12  # of the loss: a step that raises it by no more has not raised it


def linear_svc(train: np.ndarray, labels: np.ndarray, test: np.ndarray, c: float = 0.01) -> np.ndarray:
    """Labels (M,) of one feature (M,) by `LinearSVC(C=c, class_weight="balanced")`, one class against the rest, fitted
    to a feature (N,) and labels (N,) of two classes or more.

    Each class minimises ½ w² + ½ b² + Σ_i c_i max(0, 1 - y_i (w x_i + b))², y_i being 1 for its rows and -1 for others.
    As in liblinear, b is penalised, too, and only the class itself has its balanced weight, c_i = c for the others; of
    two classes both have theirs.
    """
    classes, number, counts = np.unique(labels, return_inverse=True, return_counts=True)
    own = c * len(labels) / (len(classes) * counts)  # (C,)
    rest = np.full(len(classes), c)
    if len(classes) == 2:  # one problem, whose positive class is the second
        number, own, rest = 1 - number, own[1:], own[:1]
    mean, spread = train.mean(), max(train.std(), 1e-100)
    slope, offset = _fit((train - mean) / spread, number, own, rest, mean / spread, 1 / spread)
    decision = np.outer((test - mean) / spread, slope) + offset  # (M, C)
    return classes[(decision[:, 0] > 0).astype(int) if len(classes) == 2 else decision.argmax(axis=1)]


def _fit(x: np.ndarray, number: np.ndarray, own: np.ndarray, rest: np.ndarray, mean: float, unit: float) -> np.ndarray:
    """Slope and offset of each class, (2, C), on the standardised feature (N,).

    number: (N,), each row's class. own, rest: (C,), the weights of a class's rows and of others. mean, unit: those of
    the feature's own scale, on which w = slope · unit and b = offset - slope · mean.

    Around any point the loss is a parabola, of the rows inside the margin. Those are all on one side of a threshold, so
    cumulative sums of 1, x and x² over sorted rows give the parabola, and Newton's method ends at the exact minimum.
    """
    order = np.argsort(x)
    x, number = x[order], number[order]
    by_class = np.argsort(number, kind="stable")
    key = number[by_class] * (len(x) + 1) + by_class  # rises: of class, then rank
    base = np.arange(len(own)) * (len(x) + 1)
    powers = np.stack([np.ones_like(x), x, x**2], axis=1)
    of_all, of_own = (np.pad(np.cumsum(powers[rows], axis=0), ((1, 0), (0, 0))) for rows in (slice(None), by_class))
    start = of_own[np.searchsorted(key, base)]
    total, total_own = of_all[-1], of_own[np.searchsorted(key, base + len(x))] - start  # Σ (1, x, x²): (3,), (C, 3)

    def below(value: float, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Σ (1, x, x²) of the rows with a x + b < value, (C, 3): of all of them, and of the class's own."""
        steep = np.where(np.abs(a) < 1e-200, 1e-200, a)  # no infinite threshold
        rank = np.searchsorted(x, (value - b) / steep)
        every, mine = of_all[rank], of_own[np.searchsorted(key, base + rank)] - start
        falls = (steep < 0)[:, None]
        return np.where(falls, total - every, every), np.where(falls, total_own - mine, mine)

    def parabola(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Where the parabola around slopes and offsets, (C,) each, is least, and the loss at them: (3, C)."""
        every, mine = below(-1, a, b)
        negative = rest[:, None] * (total - total_own - every + mine)
        positive = own[:, None] * below(1, a, b)[1]
        n, sx, sxx = (positive + negative).T
        t, s, _ = 2 * (positive - negative).T
        # ½ p a² + q a b + ½ r b² - s a - t b + n
        p, q, r = unit**2 + mean**2 + 2 * sxx, 2 * sx - mean, 1 + 2 * n
        # p r - q², written so that nothing large cancels
        determinant = unit**2 * r + 2 * (sxx + 2 * mean * sx + mean**2 * n) + 4 * np.maximum(n * sxx - sx**2, 0)
        loss = p * a**2 / 2 + q * a * b + r * b**2 / 2 - s * a - t * b + n
        return np.stack([(s * r - t * q) / determinant, (t * p - s * q) / determinant, loss])

    at = np.zeros((2, len(own)))
    now, share = parabola(*at), np.ones(len(own))  # of Newton's step, halved where it overshoots
    for _ in range(MAX_ITER):
        step = now[:2] - at
        if (np.abs(step) <= PRECISION * (1 + np.abs(at))).all():
            break
        trial = at + share * step
        then = parabola(*trial)
        down = then[2] <= now[2] * (1 + ROUNDING)
        at, now, share = np.where(down, trial, at), np.where(down, then, now), np.where(down, 1, share / 2)
    return at
