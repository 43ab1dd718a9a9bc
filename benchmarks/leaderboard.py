"""Seconds from 10,000 and 100,000 trial records on disk to the leaderboard.

    python benchmarks/leaderboard.py [--records 10000,100000] [--root DIR] [--json PATH]

Writes a synthetic study into a temporary results folder: models × 10 datasets × 50 seeds, a record a trial as the suite
writes them, every fiftieth a diverged one. Then it does what the command `leaderboard` does, but for the floors and
ceilings, which cost nothing a record: they are made up here. Reads come from the page cache. All of it is one thread's
work: the target is for processor time, which a busy machine doesn't change much.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import machine, parser, print_header, print_table, write_json

from disentangle_bench import registry
from disentangle_bench.boards.leaderboard import MetricFacts, leaderboard
from disentangle_bench.boards.published import read_published
from disentangle_bench.boards.study_leaderboard import only
from disentangle_bench.boards.tables import rich_tables, write_csv
from disentangle_bench.models.ib_gan import IBGAN
from disentangle_bench.studies.config import IntervalsConfig, StudyConfig
from disentangle_bench.studies.states import count_states
from disentangle_bench.studies.study import Study, read_study, write_study
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.trials.pending import Scoring
from disentangle_bench.trials.records import Record, Workspace, environment, read_records, write_record
from disentangle_bench.trials.spec import TrialSpec

TARGET = 3e-4  # processor seconds for reading and aggregating, a record: 30 for 100,000
DATASETS, SEEDS = 10, 50
NAME = "synthetic"
METRICS: dict[str, list[str]] = StudyConfig.model_fields["metrics"].default
WIDTH = 10  # of the codes
DIVERGED_EVERY = 50
PUBLISHED = Path(__file__).resolve().parents[1] / "results" / "published"


@dataclass(frozen=True)
class Times:
    """Seconds of one part, by the clock and of the processor."""

    wall: float
    processor: float


def sizes(text: str) -> list[int]:
    """Comma-separated numbers of records for argparse, each a whole number of models."""
    values = [int(part) for part in text.split(",")]
    if any(value < 1 or value % (DATASETS * SEEDS) for value in values):
        raise argparse.ArgumentTypeError(f"{text} are not multiples of {DATASETS * SEEDS}")
    return values


def make_study(models: int) -> Study:
    """A study of made-up models and datasets, with the published configuration of IB-GAN."""
    config = IBGAN.configurations["dsprites"].model_dump(mode="json")
    trials = [
        TrialSpec(
            model=f"model-{m:03d}", configuration="dsprites", config=config, dataset=f"dataset-{d:02d}",
            dataset_checksum=f"{d:064x}", seed=seed, numerics=Numerics(),
        )
        for d in range(DATASETS)
        for m in range(models)
        for seed in range(SEEDS)
    ]  # fmt: skip
    return Study(NAME, "", Scoring(METRICS), {}, IntervalsConfig(), trials)


def make_record(spec: TrialSpec, number: int, place: dict[str, str], rng: np.random.Generator) -> Record:
    """A record of the size that a trial's has."""
    record = Record(
        id=spec.id, spec=spec, status="finished", paper=IBGAN.paper, code_source=IBGAN.code_source, code_width=WIDTH,
        parameters={"discriminator": 2_213_329, "generator": 3_465_237}, environment=place,
        diagnostics={f"value_{i}": float(rng.random()) for i in range(20)},
        seconds={"train": float(rng.random()), "encode": float(rng.random())},
    )  # fmt: skip
    if number % DIVERGED_EVERY == 0:
        return record.model_copy(update={"status": "diverged", "cause": "a loss was not a finite number"})
    for metric, protocols in METRICS.items():
        record.scores[metric] = {
            protocol: {"score": float(rng.random()), "train_accuracy": float(rng.random()), "codes_used": WIDTH}
            for protocol in protocols
        }
    return record


