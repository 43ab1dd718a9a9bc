"""Scores of a cell's trained seeds by one another, without labels: UDR, ModelCentrality."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from disentangle_bench import registry
from disentangle_bench.contracts import Comparison, Progress, silent
from disentangle_bench.files import read_checked, write_checked
from disentangle_bench.metrics.model_centrality import Peer
from disentangle_bench.models.base import Model
from disentangle_bench.training.process import threads
from disentangle_bench.trials.finished import load_trial
from disentangle_bench.trials.records import Record, Workspace, stored_codes

FORMAT = 1  # of the cached file; raise it when a change outside a comparison's own file moves its numbers
ROWS = 10_000  # images whose codes are compared, drawn once for a number of images


def compare(
    name: str, protocol: str, records: Sequence[Record], workspace: Workspace, progress: Progress = silent
) -> dict[str, float]:
    """{trial id: score} of finished trials that differ in their seed alone; empty for fewer than two.

    A score depends on which trials are compared. It is kept under `results/runs/comparisons` and computed again when a
    trial comes, or where the file is damaged.
    """
    if len(records) < 2:
        return {}
    comparison: Comparison = registry.get("comparison", name)
    records = sorted(records, key=lambda record: record.id)
    ids = [record.id for record in records]
    source = Path(str(inspect.getsourcefile(comparison.compute))).read_bytes()
    identity = {"format": FORMAT, "source": hashlib.sha256(source).hexdigest(), "comparison": name}
    identity |= {"protocol": protocol, "trials": ids}
    digest = hashlib.sha256(json.dumps(ids).encode()).hexdigest()[:16]
    path = workspace.results / "runs" / "comparisons" / f"{name}-{protocol}-{digest}.json"
    known = read_cache(path, identity)
    if known is not None:
        return known
    with threads(records[0].spec.numerics.threads):
        needed = codes_of(records, workspace) if comparison.needs == "codes" else [peer_of(id, workspace) for id in ids]
        found = comparison.compute(needed, protocol, progress=progress)["scores"]
    result = {id: float(value) for id, value in zip(ids, found, strict=True)}
    write_checked(path, {"identity": identity, "scores": result})
    return result


def codes_of(records: Sequence[Record], workspace: Workspace) -> list[np.ndarray]:
    """The trials' stored codes of the same images, (N, D_i) each."""
    tables = [stored_codes(record, workspace) for record in records]
    size = len(tables[0])
    rows = np.random.default_rng(0).choice(size, size=min(ROWS, size), replace=False)
    return [table[rows] for table in tables]


def peer_of(id: str, workspace: Workspace) -> Peer:
    """A trial's trained model."""
    return peer(load_trial(id, workspace.results, workspace.data, workspace.plugins).model)


def peer(model: Model) -> Peer:
    """A model in evaluation mode, which generates from codes of its prior and encodes what others generate."""
    noise = torch.Generator(model.device).manual_seed(0)  # of what images depend on beside the codes

    def sample(count: int, rng: np.random.Generator) -> np.ndarray:
        generator = torch.Generator(model.device).manual_seed(int(rng.integers(2**63)))
        return model.sample_codes(count, generator).cpu().numpy()

    @torch.inference_mode()
    def generate(codes: np.ndarray) -> torch.Tensor:
        return model.sample_images(torch.from_numpy(codes).to(model.device), noise)

    @torch.inference_mode()
    def encode(images: torch.Tensor) -> np.ndarray:
        return model.encode(images).cpu().numpy()

    return Peer(sample, generate, encode, model.code_groups())


def read_cache(path: Path, identity: dict[str, object]) -> dict[str, float] | None:
    """The scores in a cached file; None where the file is missing, damaged, or of another identity."""
    try:
        text, checked = read_checked(path)
        content = json.loads(text)
        scores = {str(id): float(value) for id, value in content["scores"].items()}
        usable = checked and content["identity"] == identity and all(map(math.isfinite, scores.values()))
        return scores if usable else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
