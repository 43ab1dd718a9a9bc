"""Records to tables: across seeds, with intervals, chance floor, oracle ceiling, and what the papers report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from disentangle_bench.boards.published import published_values
from disentangle_bench.boards.statistics import MIN_SEEDS, pairwise_ranks, t_interval
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.trials.records import Record
from disentangle_bench.trials.sweep import number

NOT_YET = "not scored yet; `disentangle-bench run` with the study scores the stored codes"
TOO_FEW = f"needs {MIN_SEEDS} seeds"

GROUP = ["model", "configuration", "dataset", "code_source", "steps", "metric", "protocol", "key"]
NUMERICS = list(Numerics.model_fields)  # device, threads, precision, mode, deterministic
NUMBERS = [
    "mean", "sd", "median", "iqm", "ci95_t_low", "ci95_t_high", "min", "max", "sampling_sd", "mean_failures_at_floor",
    "floor", "ceiling",
]  # fmt: skip
COUNTS = ["steps", "seeds", "repeats", "failures"]
COLUMNS = [
    "dataset", "metric", "protocol", "key", "better", "rank", "kind", "model", "configuration", "changes", "steps",
    "code_source", "mean", "sd", "median", "iqm", "ci95_t_low", "ci95_t_high", "ci95_t", "min", "max", "seeds",
    "failures", "mean_failures_at_floor", "sampling_sd", "repeats", "floor", "ceiling",
    "published", "published_spread", "published_source", *NUMERICS, "skipped", "evaluated",
]  # fmt: skip
SEED_COLUMNS = [
    "id", "dataset", "model", "configuration", "steps", "code_source", "seed", "status", "metric", "protocol", "key",
    "value", "sampling_sd", "repeats", "skip",
]  # fmt: skip
ROW_COLUMNS = [
    "record", "metric", "protocol", "key", "value", "skip", "sampling_sd", "repeats", "evaluated",
]  # fmt: skip

Ends = Mapping[tuple[str, str, str, int], Mapping[str, Mapping[str, float]]]
"""Floor and ceiling: {(dataset, metric, protocol, code width): {key: {"floor": ..., "ceiling": ...}}}."""

Group = dict[str, np.ndarray]
"""The trials of one group: {column: what each of them has there}."""


@dataclass(frozen=True)
class MetricFacts:
    """What the table needs of a metric."""

    keys: tuple[str, ...]
    higher_is_better: bool
    protocols: tuple[str, ...]  # those that the table shows
    comparison: bool = False  # of seeds by one another: it can select one of them
    of_codes: bool = True  # or of images

    @property
    def ends(self) -> tuple[str, str]:
        """What its ceiling and its floor are the scores of."""
        return ("oracle codes", "random codes") if self.of_codes else ("real images", "noise")


def scores_frame(records: Iterable[Record], facts: Mapping[str, MetricFacts]) -> pd.DataFrame:
    """Single seeds: one row a trial × metric × protocol × key, with `SEED_COLUMNS` and what groups of them share.

    `value` is missing where the trial failed or diverged (`status`), or the metric skipped or has not scored it (`skip`
    says which, and why).
    `record` is the place of the row's trial among the records.
    """
    asked = [(metric, protocol) for metric, fact in facts.items() for protocol in fact.protocols]
    criteria = selections(facts)
    trials, rows = [], []
    for place, record in enumerate(records):
        trials.append(trial_values(record, criteria))
        part = sampled(record)
        for metric, protocol in asked:
            result = record.scores.get(metric, {}).get(protocol)
            if result is None:
                result = {"skip": NOT_YET} if record.status == "finished" else {}
            sampling, evaluated = result.get("sampling", {}), part if facts[metric].of_codes else ""
            for key in facts[metric].keys:
                found = (result.get(key), result.get("skip", ""), sampling.get(key), sampling.get("repeats"))
                rows.append((place, metric, protocol, key, *found, evaluated))
    if not rows:
        return pd.DataFrame()
    scores = pd.DataFrame(rows, columns=ROW_COLUMNS)
    shared = pd.DataFrame(trials).take(scores["record"].to_numpy())  # each trial as often as it has rows
    return pd.concat([shared.reset_index(drop=True), scores], axis=1)


def trial_values(record: Record, criteria: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """What all rows of one trial share; `criteria` are the columns of `selections`."""
    return {
        "id": record.id,
        "model": record.spec.model,
        "configuration": record.spec.shown_configuration,
        "dataset": record.spec.dataset,
        "code_source": record.code_source,
        "steps": record.spec.config.get("steps", 0),
        "seed": record.spec.seed,
        "status": record.status,
        "code_width": record.code_width,
        **{name: str(value) for name, value in record.spec.numerics},
        **{
            column: record.scores.get(name, {}).get(protocol, {}).get("score")
            for column, (name, protocol) in criteria.items()
        },
    }


def seed_scores(records: Iterable[Record], facts: Mapping[str, MetricFacts]) -> pd.DataFrame:
    """The table of single seeds, `SEED_COLUMNS`, in the leaderboard's order of metrics; for statistics of one's own."""
    return scores_frame(records, facts).reindex(columns=SEED_COLUMNS)


def sampled(record: Record) -> str:
    """Which part of a virtual dataset was encoded and scored, in words; "" where all of it was."""
    if record.evaluated is None or record.evaluated[0] == record.evaluated[1]:
        return ""
    return "{:,} of {:,} images".format(*record.evaluated)


def selections(facts: Mapping[str, MetricFacts]) -> dict[str, tuple[str, str]]:
    """The columns that hold the score of the seed that a comparison ranks first, and the comparison's protocol."""
    chosen = {name: fact.protocols for name, fact in facts.items() if fact.comparison}
    return {
        f"selected_by_{name}_{protocol}".replace("-", "_"): (name, protocol)
        for name, protocols in chosen.items()
        for protocol in protocols
    }