def write_records(study: Study, workspace: Workspace) -> None:
    """The study's file and its records, with the bytes of `write_record` but not its wait for the disk."""
    write_study(study, workspace)
    rng, place = np.random.default_rng(0), environment()
    for number, spec in enumerate(study.trials):
        record = make_record(spec, number, place, rng)
        path = workspace.record(record.id)
        path.parent.mkdir(parents=True)
        text = json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False) + "\n"
        if number == 0:
            write_record(path, record)
            if path.read_text() != text:
                raise RuntimeError("records are no longer written in this form; mend this script")
        path.write_text(text)


def measure(workspace: Workspace, study: Study) -> tuple[dict[str, Times], pd.DataFrame]:
    """Seconds of each part, and the leaderboard."""
    times: dict[str, Times] = {}
    last = time.perf_counter(), time.process_time()

    def lap(name: str) -> None:
        nonlocal last
        now = time.perf_counter(), time.process_time()
        times[name], last = Times(now[0] - last[0], now[1] - last[1]), now

    write_records(study, workspace)
    lap("write the records")
    found = read_study(workspace, NAME)
    lap("read the study's file")
    ids = [trial.id for trial in found.trials]
    lap("hash the trials' ids")
    records = [only(record, found) for record in read_records(workspace, ids)]
    lap("read the records")
    chosen = {metric: registry.get("metric", metric) for metric in found.scoring.metrics}
    facts = {
        name: MetricFacts(metric.keys, metric.higher_is_better, tuple(study.scoring.metrics[name]))
        for name, metric in chosen.items()
    }
    ends = {
        (dataset, metric, protocol, WIDTH): {key: {"floor": 0.2, "ceiling": 1.0} for key in facts[metric].keys}
        for dataset in {trial.dataset for trial in found.trials}
        for metric, protocols in METRICS.items()
        for protocol in protocols
    }
    table = leaderboard(records, facts, ends, read_published(PUBLISHED))
    lap("aggregate")
    write_csv(table, workspace.study(NAME) / "leaderboard.csv")
    list(rich_tables(table))
    lap("write the CSV, lay out the tables")
    count_states(found, workspace)
    lap("the state of each trial (status)")
    return times, table


def report(records: int, root: Path | None) -> dict[str, Any]:
    """Measure a study of so many records, print its table, and return the numbers."""
    study = make_study(records // (DATASETS * SEEDS))
    with tempfile.TemporaryDirectory(dir=root) as folder:
        workspace = Workspace(Path(folder), Path(folder))
        times, table = measure(workspace, study)
        size = sum(os.path.getsize(workspace.record(trial.id)) for trial in study.trials[:100]) / 100
    read, aggregate = times["read the records"], times["aggregate"]
    total = Times(read.wall + aggregate.wall, read.processor + aggregate.processor)
    print_table(
        f"{records:,} records of {size:,.0f} bytes, {int((table['kind'] == 'model').sum()):,} rows with a mean",
        ["part", "seconds", "of the processor", "ms a record"],
        [
            [name, f"{each.wall:.2f}", f"{each.processor:.2f}", f"{1000 * each.processor / records:.3f}"]
            for name, each in {**times, "READ AND AGGREGATE": total}.items()
        ],
    )
    limit = TARGET * records
    kept = "kept" if total.processor <= limit else "MISSED"
    print(f"target for {records:,} records: {limit:.1f} s of the processor; {kept}", flush=True)
    parts = {name: asdict(each) for name, each in times.items()}
    return {"records": records, "rows": len(table), "seconds": parts, "total": asdict(total), "target_s": limit}


def main() -> None:
    """Measure and print a table for each size."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--records", type=sizes, default=[10_000, 100_000], help=f"comma-separated, multiples of {DATASETS * SEEDS}"
    )
    arguments.add_argument("--root", type=Path, help="a folder on the disk to measure (default: the temporary one)")
    options = arguments.parse_args()
    facts = machine("pandas", "pydantic", "scipy")
    print_header(facts)
    write_json(options.json, facts, sizes=[report(records, options.root) for records in options.records])


if __name__ == "__main__":
    main()
