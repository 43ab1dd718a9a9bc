"""Pairs of models by one metric: how far apart they are, whether by more than chance, and how many seeds show it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from disentangle_bench.boards.leaderboard import MetricFacts, present, scores_frame
from disentangle_bench.boards.statistics import (
    LEVEL,
    MIN_SEEDS,
    chance_above,
    holm,
    permutation_p,
    seeds_for_power,
    smallest_p,
    variance,
    welch,
)
from disentangle_bench.errors import unknown
from disentangle_bench.trials.records import Record
from disentangle_bench.trials.sweep import variant_of

TABLE = ["dataset", "metric", "protocol", "key"]
OF_EACH = [f"{name}_{which}" for name in ("mean", "sd", "seeds", "failures") for which in ("a", "b")]
COLUMNS = [
    *TABLE, "better", "model_a", "model_b", "difference", "ci95_welch_low", "ci95_welch_high", "chance_a_better",
    "p_permutation", "exact", "p_permutation_holm", "smallest_p_holm", "p_welch", "p_welch_holm", "seeds_for_power_80",
    *OF_EACH,
]  # fmt: skip
COUNTS = ["seeds_a", "seeds_b", "failures_a", "failures_b", "seeds_for_power_80"]


def comparison(
    records: Iterable[Record], facts: Mapping[str, MetricFacts], models: Sequence[str], rng: np.random.Generator
) -> pd.DataFrame:
    """One row a pair of models × dataset × metric × protocol × key, of all seeds that have a score; `COLUMNS`.

    models: the labels to compare, in whose order A stands before B; none: all, A the one of the better mean.
    difference: mean of A − mean of B; ci95_welch_low, ci95_welch_high: its interval by Welch's t, from three seeds of
    each on, as p_welch. chance_a_better: that a seed of A scores better than one of B, a tie counted half.
    p_permutation: two-sided, of the means, from two seeds of each on; `exact`, or from random splits drawn from `rng`.
    p_permutation_holm, p_welch_holm: adjusted over the pairs of the same dataset, metric, protocol and key.
    smallest_p_holm: what p_permutation_holm would be if every pair were apart as far as can be; above 0.05, so few
    seeds can't show anything. seeds_for_power_80: the seeds a model that would show a difference as large as the one
    observed, at spreads as observed, by Welch's test at 5 % in 80 of 100 studies; none where it takes over 10,000.
    seeds, failures: how many have a score, and how many crashed or diverged, which are in no other number.
    """
    frame = labelled_scores(records, facts, models)
    if frame.empty:
        return pd.DataFrame(columns=COLUMNS)
    tables = []
    for _, group in frame.groupby(TABLE, sort=False):
        fact = facts[group["metric"].iloc[0]]
        table = pairs_of(group, fact.higher_is_better, models, rng)
        better = "higher" if fact.higher_is_better else "lower"
        tables.append(table.assign(better=better, **{column: group[column].iloc[0] for column in TABLE}))
    return pd.concat(tables, ignore_index=True).reindex(columns=COLUMNS).astype(dict.fromkeys(COUNTS, "Int64"))


def labelled_scores(records: Iterable[Record], facts: Mapping[str, MetricFacts], models: Sequence[str]) -> pd.DataFrame:
    """The single seeds of `scores_frame` with each model's `label`; `UserError` where a label of `models` is none's."""
    frame = scores_frame(records, facts)
    if frame.empty:
        return frame
    frame["label"] = [
        model + variant_of(configuration)
        for model, configuration in zip(frame["model"], frame["configuration"], strict=True)
    ]
    for label in models:
        if label not in set(frame["label"]):
            raise unknown("model of the study's records:", label, frame["label"].unique())
    return frame


def samples_of(group: pd.DataFrame) -> dict[str, np.ndarray]:
    """The scores (n,) of each model's finished seeds, by its label, among rows of one score on one dataset."""
    values = group["value"].where(group["status"] == "finished").to_numpy(dtype=np.float64, na_value=np.nan)
    return {str(label): present(values[rows]) for label, rows in group.groupby("label").indices.items()}


def pairs_of(group: pd.DataFrame, higher: bool, models: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    """The pairs of models of one dataset, metric, protocol and key, and their p values adjusted."""
    samples = samples_of(group)
    failures = group.loc[group["status"] != "finished", "label"].value_counts()
    labels = list(models) or sorted(samples, key=lambda label: order(samples[label], higher))
    rows: list[dict[str, Any]] = []
    for a, b in itertools.combinations([label for label in labels if label in samples], 2):
        row = {"model_a": a, "model_b": b, **pair(samples[a], samples[b], higher, rng)}
        for which, label in (("a", a), ("b", b)):
            row |= {f"{name}_{which}": value for name, value in of_one(samples[label]).items()}
            row[f"failures_{which}"] = int(failures.get(label, 0))
        rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    for name, adjusted in (
        ("p_permutation", "p_permutation_holm"),
        ("p_welch", "p_welch_holm"),
        ("smallest_p_holm", "smallest_p_holm"),
    ):
        p = table[name].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        p[~np.isnan(p)] = holm(present(p))
        table[adjusted] = p
    return table


def order(sample: np.ndarray, higher: bool) -> float:
    """Where a model stands: the best mean first, those without a score last."""
    if not len(sample):
        return np.inf
    return float(-sample.mean() if higher else sample.mean())


def of_one(sample: np.ndarray) -> dict[str, Any]:
    """A model's own numbers."""
    numbers: dict[str, Any] = {"seeds": len(sample)}
    if len(sample):
        numbers["mean"] = float(sample.mean())
    if len(sample) > 1:
        numbers["sd"] = variance(sample) ** 0.5
    return numbers


def pair(one: np.ndarray, two: np.ndarray, higher: bool, rng: np.random.Generator) -> dict[str, Any]:
    """The columns of one pair, those that its seeds suffice for, before any correction."""
    if not len(one) or not len(two):
        return {}
    row: dict[str, Any] = {
        "difference": float(one.mean() - two.mean()),
        "chance_a_better": chance_above(one, two) if higher else chance_above(two, one),
    }
    if min(len(one), len(two)) >= 2:
        row["p_permutation"], row["exact"] = permutation_p(one, two, rng)
        row["smallest_p_holm"] = smallest_p(len(one), len(two))  # of this pair alone, until `pairs_of` adjusts it
    if min(len(one), len(two)) >= MIN_SEEDS:
        test = welch(one, two)
        row |= {"ci95_welch_low": test.low, "ci95_welch_high": test.high, "p_welch": test.p}
        row["seeds_for_power_80"] = seeds_for_power(test.value, (variance(one), variance(two)))
    return row


def seeds_needed(pairs: int) -> int:
    """The fewest seeds a model with which a permutation test of so many pairs can reach 5 % after Holm's correction."""
    return next(seeds for seeds in itertools.count(2) if pairs * smallest_p(seeds, seeds) <= LEVEL)


def each_table(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each dataset × metric × protocol × key, and their title."""
    for (dataset, metric, protocol, key), group in table.groupby(TABLE, sort=False):
        better = "" if group["better"].iloc[0] == "higher" else " · lower is better"
        yield f"{dataset} · {metric} · {protocol}" + ("" if key == "score" else f" · {key}") + better, group
