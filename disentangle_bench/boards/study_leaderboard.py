"""A study's leaderboard: its records, their floors and ceilings, and the papers' numbers, brought together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from disentangle_bench import registry
from disentangle_bench.boards.leaderboard import MetricFacts, leaderboard, seed_scores
from disentangle_bench.boards.published import published_folder, read_published
from disentangle_bench.contracts import Dataset, ImageMetric, Progress, silent
from disentangle_bench.display import Bar
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.calibration import calibrate
from disentangle_bench.studies.comparisons import compare
from disentangle_bench.studies.study import Study
from disentangle_bench.trials.records import Record, Workspace, read_records

ALONE = "it compares two finished seeds or more"


def study_leaderboard(
    study: Study,
    workspace: Workspace,
    data: Mapping[str, Dataset],
    progress: Progress = silent,
    records: Iterable[Record] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The leaderboard of a study's records, and the table of their single seeds; metrics in the study's order.

    Floors and ceilings are computed once and kept under `results/runs`; scores on a dataset that is not in `data` have
    none. records: the study's, where they are not under `results/runs`.
    """
    if records is None:
        records = read_records(workspace, [trial.id for trial in study.trials])
    records = [only(record, study) for record in records]
    add_comparisons(records, study, workspace)
    needed = sorted(
        {
            (record.spec.dataset, metric, protocol, record.code_width)
            for record in records
            if record.code_width is not None and record.spec.dataset in data
            for metric in study.scoring.metrics
            for protocol in record.scores.get(metric, {})
        }
    )
    cache = workspace.results / "runs" / "calibration"
    ends = {}
    for done, (dataset, metric, protocol, width) in enumerate(needed, start=1):
        ends[dataset, metric, protocol, width] = calibrate(data[dataset], metric, protocol, width, cache)
        progress(done, len(needed))
    facts = {name: facts_of(name, protocols) for name, protocols in study.scoring.metrics.items()}
    for name, protocols in study.comparisons.items():
        facts[name] = MetricFacts(("score",), True, tuple(protocols), comparison=True)
    table = leaderboard(records, facts, ends, read_published(published_folder(workspace.results)))
    order = {pair: i for i, pair in enumerate((name, p) for name, fact in facts.items() for p in fact.protocols)}
    place = pd.Series([order[pair] for pair in zip(table["metric"], table["protocol"], strict=True)], dtype="int64")
    table = table.assign(place=place).sort_values(["dataset", "place"], kind="stable").drop(columns="place")
    return table, seed_scores(records, facts)


def facts_of(name: str, protocols: Sequence[str]) -> MetricFacts:
    """What the tables need of a registered metric, of which they show these protocols."""
    metric = registry.get("metric", name)
    of_codes = not isinstance(metric, ImageMetric)
    return MetricFacts(metric.keys, metric.higher_is_better, tuple(protocols), of_codes=of_codes)


def add_comparisons(records: list[Record], study: Study, workspace: Workspace) -> None:
    """Give each finished record its scores by the other seeds of its cell, or the reason why it has none."""
    cells: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        if record.status == "finished":
            spec = record.spec
            cells.setdefault((spec.dataset, spec.model, spec.shown_configuration), []).append(record)
    for (dataset, model, _), cell in cells.items():
        for name, protocols in study.comparisons.items():
            for protocol in protocols:
                with Bar(f"{name}/{protocol} of {model} on {dataset}") as progress:
                    try:
                        scores, reason = compare(name, protocol, cell, workspace, progress), ALONE
                    except UserError as error:  # a trial's codes or checkpoint are gone; the other scores are there
                        scores, reason = {}, str(error)
                for record in cell:
                    result = {"score": scores[record.id]} if scores else {"skip": reason}
                    record.scores.setdefault(name, {})[protocol] = result


def only(record: Record, study: Study) -> Record:
    """The record with the scores that the study asks for; another study may have added more."""
    scores = {
        metric: {protocol: result for protocol, result in record.scores[metric].items() if protocol in protocols}
        for metric, protocols in study.scoring.metrics.items()
        if metric in record.scores
    }
    return record.model_copy(update={"scores": scores})
