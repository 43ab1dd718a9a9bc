"""Score a finished trial again, from the codes that it stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from disentangle_bench import datasets, registry
from disentangle_bench.contracts import CodeTable, Progress, silent
from disentangle_bench.errors import UserError, unknown
from disentangle_bench.metrics import score_table
from disentangle_bench.records import Workspace, read_record
from disentangle_bench.trial import find_trial


def score_trial(
    trial: str, workspace: Workspace, wanted: list[str], seed: int | None = None, progress: Progress = silent
) -> list[tuple[str, str, str, Any]]:
    """(metric, protocol, key, value) of a trial's stored codes.

    wanted: METRIC or METRIC/PROTOCOL each; all that are registered if empty. seed: the metric's; none: the trial's.
    """
    record = read_record(workspace.record(find_trial(workspace, trial)))
    if record.status != "finished":
        raise UserError(f"trial {record.id} {record.status}; only a finished trial has codes to score.")
    pairs = [pair for name in wanted or registry.names("metric") for pair in protocols(name)]
    dataset = datasets.load(record.spec.dataset, workspace.data)
    path = workspace.trial(record.id) / "codes.npy"
    if not path.exists():
        raise UserError(f"the codes of trial {record.id} are not at {path}; run its study again to encode them.")
    table = CodeTable.of(dataset, np.load(path))
    rows: list[tuple[str, str, str, Any]] = []
    for done, (metric, protocol) in enumerate(pairs, start=1):
        reason = registry.get("metric", metric).skip(dataset)
        chosen = record.spec.seed if seed is None else seed
        result = {"skip": reason} if reason else score_table(metric, table, protocol, chosen)
        rows += [(metric, protocol, key, value) for key, value in result.items()]
        progress(done, len(pairs))
    return rows


def protocols(name: str) -> list[tuple[str, str]]:
    """(metric, protocol) pairs of METRIC, all its protocols, or METRIC/PROTOCOL."""
    metric, slash, protocol = name.partition("/")
    known = registry.get("metric", metric).protocols
    if slash and protocol not in known:
        raise unknown(f"protocol of {metric}", protocol, known)
    return [(metric, protocol)] if slash else [(metric, each) for each in known]
