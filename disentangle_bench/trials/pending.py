"""What is asked of a trial beside training, and what of it is not done yet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from disentangle_bench import registry
from disentangle_bench.contracts import ImageMetric
from disentangle_bench.metrics.cost import may_now
from disentangle_bench.training.trainer import Intervals
from disentangle_bench.trials.records import Record, Workspace, read_record
from disentangle_bench.trials.spec import TrialSpec

Metrics = dict[str, list[str]]  # protocols by metric


@dataclass(frozen=True)
class Scoring:
    """How a finished trial is scored: protocols by metric, and by how many of the metric's own seeds each.

    The first seed is the trial's and gives the score; the others tell how far its sampling moves it. A protocol that
    takes minutes has one.
    """

    metrics: Metrics
    repeats: int = 1

    def repeats_of(self, metric: str, protocol: str) -> int:
        """The metric's seeds under one protocol; images are made and judged once."""
        chosen = registry.get("metric", metric)
        return 1 if protocol in chosen.slow or isinstance(chosen, ImageMetric) else self.repeats


@dataclass(frozen=True)
class TrialOptions:
    """What to do beside training; none of it changes a score."""

    scoring: Scoring
    intervals: Intervals = field(default_factory=Intervals)
    loggers: tuple[str, ...] = ()
    study: str = ""  # what it's called where loggers write
    retries: int = 1


def has_codes(record: Record, workspace: Workspace) -> bool:
    """Whether a finished trial's codes are there, or can't be encoded anew: a record may come without a checkpoint."""
    folder = workspace.trial(record.id)
    kept = (folder / "codes.npy").exists() or not (folder / "checkpoint.pt").exists()
    return record.status != "finished" or kept


def existing_record(workspace: Workspace, spec: TrialSpec) -> Record | None:
    """The trial's record unless it is missing or tells of a crash, which a new run tries again."""
    path = workspace.record(spec.id)
    record = read_record(path) if path.exists() else None
    return None if record is not None and record.status == "failed" else record


def missing_scores(record: Record, scoring: Scoring) -> Metrics:
    """The metrics and protocols that a finished trial's record lacks, or has of fewer seeds or an older plugin."""
    if record.status != "finished":
        return {}
    missing = {}
    for metric, protocols in scoring.metrics.items():
        changed = record.metric_sources.get(metric) != registry.source_hash("metric", metric)
        known = {} if changed else record.scores.get(metric, {})
        missing[metric] = [
            protocol
            for protocol in protocols
            if protocol not in known
            or repeats_in(known[protocol]) < scoring.repeats_of(metric, protocol)
            or may_now(f"{metric}/{protocol}", known[protocol].get("skip", ""))
        ]
    return {metric: protocols for metric, protocols in missing.items() if protocols}


def repeats_in(result: dict[str, Any]) -> float:
    """How many of the metric's seeds are behind a recorded result; a skipped metric needs no more."""
    return math.inf if "skip" in result else result.get("sampling", {}).get("repeats", 1)
