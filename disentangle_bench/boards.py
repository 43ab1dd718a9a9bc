"""A study's leaderboard: its records, their floors and ceilings, and the papers' numbers, brought together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from disentangle_bench import registry
from disentangle_bench.calibration import calibrate
from disentangle_bench.contracts import Dataset, Progress, silent
from disentangle_bench.leaderboard import MetricFacts, leaderboard, read_published
from disentangle_bench.records import Record, Workspace, read_records
from disentangle_bench.study import Study


def study_leaderboard(
    study: Study, workspace: Workspace, data: Mapping[str, Dataset], progress: Progress = silent
) -> pd.DataFrame:
    """The leaderboard of a study's records, its metrics in the study's order.

    Floors and ceilings are computed once and kept under `results/runs`.
    """
    records = [only(record, study) for record in read_records(workspace, [trial.id for trial in study.trials])]
    needed = sorted(
        {
            (record.spec.dataset, metric, protocol, record.code_width)
            for record in records
            if record.code_width is not None
            for metric, protocols in record.scores.items()
            for protocol in protocols
        }
    )
    cache = workspace.results / "runs" / "calibration"
    ends = {}
    for done, (dataset, metric, protocol, width) in enumerate(needed, start=1):
        ends[dataset, metric, protocol, width] = calibrate(data[dataset], metric, protocol, width, cache)
        progress(done, len(needed))
    facts = {}
    for name, protocols in study.scoring.metrics.items():
        metric = registry.get("metric", name)
        facts[name] = MetricFacts(metric.keys, metric.higher_is_better, tuple(protocols))
    table = leaderboard(records, facts, ends, read_published(published_folder(workspace)))
    order = {
        pair: i for i, pair in enumerate((m, p) for m, protocols in study.scoring.metrics.items() for p in protocols)
    }
    place = pd.Series([order[pair] for pair in zip(table["metric"], table["protocol"], strict=True)], dtype="int64")
    return table.assign(place=place).sort_values(["dataset", "place"], kind="stable").drop(columns="place")


def published_folder(workspace: Workspace) -> Path:
    """Where the papers' tables are: under the results root, else in the repository that this package lies in."""
    own = workspace.results / "published"
    return own if own.is_dir() else Path(__file__).parents[1] / "results" / "published"


def only(record: Record, study: Study) -> Record:
    """The record with the scores that the study asks for; another study may have added more."""
    scores = {
        metric: {protocol: result for protocol, result in record.scores[metric].items() if protocol in protocols}
        for metric, protocols in study.scoring.metrics.items()
        if metric in record.scores
    }
    return record.model_copy(update={"scores": scores})
