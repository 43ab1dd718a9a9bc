"""Forests of trees cut at any depth: how well they predict a factor there, and which codes they use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_VOTES = 2**22  # numbers that are held at a time while trees vote: 32 MiB


@dataclass(frozen=True)
class Curve:
    """One factor's prediction at each of C capacities.

    loss: (C,), 1 - accuracy or 1 - R² on held-out rows.
    importance: (C, D), how much of the impurity each code's splits take off; each row adds up to 1, or is 0.
    blind: the loss of predicting without codes.
    """

    loss: np.ndarray
    importance: np.ndarray
    blind: float


def capacity_curve(
    features: np.ndarray,
    target: np.ndarray,
    train: int,
    depths: Sequence[int],
    trees: int,
    leaf: int,
    classified: bool,
    seed: int,
) -> Curve:
    """The curve of features (N, D) and a factor's values, int (N,), over rising depths; the first `train` rows are
    fitted to, the others judged.

    The forest is grown once, as deep as the deepest; at a depth of κ, a row stops at the node that it has reached by
    then. Growing to κ itself gives the same trees but for splits that are equally good.

    leaf: the fewest rows in a leaf.
    classified: by scikit-learn's `RandomForestClassifier`, which sees all codes at a split where `leaf` is above 1,
        else the root of their number; otherwise by its regressor.

    A factor with one value in the rows fitted to has no importance.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    labels, judged = target[:train], target[train:]
    values = np.unique(target)
    blind = 1 - 1 / len(values) if classified else 1.0
    if (labels == labels[0]).all():
        nothing = 1 - (judged == labels[0]).mean() if classified else 1.0
        return Curve(np.full(len(depths), nothing), np.zeros((len(depths), features.shape[1])), blind)
    settings: dict[str, Any] = {"max_depth": depths[-1], "min_samples_leaf": leaf, "random_state": seed}
    if classified:
        model: Any = RandomForestClassifier(trees, max_features=None if leaf > 1 else "sqrt", **settings)
    else:
        model = RandomForestRegressor(trees, **settings)
    model.fit(features[:train], labels)
    grown = [each.tree_ for each in model.estimators_]
    importance = np.sum([_importances(tree, depths) for tree in grown], axis=0)
    total = importance.sum(axis=1, keepdims=True)
    importance /= np.where(total > 0, total, 1)
    guess = _predicted(grown, features[train:].astype(np.float32), depths)  # float32 is what trees compare
    if classified:
        loss = (model.classes_[guess.astype(np.int64)] != judged).mean(axis=1)
    else:
        variance = judged.var()  # of one value it is 0: then nothing is explained
        loss = ((guess - judged) ** 2).mean(axis=1) / variance if variance > 0 else np.ones(len(depths))
    return Curve(loss, importance, blind)


def _predicted(trees: Sequence[Any], rows: np.ndarray, depths: Sequence[int]) -> np.ndarray:
    """What trees give for float32 rows (N, D) at each depth, (C, N): the mean, or the number of the likeliest class."""
    classes = trees[0].value.shape[2]
    parts = max(1, len(depths) * len(rows) * classes // MOST_VOTES)
    found = []
    for part in np.array_split(rows, parts):
        votes = np.zeros((len(depths), len(part), classes))
        for tree in trees:
            for i, node in enumerate(_stops(tree, part, depths)):
                votes[i] += tree.value[node, 0]
        found.append(votes.argmax(axis=2) if classes > 1 else votes[:, :, 0] / len(trees))
    return np.concatenate(found, axis=1)


def _stops(tree: Any, rows: np.ndarray, depths: Sequence[int]) -> list[np.ndarray]:
    """The node, int (N,), that each of float32 rows (N, D) reaches in so many steps, for each of rising depths."""
    node = np.zeros(len(rows), dtype=np.intp)
    stops = []
    for depth in range(1, depths[-1] + 1):
        inner = np.flatnonzero(tree.children_left[node] >= 0)
        at = node[inner]
        left = rows[inner, tree.feature[at]] <= tree.threshold[at]
        node[inner] = np.where(left, tree.children_left[at], tree.children_right[at])
        if depth in depths:
            stops.append(node.copy())
    return stops


def _importances(tree: Any, depths: Sequence[int]) -> np.ndarray:
    """What share of the impurity that splits above each depth take off each code takes, (C, D); 0 without a split."""
    inner = np.flatnonzero(tree.children_left >= 0)
    depth = np.zeros(tree.node_count, dtype=np.int64)
    for node in inner:  # parents come before their children
        depth[tree.children_left[node]] = depth[tree.children_right[node]] = depth[node] + 1
    weighted = tree.impurity * tree.weighted_n_node_samples
    gain = weighted[inner] - weighted[tree.children_left[inner]] - weighted[tree.children_right[inner]]
    result = np.zeros((len(depths), tree.n_features))
    for i, limit in enumerate(depths):
        above = depth[inner] < limit
        result[i] = np.bincount(tree.feature[inner[above]], weights=gain[above], minlength=tree.n_features)
    total = result.sum(axis=1, keepdims=True)
    return result / np.where(total > 0, total, 1)