def leaderboard(
    records: Iterable[Record], facts: Mapping[str, MetricFacts], ends: Ends, published: pd.DataFrame
) -> pd.DataFrame:
    """One row a model × dataset × metric × protocol × key, in `COLUMNS`' order, best mean first.

    better: `higher` or `lower`, of this metric's scores. kind: `model`; or `reference`, for the rows that show the
    ceiling and the floor themselves (`oracle codes` and `random codes`, or `real images` and `noise`).
    changes: the fields in which a configuration differs from the one that its name begins with.
    mean, sd (n − 1), median, iqm (mean of the middle half), min, max: over the finished seeds, `seeds` of them.
    ci95_t_low, ci95_t_high: Student's t interval of the mean, 95 %, from 3 seeds on; ci95_t: the same as text, or why
    there is none. rank: one more than the number of models of the same score that are significantly better: by
    Welch's t, two-sided, at 5 % after Holm's correction over all pairs of models of this score. Missing where there is
    no interval.
    failures: crashed and diverged seeds; mean_failures_at_floor takes each of those at the chance floor.
    sampling_sd: the metric's own sampling error on one encoder: the root mean square, over the trials, of the standard
    deviation over the metric's `repeats` seeds; sd contains it.
    floor, ceiling: the scores of random codes and of the true factors on this dataset.
    published, published_spread, published_source: a paper's number for this very configuration.
    device, threads, precision, mode, deterministic: how the arithmetic was done; `mixed: ...` where seeds differ in it.
    skipped: why there is no score. evaluated: which part of a dataset was scored, where that is not all.
    selected_by_...: for each comparison of seeds, the score of the one seed that it ranks first, which needs no labels.
    Empty cells have no value: nothing is NaN in the CSV. The columns in `COUNTS` are never empty.
    """
    records = list(records)
    frame = scores_frame(records, facts)
    by = list(selections(facts))
    if frame.empty:
        return pd.DataFrame(columns=[*COLUMNS, *by])
    rows, samples = [], []
    for names, group in groups(frame, by):
        first = records[group["record"][0]]
        row = summary(dict(zip(GROUP, names, strict=True)), group, ends, by)
        rows.append(row | {"changes": changes_in_words(first)})
        samples.append(finished_values(group))
    said = ["changes", "ci95_t", *NUMERICS, "skipped", "evaluated"]
    table = pd.DataFrame(rows).reindex(columns=[*GROUP, *NUMBERS, *by, "seeds", "repeats", "failures", *said])
    table[[*NUMBERS, *by]] = table[[*NUMBERS, *by]].astype(np.float64)
    table["kind"] = "model"
    table["rank"] = ranks(table, samples, facts)
    table = pd.concat([table, reference_rows(table, facts)], ignore_index=True)
    table = table.merge(
        published_values(published), how="left", on=["model", "configuration", "metric", "protocol", "key", "dataset"]
    )
    table["higher"] = [facts[metric].higher_is_better for metric in table["metric"]]
    order = table["mean"].where(table["higher"], -table["mean"])
    table = table.assign(order=-order).sort_values(["dataset", "metric", "protocol", "key", "order", "model"])
    table["better"] = np.where(table["higher"], "higher", "lower")
    types = dict.fromkeys(COUNTS, "int64") | {"rank": "Int64"}
    return table.reindex(columns=[*COLUMNS, *by]).astype(types).reset_index(drop=True)


def groups(frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[Any, Group]]:
    """The rows of each group of `GROUP`, in the order of its names.

    As arrays, for pandas takes a millisecond to choose a few rows of a table, and a study has thousands of groups.
    """
    numbers = ["value", "code_width", "sampling_sd", "repeats", *by]
    columns = {name: frame[name].to_numpy() for name in ("record", "status", "skip", "evaluated", *NUMERICS)}
    columns |= {name: frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in numbers}
    for names, rows in sorted(frame.groupby(GROUP).indices.items()):
        yield names, {name: column[rows] for name, column in columns.items()}


