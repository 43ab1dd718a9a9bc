"""What can be done with a finished trial: load its model, and its stored codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from disentangle_bench import datasets, registry
from disentangle_bench.contracts import CodeTable, Dataset
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.codes import encode_images, read_codes
from disentangle_bench.models.base import Model
from disentangle_bench.training.checkpoints import load_checkpoint
from disentangle_bench.training.trainer import build_model
from disentangle_bench.trials.records import Record, Workspace, read_record, results_root
from disentangle_bench.trials.spec import TrialSpec


class FinishedTrial:
    """A trained model that encodes and generates; what `load_trial` returns."""

    def __init__(self, spec: TrialSpec, model: Model, image_shape: tuple[int, int, int]) -> None:
        self.spec, self.model, self.image_shape = spec, model, image_shape

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Codes, float32 (N, D), of uint8 images (N, C, H, W), 0..255, as the dataset gives them."""
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape or not len(images):
            shape = ", ".join(map(str, self.image_shape))
            raise UserError(f"images must be uint8 (N, {shape}), 0..255, not {images.dtype} {images.shape}.")
        return encode_images(self.model, images)


def load_trial(
    id: str, results: str | Path | None = None, data: str | Path | None = None, plugins: tuple[str, ...] = ()
) -> FinishedTrial:
    """The trained model of a trial, by its id: its folder's name under `results/runs`, or the beginning of it.

    results: where results are; else DISENTANGLE_BENCH_RESULTS, else ./results. plugins: what the model came from.
    """
    workspace = Workspace(results_root(results), datasets.data_root(data), plugins)
    for plugin in plugins:
        registry.load_plugin(plugin)
    record = finished_record(workspace, id)
    if registry.source_hash("model", record.spec.model) != record.spec.model_source:
        raise UserError(f"the plugin of {record.spec.model} has changed since trial {record.id} was trained.")
    cls = registry.get("model", record.spec.model)
    shape, classes = record.image_shape, record.classes
    if shape is None:  # a record of an earlier version
        dataset = datasets.load(record.spec.dataset, workspace.data)
        shape, classes = dataset.image_shape, dataset.classes()
    model = build_model(cls, record.spec.typed_config(), shape, record.spec.seed, classes)
    model.load_state_dict(load_checkpoint(workspace.trial(record.id) / "checkpoint.pt", record.id)["model"])
    return FinishedTrial(record.spec, model.eval(), shape)


def finished_record(workspace: Workspace, prefix: str) -> Record:
    """The record of the one trial whose id begins with `prefix`; `UserError` unless there is one and it finished."""
    runs = workspace.results / "runs"
    found = sorted(path.parent.name for path in runs.glob(f"{prefix}*/record.json")) if prefix.isalnum() else []
    if len(found) != 1:
        what = f"{len(found)} trials begin with it: {', '.join(found[:5])}" if found else "there is no such record"
        raise UserError(f"trial '{prefix}' under {runs}: {what}; `disentangle-bench status STUDY` lists the trials.")
    record = read_record(workspace.record(found[0]))
    if record.status != "finished":
        raise UserError(f"trial {record.id} {record.status} ({record.cause}); it has neither a model nor codes to use.")
    return record


def trial_table(trial: str, workspace: Workspace) -> tuple[Record, Dataset, CodeTable]:
    """A finished trial's record, its dataset, and its stored codes as a table."""
    record = finished_record(workspace, trial)
    dataset = datasets.load(record.spec.dataset, workspace.data)
    return record, dataset, CodeTable.of(dataset, read_codes(workspace.trial(record.id) / "codes.npy"))
