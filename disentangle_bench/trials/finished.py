"""What can be done with a finished trial: load its model, its scores, and its stored codes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from disentangle_bench import datasets, registry
from disentangle_bench.contracts import CodeTable, Dataset
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.codes import ENCODE_BATCH, encode_images
from disentangle_bench.models.base import Model
from disentangle_bench.training.checkpoints import load_checkpoint
from disentangle_bench.training.images import as_bytes
from disentangle_bench.training.trainer import build_model
from disentangle_bench.trials.records import Record, Workspace, read_record, results_root, stored_codes
from disentangle_bench.trials.spec import TrialSpec


class FinishedTrial:
    """A trained model that encodes and generates, with its codes and scores; what `load_trial` returns.

    model: in evaluation mode, on the CPU. image_shape: (C, H, W). record: all that was recorded.
    """

    def __init__(self, record: Record, model: Model, image_shape: tuple[int, int, int], workspace: Workspace) -> None:
        self.record, self.model, self.image_shape, self.workspace = record, model, image_shape, workspace

    def __repr__(self) -> str:
        count = sum(len(protocols) for protocols in self.scores.values())
        return f"<trial {self.spec.title} ({self.record.id}), {self.record.status}, {count} scores>"

    @property
    def spec(self) -> TrialSpec:
        """The model, its configuration, the dataset, the seed."""
        return self.record.spec

    @property
    def scores(self) -> dict[str, dict[str, dict[str, object]]]:
        """The recorded scores: {metric: {protocol: {key: value} or {"skip": reason}}}."""
        return self.record.scores

    @cached_property
    def codes(self) -> np.ndarray:
        """The stored codes of the images that are evaluated, float32 (M, D); `UserError` where they were deleted."""
        return stored_codes(self.record, self.workspace)

    @cached_property
    def factors(self) -> np.ndarray:
        """The factor values of the images behind `codes`, int64 (M, K), counted from 0; opens the dataset."""
        dataset = dataset_of(self.record, self.workspace)
        return dataset.factors(dataset.evaluation())

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Codes, float32 (N, D), of uint8 images (N, C, H, W), 0..255, as the dataset gives them."""
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape or not len(images):
            shape = ", ".join(map(str, self.image_shape))
            raise UserError(f"images must be uint8 (N, {shape}), 0..255, not {images.dtype} {images.shape}.")
        return encode_images(self.model, images)

    @torch.inference_mode()
    def generate(self, codes: np.ndarray | int, seed: int = 0) -> np.ndarray:
        """Images, uint8 (N, C, H, W), 0..255, of codes (N, D); or of N codes that are drawn from the prior.

        codes: as `encode` gives them, or how many. seed: of what is drawn; codes that are given draw nothing.
        """
        if isinstance(codes, int | np.integer):
            if codes < 1:
                raise UserError(f"generate takes codes (N, D), or their number from 1 up, not {codes}.")
            given = self.model.sample_codes(int(codes), torch.Generator().manual_seed(seed))
        else:
            given = torch.from_numpy(np.array(codes, dtype=np.float32))
            width = self.record.code_width
            if given.ndim != 2 or not len(given) or (width is not None and given.shape[1] != width):
                wanted = "D" if width is None else width
                raise UserError(f"codes must be (N, {wanted}), or a number of them, not {tuple(given.shape)}.")
        blocks = given.split(ENCODE_BATCH["cpu"])
        made = [as_bytes(self.model.generate(block), self.model.image_range) for block in blocks]
        return torch.cat(made).numpy()


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
    cls = model_of(record)
    shape, classes = record.image_shape, record.classes
    if shape is None:  # a record of an earlier version
        dataset = dataset_of(record, workspace)
        shape, classes = dataset.image_shape, dataset.classes()
    model = build_model(cls, record.spec.typed_config(), shape, record.spec.seed, classes)
    model.load_state_dict(load_checkpoint(workspace.trial(record.id) / "checkpoint.pt", record.id)["model"])
    return FinishedTrial(record, model.eval(), shape, workspace)


def model_of(record: Record) -> type[Model]:
    """The class of a trial's model; `UserError` where it's a plugin's that is not given here, or that was changed."""
    spec, file = record.spec, record.plugin or "FILE.py"
    if spec.model_source is not None and spec.model not in registry.names("model"):
        raise UserError(
            f"trial {record.id}: its model '{spec.model}' came from a plugin; give that with --plugin {file}, "
            f'or in Python with load_trial("{record.id}", plugins=("{file}",)).'
        )
    if registry.source_hash("model", spec.model) != spec.model_source:
        raise UserError(
            f"the plugin of {spec.model} has changed since trial {record.id} was trained; "
            f"give it as it was then (sha256 {str(spec.model_source)[:12]}…), or run the study again."
        )
    spec.refuse_outdated()
    cls: type[Model] = registry.get("model", spec.model)
    return cls


def dataset_of(record: Record, workspace: Workspace) -> Dataset:
    """A trial's dataset; `UserError` where it is not known here."""
    name = record.spec.dataset
    if not registry.known_dataset(name):
        raise UserError(
            f"trial {record.id}: its dataset '{name}' is not known here; give a plugin's with --plugin FILE.py, "
            'or in Python with plugins=("FILE.py",).'
        )
    return datasets.load(name, workspace.data)


def find_record(workspace: Workspace, prefix: str) -> Record:
    """The record of the one trial whose id begins with `prefix`; `UserError` unless there is one."""
    runs = workspace.results / "runs"
    found = sorted(path.parent.name for path in runs.glob(f"{prefix}*/record.json")) if prefix.isalnum() else []
    if len(found) != 1:
        what = f"{len(found)} trials begin with it: {', '.join(found[:5])}" if found else "there is no such record"
        raise UserError(f"trial '{prefix}' under {runs}: {what}; `disentangle-bench status STUDY` lists the trials.")
    return read_record(workspace.record(found[0]))


def finished_record(workspace: Workspace, prefix: str) -> Record:
    """As `find_record`; `UserError` unless the trial finished."""
    record = find_record(workspace, prefix)
    if record.status != "finished":
        raise UserError(
            f"trial {record.id} {record.status} ({record.cause}); it has neither a model nor codes to use. "
            f"`disentangle-bench why {record.id}` says more."
        )
    return record


def trial_table(trial: str, workspace: Workspace) -> tuple[Record, Dataset, CodeTable]:
    """A finished trial's record, its dataset, and its stored codes as a table."""
    record = finished_record(workspace, trial)
    dataset = dataset_of(record, workspace)
    return record, dataset, CodeTable.of(dataset, stored_codes(record, workspace))