def changes_in_words(record: Record) -> str:
    """The fields in which a trial's configuration differs from the one that its name begins with."""
    return ", ".join(f"{field}={number(value)}" for field, value in record.spec.changes().items())


def summary(names: dict[str, Any], group: Group, ends: Ends, by: list[str]) -> dict[str, Any]:
    """The statistics of one group of trials that differ in their seed; `by` are the columns of selections."""
    done = group["status"] == "finished"
    finished = {name: column[done] for name, column in group.items()}
    values = present(finished["value"])
    failures = int((~done).sum())
    widths = present(finished["code_width"])
    end = ends.get((names["dataset"], names["metric"], names["protocol"], int(widths[0])), {}) if len(widths) else {}
    floor = end.get(names["key"], {}).get("floor")
    row: dict[str, Any] = names | {
        "seeds": len(values),
        "failures": failures,
        "floor": floor,
        "ceiling": end.get(names["key"], {}).get("ceiling"),
        "repeats": 0,
        **{name: one_or_mixed(group[name]) for name in NUMERICS},
        "skipped": next((reason for reason in finished["skip"] if reason), ""),
        "evaluated": next((part for part in group["evaluated"] if part), ""),
        "ci95_t": "no score",
    }
    if not len(values):
        return row
    row |= {
        "mean": values.mean(),
        "median": np.median(values),
        "iqm": stats.trim_mean(values, 0.25),
        "min": values.min(),
        "max": values.max(),
        "ci95_t": TOO_FEW,
        "repeats": 1,
    }
    if len(values) > 1:
        row["sd"] = values.std(ddof=1)
    sampling = present(finished["sampling_sd"])
    if len(sampling):
        row |= {"sampling_sd": np.sqrt(np.mean(sampling**2)), "repeats": int(np.nanmin(finished["repeats"]))}
    for column in by:
        ranked = ~np.isnan(finished[column]) & ~np.isnan(finished["value"])
        if ranked.any():
            row[column] = finished["value"][ranked][np.argmax(finished[column][ranked])]
    if floor is not None:
        row["mean_failures_at_floor"] = (values.sum() + failures * floor) / (len(values) + failures)
    if len(values) >= MIN_SEEDS:
        low, high = t_interval(values)
        row |= {"ci95_t_low": low, "ci95_t_high": high, "ci95_t": f"[{low:.3f}, {high:.3f}]"}
    return row


def present(values: np.ndarray) -> np.ndarray:
    """The numbers (n,) that are there."""
    return values[~np.isnan(values)]


def finished_values(group: Group) -> np.ndarray:
    """The scores (n,) of the group's finished trials, those that it has."""
    return present(group["value"][group["status"] == "finished"])


def one_or_mixed(values: np.ndarray) -> str:
    """The value that all share, or `mixed: ` and all that occur."""
    found = sorted(set(values))
    return found[0] if len(found) == 1 else f"mixed: {', '.join(found)}"


def reference_rows(table: pd.DataFrame, facts: Mapping[str, MetricFacts]) -> pd.DataFrame:
    """Rows for the ceiling and the floor, from the ends that the models' rows carry."""
    rows = []
    for names, group in table.dropna(subset=["floor", "ceiling"]).groupby(["dataset", "metric", "protocol", "key"]):
        for model, end in zip(facts[group["metric"].iloc[0]].ends, ("ceiling", "floor"), strict=True):
            rows.append(
                dict(zip(["dataset", "metric", "protocol", "key"], names, strict=True))
                | {"kind": "reference", "model": model, "configuration": "", "changes": "", "code_source": "reference"}
                | {"mean": group[end].iloc[0], "floor": group["floor"].iloc[0], "ceiling": group["ceiling"].iloc[0]}
                | {"ci95_t": "reference", "skipped": "", "evaluated": ""}
                | dict.fromkeys(COUNTS, 0)
                | dict.fromkeys(NUMERICS, "")
            )
    return pd.DataFrame(rows)


def ranks(table: pd.DataFrame, samples: Sequence[np.ndarray], facts: Mapping[str, MetricFacts]) -> pd.Series:
    """Rank within dataset × metric × protocol × key; missing where a row has no interval.

    samples: the scores of each row's finished seeds.
    """
    result = pd.Series(pd.NA, index=table.index, dtype="Int64")
    for _, group in table.dropna(subset=["ci95_t_low"]).groupby(["dataset", "metric", "protocol", "key"]):
        higher = facts[group["metric"].iloc[0]].higher_is_better
        result[group.index] = pairwise_ranks([samples[row] for row in group.index], higher)
    return result
