"""How much each code matters for predicting a factor: one estimator a factor, fitted to some rows, judged on others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np

Estimator = Literal["lasso", "forest", "forest-classifier", "boosting", "histogram-boosting"]

TREES = 10  # scikit-learn's default number of trees in a forest before its version 0.22, and qedr's
LARGEST = 1e30  # trees take float32, which ends at 3e38; only held-out rows can lie so far out


def standardised(codes: np.ndarray, train: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, D) by the mean and spread of their first `train` rows; and which vary over those, bool (D,).

    A code that doesn't vary is 0. Trees split alike whatever a code's mean and scale, except where float32 rounds.
    """
    codes = codes - codes[0]  # exactly 0 for a constant, whatever its value
    codes -= codes[:train].mean(axis=0)
    spread = codes[:train].std(axis=0)
    active = spread > 0
    codes = np.clip(codes / np.where(active, spread, 1), -LARGEST, LARGEST)
    codes[:, ~active] = 0
    return codes, active


def predict(
    estimator: Estimator,
    features: np.ndarray,
    targets: np.ndarray,
    train: int,
    depths: Sequence[int | None],
    seeds: np.ndarray,
    parallel: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """`predict_factor` for each column of targets (N, V): importance (D, V), and how well each is predicted, (V,).

    parallel: on all cores, the factor with most values first, as it takes longest; their number changes no result.
    """
    order = np.argsort([-len(np.unique(column)) for column in targets.T], kind="stable")

    def fit(v: int) -> tuple[np.ndarray, float]:
        return predict_factor(estimator, features, targets[:, v], train, depths[v], int(seeds[v]))

    with ThreadPoolExecutor(os.cpu_count() if parallel else 1) as pool:  # trees grow without Python's lock
        results = list(pool.map(fit, order.tolist()))
    inverse = np.argsort(order)
    return np.stack([results[v][0] for v in inverse], axis=1), np.array([results[v][1] for v in inverse])


def predict_factor(
    estimator: Estimator,
    features: np.ndarray,
    target: np.ndarray,
    train: int,
    depth: int | None,
    seed: int,
) -> tuple[np.ndarray, float]:
    """The importance (D,), not negative, of each feature for one factor; and how well they predict it, 0..1.

    features: (N, D), standardised. target: int (N,), the factor's values. The first `train` rows are fitted to, the
    others judged: by accuracy for a classifier; for a regressor by max(0, 1 - NRMSE), NRMSE being the root mean
    squared error over the standard deviation of the target. A factor with one value in the rows fitted to has no
    importance. depth: the depth of a forest's trees, None for no limit. seed: of the estimator's own draws.
    """
    if estimator in ("lasso", "forest"):
        return _regress(estimator, features, target.astype(np.float64), train, depth, seed)
    labels = target[:train]
    if (labels == labels[0]).all():
        return np.zeros(features.shape[1]), float(np.mean(target[train:] == labels[0]))
    from threadpoolctl import threadpool_limits

    model = _classifier(estimator, depth, seed)  # first, as it loads the library whose threads are limited
    # Histogram boosting joins its threads at each of thousands of small trees: on busy cores ten times slower than one.
    with threadpool_limits(1, user_api="openmp"):
        model.fit(features[:train], labels)
        predicted = model.predict(features[train:])
    importance = _gain(model, features.shape[1]) if estimator == "histogram-boosting" else model.feature_importances_
    return importance, float(np.mean(predicted == target[train:]))


def _regress(
    estimator: Estimator, features: np.ndarray, target: np.ndarray, train: int, depth: int | None, seed: int
) -> tuple[np.ndarray, float]:
    mean, spread = target[:train].mean(), target[:train].std()
    if spread == 0:
        return np.zeros(features.shape[1]), 0.0
    target = (target - mean) / spread
    model: Any
    if estimator == "lasso":
        from sklearn.linear_model import Lasso

        model = Lasso(alpha=0.02).fit(features[:train], target[:train])
        importance = np.abs(model.coef_)
    else:
        from sklearn.ensemble import RandomForestRegressor

        model = RandomForestRegressor(TREES, max_depth=depth, random_state=seed).fit(features[:train], target[:train])
        importance = model.feature_importances_
    error = np.sqrt(np.mean((model.predict(features[train:]) - target[train:]) ** 2))
    scale = target[train:].std()  # one value in few held-out rows: their spread among those fitted to, which is 1
    return importance, float(max(0.0, 1 - error / (scale if scale > 0 else 1)))


def _classifier(estimator: Estimator, depth: int | None, seed: int) -> Any:
    from sklearn import ensemble

    if estimator == "boosting":
        return ensemble.GradientBoostingClassifier(n_estimators=100, max_depth=3, learning_rate=0.1, random_state=seed)
    if estimator == "histogram-boosting":
        return ensemble.HistGradientBoostingClassifier(
            max_iter=100, max_depth=3, learning_rate=0.1, early_stopping=False, random_state=seed
        )
    # All features at each split: a tree that sees some of them gives importance to codes that carry nothing.
    return ensemble.RandomForestClassifier(
        TREES, max_depth=depth, max_features=None, min_samples_leaf=10, random_state=seed
    )


def _gain(model: Any, width: int) -> np.ndarray:
    """The loss that the splits on each feature save, over all trees: the counterpart of `feature_importances_`.

    Histogram boosting offers none of its own. Permuting a code on held-out rows would give noise where a factor can't
    be predicted, half of it negative; the gain is what gradient boosting's own importance sums.
    """
    nodes = np.concatenate([tree.nodes for stage in model._predictors for tree in stage])
    splits = nodes[nodes["is_leaf"] == 0]
    gain = np.bincount(splits["feature_idx"], weights=np.maximum(splits["gain"], 0), minlength=width)
    return gain / gain.sum() if gain.sum() > 0 else gain
