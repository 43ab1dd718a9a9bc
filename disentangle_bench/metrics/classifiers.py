"""Linear classifiers: trained on some points of a table of features, they predict the labels of all.

Their matrices are so small that more than one BLAS thread makes them several times slower, so they take one.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

LOGISTIC_S = 2e-8  # seconds of processor time, roughly, that a logistic regression takes a row, class and iteration


def logistic_regression(
    features: np.ndarray, labels: np.ndarray, train: np.ndarray, solver: str, max_iter: int, c: float = 1.0
) -> np.ndarray:
    """Labels (P,) that scikit-learn's logistic regression predicts from features (P, D).

    train: the indices of the points that it is fitted to.
    solver: "lbfgs", multinomial; or "liblinear", one class against the rest, its penalty on the intercept too, which
        is what scikit-learn before 0.22 did by default.
    c: the inverse of the penalty; infinite for none.
    """
    return _fitted_logistic(features[train], labels[train], solver, max_iter, c).predict(features)


def _fitted_logistic(
    features: Any, labels: np.ndarray, solver: str, max_iter: int, c: float = 1.0, balanced: bool = False
) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from threadpoolctl import threadpool_limits

    weights = "balanced" if balanced else None
    model: Any = LogisticRegression(C=c, max_iter=max_iter, solver=solver, class_weight=weights)
    if solver == "liblinear":
        model = OneVsRestClassifier(model)
    # The protocol fixes the number of iterations: stopping there is its definition, and no fault of the codes.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # they are values all the same
        return model.fit(features, labels)


def class_probabilities(
    train: Any, labels: np.ndarray, test: Any, solver: str, max_iter: int, c: float = 1.0, balanced: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (M, C) of features (M, D), and their classes (C,), by `logistic_regression`'s model of features
    (N, D) and labels (N,) of two classes or more.

    balanced: each class weighs the same, however many rows it has.
    """
    model = _fitted_logistic(train, labels, solver, max_iter, c, balanced)
    return model.predict_proba(test), model.classes_


def logistic_regression_cv(features: np.ndarray, labels: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Labels (P,) that scikit-learn's logistic regression predicts from features (P, D), its C by 10-fold validation.

    C is the one of ten, 10⁻⁴ to 10⁴, with the best mean accuracy over 10 folds of consecutive rows of `train`; or 1
    where some fold leaves a single label to train on. 100 iterations at most.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import KFold
    from threadpoolctl import threadpool_limits

    folds = KFold(10)
    target = labels[train]
    if len(train) < 10 or any(len(np.unique(target[kept])) < 2 for kept, _ in folds.split(train)):
        return logistic_regression(features, labels, train, "lbfgs", max_iter=100)
    model: Any = LogisticRegressionCV(Cs=10, cv=folds)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        warnings.simplefilter("ignore", FutureWarning)  # of renamed options that are left at their defaults
        model.fit(features[train], target)
    return model.predict(features)


def softmax_adagrad(features: np.ndarray, labels: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Labels (P,) that a softmax layer predicts from features (P, D): Adagrad, rate .01, one pass in batches of 10.

    train: the indices of the points that it sees, a multiple of 10 of them. Weights start at 0, accumulators at 0.1.
    """
    classes, target = np.unique(labels, return_inverse=True)
    inputs = np.column_stack([features, np.ones(len(features))])  # (P, D + 1), the last for the bias
    one_hot = np.eye(len(classes))[target]  # (P, K)
    weights = np.zeros((inputs.shape[1], len(classes)))
    squares = np.full_like(weights, 0.1)
    for batch in train.reshape(-1, 10):
        x = inputs[batch]
        logits = x @ weights
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        gradient = x.T @ (odds / odds.sum(axis=1, keepdims=True) - one_hot[batch]) / len(batch)
        squares += gradient**2
        weights -= 0.01 * gradient / np.sqrt(squares)
    return classes[(inputs @ weights).argmax(axis=1)]
