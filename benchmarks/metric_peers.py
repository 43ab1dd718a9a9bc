"""Plain loops that follow the papers' texts and the public implementations: what each metric is timed against.

A peer is a function of (table, a protocol's settings, rng, fraction) that returns seconds. Votes, points and fits of
boosted or cross-validated estimators run by `fraction`, scaled up; all else runs whole. `robust` protocols, which have
no public form, are the same loops on the protocol's rows, with bins by rank where it has them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.stats
from common import seconds
from sklearn import ensemble
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, LogisticRegressionCV
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from disentangle_bench.contracts import CodeTable
from disentangle_bench.metrics.discretise import MOST_BINS

RANK_BINS = MOST_BINS  # of `robust` protocols on dSprites
TEST = 5_000


def drawn(table: CodeTable, rows: Any, rng: np.random.Generator) -> np.ndarray:
    """Row indices as a protocol's `rows` names them: a number or "10,000", a "tenth", all."""
    size = len(table.codes)
    if rows == "tenth":
        return rng.choice(size, size // 10, replace=False)
    return np.arange(size) if rows in ("all", None) else rng.integers(size, size=int(str(rows).replace(",", "")))


def scaled(work: Callable[[], object], total: int, fraction: float) -> float:
    """Seconds of `total` calls, of which a fraction runs."""
    part = max(1, round(fraction * total))
    return seconds(lambda: [work() for _ in range(part)]) * total / part


def factor_vae(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """Votes, one after the other: draw the factors of L images, find their rows, take their variances."""
    codes, sizes = table.codes, table.factors.max(axis=0) + 1
    spread = codes[rng.integers(len(codes), size=10_000)].var(axis=0, ddof=1)
    votes = np.zeros((codes.shape[1], len(sizes)), dtype=int)

    def vote() -> None:
        k = rng.integers(len(sizes))
        factors = rng.integers(sizes, size=(settings.group, len(sizes)))
        factors[:, k] = factors[0, k]
        rows = np.ravel_multi_index(tuple(factors.T), tuple(sizes))
        votes[np.argmin(codes[rows].var(axis=0, ddof=1) / spread), k] += 1

    return scaled(vote, settings.train_votes + settings.eval_votes, fraction)


def beta_vae(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """Points, one after the other, without the classifier."""
    codes, sizes = table.codes, table.factors.max(axis=0) + 1

    def point() -> None:
        k = rng.integers(len(sizes))
        first, second = rng.integers(sizes, size=(2, settings.pairs, len(sizes)))
        second[:, k] = first[:, k]
        rows = [np.ravel_multi_index(tuple(side.T), tuple(sizes)) for side in (first, second)]
        np.abs(codes[rows[0]] - codes[rows[1]]).mean(axis=0)

    return scaled(point, settings.train_points + settings.eval_points, fraction)


def information(codes: np.ndarray, factors: np.ndarray, bins: int, by_rank: bool) -> np.ndarray:
    """Mutual information of each code and factor: numpy's histogram and digitize, scikit-learn's score."""
    columns = [scipy.stats.rankdata(code) if by_rank else code for code in codes.T]
    binned = [np.digitize(code, np.histogram(code, bins)[1][:-1]) for code in columns]
    return np.array([[mutual_info_score(factor, code) for factor in factors.T] for code in binned])


def mig(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """MIG, MIG-sup and DCIMIG: information, entropies, and gaps."""

    def work() -> None:
        rows = drawn(table, settings.rows, rng)
        factors = table.factors[rows]
        known = information(table.codes[rows], factors, settings.bins or RANK_BINS, settings.robust)
        np.sort(known, axis=0) / [mutual_info_score(factor, factor) for factor in factors.T]

    return seconds(work)


def modularity(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """Information, a logistic regression a factor, and its ROC-AUC for one value after the other."""

    def work() -> None:
        rows = drawn(table, "all" if settings.robust else settings.rows, rng)
        information(table.codes[rows], table.factors[rows], RANK_BINS if settings.robust else 20, settings.robust)
        train = drawn(table, settings.rows, rng)
        test = rng.integers(len(table.codes), size=settings.test_rows) if settings.test_rows else train
        mean, spread = table.codes[train].mean(axis=0), table.codes[train].std(axis=0)
        model: Any = LogisticRegression(solver=settings.solver)
        model = OneVsRestClassifier(model) if settings.solver == "liblinear" else model
        for factor in table.factors.T:
            model.fit((table.codes[train] - mean) / spread, factor[train])
            probability = model.predict_proba((table.codes[test] - mean) / spread)
            for value, column in zip(model.classes_, probability.T, strict=True):
                roc_auc_score(factor[test] == value, column)

    return seconds(work)


def sap(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """A classifier or a covariance for one code and factor after the other."""

    def work() -> None:
        train = drawn(table, settings.rows, rng)
        test = rng.integers(len(table.codes), size=settings.test_rows) if settings.test_rows else train
        for code in table.codes.T:
            for k, factor in enumerate(table.factors.T):
                if settings.predictor == "bins":
                    ranks = scipy.stats.rankdata(code)
                    np.histogram2d(ranks, factor, (RANK_BINS, factor.max() + 1))
                elif settings.predictor == "svc" or (settings.predictor == "mixed" and k == 0):
                    model = LinearSVC(C=0.01, class_weight="balanced").fit(code[train, None], factor[train])
                    np.mean(model.predict(code[test, None]) == factor[test])
                else:
                    np.cov(code[train], factor[train])

    return seconds(work)


def unsupervised(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """Covariance, its square root by scipy, and the information of each pair of codes."""

    def work() -> None:
        codes = table.codes[drawn(table, settings.rows, rng)]
        covariance = np.cov(codes.T)
        np.linalg.slogdet(covariance)
        scipy.linalg.sqrtm(covariance @ np.diag(np.diag(covariance)))
        binned = [np.digitize(code, np.histogram(code, settings.bins)[1][:-1]) for code in codes.T]
        for first in binned:
            for second in binned:
                mutual_info_score(first, second)

    return seconds(work)


def irs(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """For one value of one factor after the other: the rows that have it, and how far their codes move."""

    def work() -> None:
        rows = drawn(table, settings.rows, rng)
        codes, factors = table.codes[rows], table.factors[rows]
        np.abs(codes - codes.mean(axis=0)).max(axis=0)
        for factor in factors.T:
            groups = np.digitize(factor, np.histogram(factor, settings.bins)[1][:-1]) if settings.bins else factor
            for value in np.unique(groups):
                match = codes[groups == value]
                np.percentile(np.abs(match - match.mean(axis=0)), 100 * settings.quantile, axis=0)

    return seconds(work)


def fits(table: CodeTable, train: int, models: Sequence[Any], rng: np.random.Generator) -> float:
    """Seconds to fit one model a factor, one after the other, and to judge it on other rows."""
    rows, test = rng.integers(len(table.codes), size=train), rng.integers(len(table.codes), size=TEST)
    mean, spread = table.codes[rows].mean(axis=0), table.codes[rows].std(axis=0)
    codes, scored = (table.codes[rows] - mean) / spread, (table.codes[test] - mean) / spread

    def work() -> None:
        for model, factor in zip(models, table.factors.T, strict=True):
            model.fit(codes, factor[rows])
            model.predict(scored)

    return seconds(work)


def dci(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """One estimator a factor. Boosting is timed by a fraction of its stages, which take the same time each."""
    count = table.factors.shape[1]
    train = len(table.codes) // 10 if settings.train == "tenth" else settings.train
    if settings.estimator == "lasso":
        return fits(table, train, [Lasso(alpha=0.02) for _ in range(count)], rng)
    if settings.estimator in ("boosting", "histogram-boosting"):
        stages = max(1, round(fraction * 100))
        models = [ensemble.GradientBoostingClassifier(n_estimators=stages) for _ in range(count)]
        return fits(table, train, models, rng) * 100 / stages
    if settings.estimator == "forest-classifier":
        make: Any = partial(ensemble.RandomForestClassifier, max_features=None, min_samples_leaf=10)
    else:
        make = ensemble.RandomForestRegressor
    return fits(table, train, [make(10, max_depth=d) for d in settings.depths or (None,) * count], rng)


def downstream(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """A logistic regression for each number of labels and factor; C cross-validated by one fold of ten, scaled up."""
    total = 0.0
    for size in (10, 100, 1000, 10_000):
        if settings.penalty is not None or size == 10:  # ten rows can't be cut into folds that all have two values
            models = [LogisticRegression(C=settings.penalty or 1) for _ in table.factors.T]
            total += fits(table, size, models, rng)
        else:
            fold = [(np.arange(size // 10, size), np.arange(size // 10))]
            models = [LogisticRegressionCV(Cs=10, cv=fold, refit=False) for _ in table.factors.T]
            total += 10 * fits(table, size, models, rng)
    return total


def infomec(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """scikit-learn's information of one code and factor after the other, its classifier, and both again by chance."""

    def work() -> None:
        rows = rng.permutation(len(table.codes))[:10_000]
        codes = (table.codes[rows] - table.codes[rows].mean(axis=0)) / table.codes[rows].std(axis=0)
        for shuffled in (False, True):
            factors = rng.permutation(table.factors[rows]) if shuffled else table.factors[rows]
            if settings.robust:
                information(table.codes, table.factors, RANK_BINS, by_rank=True)
                continue
            for factor in factors.T:
                for code in codes.T:
                    mutual_info_classif(code[:, None], factor, n_neighbors=settings.neighbours)
        for factor in table.factors[rows].T:
            model = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=settings.iterations)
            model.fit(codes, factor).predict_proba(codes)

    return seconds(work)


def mcc(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """scipy's correlation of one code and factor after the other, and scikit-learn's regression."""

    def work() -> None:
        rows = rng.integers(len(table.codes), size=settings.rows)
        correlation = scipy.stats.pearsonr if settings.correlation == "pearson" else scipy.stats.spearmanr
        found = [[abs(correlation(c, f)[0]) for f in table.factors[rows].T] for c in table.codes[rows].T]
        scipy.optimize.linear_sum_assignment(found, maximize=True)
        LinearRegression().fit(table.codes[rows], table.factors[rows]).score(table.codes[rows], table.factors[rows])

    return seconds(work)


def by_information(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """JEMMIG, minimality and sufficiency: information and entropies from bins of all rows."""

    def work() -> None:
        if not settings.robust:
            information(table.codes, table.factors, settings.bins, by_rank=False)
            return
        for k, most in enumerate(table.factors.max(axis=0)):
            information(table.codes, table.factors[:, [k]], 2 * int(most) + 3, by_rank=True)

    return seconds(work)


def dci_es(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """A forest for each capacity and factor, as the paper's code grows them; a fraction of the trees, scaled up."""
    trees = max(1, round(fraction * settings.trees))
    leaf, total = (10 if settings.robust else 1), 0.0
    for depth in (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32):
        models = [
            ensemble.RandomForestClassifier(trees, max_depth=depth, min_samples_leaf=leaf, max_features=None)
            if settings.robust or k == 0
            else ensemble.RandomForestRegressor(trees, max_depth=depth)
            for k in range(table.factors.shape[1])
        ]
        total += fits(table, settings.train, models, rng)
    return total * settings.trees / trees


def snc(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """One comparison with all rows for each cut of a code, and scikit-learn's information."""

    def work() -> None:
        rows = np.arange(len(table.codes)) if settings.robust else rng.integers(len(table.codes), size=settings.train)
        for factor in table.factors[rows].T:
            bins = int(factor.max()) + 1
            for code in table.codes[rows].T:
                cuts = np.sort(code)[(np.arange(bins) * len(code) / bins).astype(int)]
                mutual_info_score(np.sum([code < cut for cut in cuts], axis=0), factor)

    return seconds(work)


def omes(table: CodeTable, settings: Any, rng: np.random.Generator, fraction: float) -> float:
    """For one pair after the other: a row that shares all factors but one. numpy's matrix of all correlations."""
    codes, sizes = table.codes, tuple(table.factors.max(axis=0) + 1)
    total = 0.0
    for k, size in enumerate(sizes):
        pairs = []

        def draw(k: int = k, size: int = size, pairs: list[tuple[int, int]] = pairs) -> None:
            row = int(rng.integers(len(codes)))
            factors = table.factors[row].copy()
            factors[k] = rng.integers(size)
            pairs.append((row, int(np.ravel_multi_index(tuple(factors), sizes))))

        total += scaled(draw, min(settings.pairs, len(codes)), fraction)
        first, second = np.transpose(pairs)
        again = settings.pairs // len(pairs)
        total += seconds(lambda f=first, s=second: np.corrcoef(codes[f], codes[s], rowvar=False)) * again
    return total


PEERS: dict[str, Callable[[CodeTable, Any, np.random.Generator, float], float]] = {
    "factor-vae": factor_vae,
    "beta-vae": beta_vae,
    "mig": mig,
    "mig-sup": mig,
    "dcimig": mig,
    "modularity-explicitness": modularity,
    "sap": sap,
    "unsupervised": unsupervised,
    "irs": irs,
    "dci": dci,
    "downstream": downstream,
    "infomec": infomec,
    "mcc": mcc,
    "jemmig": by_information,
    "dci-es": dci_es,
    "snc": snc,
    "omes": omes,
    "minimality-sufficiency": by_information,
}


def share(name: str, settings: Any, fraction: float) -> str:
    """How much of its work a peer does, in words; the rest is extrapolated."""
    if name in ("factor-vae", "beta-vae"):
        return f"{fraction:.1%} of the votes"
    if name == "omes":
        return f"{fraction:.1%} of the pairs"
    if name == "dci-es":
        return f"{max(1, round(fraction * settings.trees))} of {settings.trees} trees"
    if name == "dci" and "boosting" in settings.estimator:
        return f"{max(1, round(fraction * 100))} of 100 stages"
    if name == "downstream" and settings.penalty is None:
        return "1 of 10 folds"
    return "all"


def time_peer(name: str, table: CodeTable, settings: Any, fraction: float) -> float:
    """Seconds of a metric's plain loop, without its estimators' warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PEERS[name](table, settings, np.random.default_rng(0), fraction)
