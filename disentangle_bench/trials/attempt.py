"""One attempt at a trial: train, encode, score and draw, as far as that is not done."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_bench import datasets, registry
from disentangle_bench.contracts import CodeTable, Dataset, ImageMetric
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.codes import encode_grid, write_codes
from disentangle_bench.evaluation.samples import ModelSamples
from disentangle_bench.files import write_file
from disentangle_bench.metrics import score_images, score_table
from disentangle_bench.models.base import Model, count_parameters
from disentangle_bench.pictures.samples import write_samples
from disentangle_bench.pictures.traversal import write_traversal
from disentangle_bench.plugins import plugin_name
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.trainer import MEMORY_FORMAT, Diverged, Trainer, build_model
from disentangle_bench.trials.heartbeat import Heartbeat
from disentangle_bench.trials.loggers import Loggers
from disentangle_bench.trials.pending import Metrics, Scoring, TrialOptions, missing_scores
from disentangle_bench.trials.records import Record, Workspace, environment, stored_codes
from disentangle_bench.trials.spec import TrialSpec

TrialSteps = Generator[int, None, Record]  # the numbers of training steps as they are done, and the record at the end


@dataclass
class Company:
    """The trials of one cell that train in one process by turns, of which this is one.

    size: how many they are. note: why they are no more. images: on the device, by dataset, which all of them use.
    scored_elsewhere: whether other processes score what needs no images of the model, from the stored codes.
    """

    size: int = 1
    note: str = ""
    scored_elsewhere: bool = False
    images: dict[str, DeviceImages] = field(default_factory=dict)


class Attempt:
    """One attempt at a trial, in its folder: checkpoint.pt, codes.npy, curves.csv, traversal.png, samples.png,
    record.json."""

    def __init__(
        self, spec: TrialSpec, workspace: Workspace, options: TrialOptions, heartbeat: Heartbeat, company: Company
    ) -> None:
        self.spec, self.workspace, self.options, self.heartbeat = spec, workspace, options, heartbeat
        self.company = company
        self.folder = workspace.trial(spec.id)
        self.seconds: dict[str, float] = {}
        self.loggers = Loggers(options.loggers, spec, workspace, options.study)
        self.dataset: Dataset = datasets.load(spec.dataset, workspace.data, prepare=False)
        if self.dataset.checksum != spec.dataset_checksum:
            raise UserError(
                f"{spec.dataset} under {workspace.data} is not the data that this trial was planned with "
                f"(checksum {self.dataset.checksum[:12]}, planned {spec.dataset_checksum[:12]}); run the study again."
            )
        if registry.source_hash("model", spec.model) != spec.model_source:
            raise UserError(
                f"the plugin of {spec.model} has changed since this trial was planned; run the study again."
            )

    def run(self, record: Record | None) -> TrialSteps:
        """Train unless done, encode unless done, score what is missing."""
        whole = False
        try:
            made = yield from self.steps(record)
            whole = made.status == "finished"
        finally:
            self.loggers.close(whole)
        made.log_failures += self.loggers.failures
        return made

    def steps(self, record: Record | None) -> TrialSteps:
        """What `run` does, but for closing what it opened."""
        trainer: Trainer | None = None  # made for an earlier record only where one is needed: it holds a device
        if record is None:
            trainer = self.trainer()
            self.spec.refuse_outdated()
            try:
                yield from self.train(trainer)
                codes, checksum = self.encode(trainer)
            except Diverged as divergence:
                return self.record(trainer, "diverged", str(divergence))
            record = self.record(trainer, "finished")
            record.code_width, record.codes_sha256 = codes.shape[1], checksum
            self.draw(trainer)
        else:
            codes = self.codes(record)
        missing = missing_scores(record, self.options.scoring)
        of_images = {name: missing[name] for name in missing if isinstance(registry.get("metric", name), ImageMetric)}
        if self.company.scored_elsewhere:
            missing = of_images
        if trainer is None and of_images:
            trainer = self.restored()
        model = None if trainer is None else trainer.model
        scores = self.score(model, codes, missing, self.options.scoring.repeats)
        for metric, protocols in scores.items():
            source = registry.source_hash("metric", metric)
            known = record.scores.get(metric, {}) if record.metric_sources.get(metric) == source else {}
            record.scores[metric] = known | protocols
            if source is not None:
                record.metric_sources[metric] = source
        self.log_scores(scores)
        record.seconds |= self.seconds
        return record

    def restored(self) -> Trainer:
        """A finished trial's trainer, with the weights that it ended with."""
        self.spec.refuse_outdated()
        trainer = self.trainer()
        trainer.restore()
        return trainer

    def trainer(self) -> Trainer:
        """The trial's model and optimisers as they begin, on the trial's device."""
        spec = self.spec
        cls, config, numerics = registry.get("model", spec.model), spec.typed_config(), spec.numerics
        model = build_model(cls, config, self.dataset.image_shape, spec.seed, self.dataset.classes())
        model = model.to(numerics.device)
        shared = self.company.images
        if spec.dataset not in shared:
            shared[spec.dataset] = DeviceImages(self.dataset, model.device, model.image_range)
        checkpoint = self.folder / "checkpoint.pt"
        images, precision, mode = shared[spec.dataset], numerics.precision, numerics.mode
        return Trainer(model, images, config, spec.seed, spec.id, checkpoint, precision, mode)

    def train(self, trainer: Trainer) -> Iterator[int]:
        """Train to the end, with curves as CSV, and to the loggers."""

        def start(step: int) -> None:
            self.heartbeat.begin("train", trainer.config.steps, done=step)
            self.loggers.begin(step)

        def score_along(model: Model, step: int) -> dict[str, Any]:
            codes = finite(encode_grid(model, trainer.images, self.beat("encode", "images")))
            scores = self.score(model, codes, self.options.scoring.metrics)
            self.heartbeat.begin("train", trainer.config.steps, done=step)
            return scores

        try:
            for step in trainer.steps(self.options.intervals, start, score_along, self.loggers.log):
                self.heartbeat.beat(step)
                yield step
        finally:
            write_curves(self.folder / "curves.csv", trainer.history.curves)
        self.seconds["train"] = trainer.history.seconds

    def codes(self, record: Record) -> np.ndarray:
        """The codes of all images, float32 (N, D), from the file; if that is gone or damaged, from the checkpoint."""
        try:
            return stored_codes(record, self.workspace)
        except UserError:
            if not (self.folder / "checkpoint.pt").exists():
                raise
        codes, record.codes_sha256 = self.encode(self.restored())
        return codes

    def encode(self, trainer: Trainer) -> tuple[np.ndarray, str]:
        """The codes of all images, float32 (N, D), stored, and the sha256 of their file.

        Always anew for a new record: of codes that a killed process left, nothing says that they are whole.
        """
        with timed(self.seconds, "encode"):
            codes = finite(encode_grid(trainer.model, trainer.images, self.beat("encode", "images")))
        return codes, write_codes(self.folder / "codes.npy", codes)

    def score(
        self, model: Model | None, codes: np.ndarray, metrics: Metrics, repeats: int = 1
    ) -> dict[str, dict[str, dict[str, Any]]]:
        """Scores of codes (N, D), and of the model's images, by metric and protocol.

        model: None where no metric asks for images.
        """
        scoring = Scoring(metrics, repeats)
        scores: dict[str, dict[str, dict[str, Any]]] = {}
        if not metrics:
            return scores
        pairs = [(metric, protocol) for metric, protocols in metrics.items() for protocol in protocols]
        self.heartbeat.begin("score", len(pairs), "scores")
        table = CodeTable.of(self.dataset, codes)
        samples = None if model is None else ModelSamples(model, self.dataset, self.workspace.data)
        for done, (metric, protocol) in enumerate(pairs, start=1):
            chosen = registry.get("metric", metric)
            reason = chosen.reason_to_skip(self.dataset)
            with timed(self.seconds, f"score/{metric}/{protocol}"):
                if isinstance(chosen, ImageMetric):
                    assert samples is not None
                    result = score_images(metric, samples, protocol, self.spec.seed)
                elif reason:
                    result = {"skip": reason}
                else:
                    seeds = scoring.repeats_of(metric, protocol)
                    result = score_table(metric, table, protocol, self.spec.seed, seeds)
            scores.setdefault(metric, {})[protocol] = result
            if "score" in result:
                self.heartbeat.scores[f"{metric}/{protocol}"] = result["score"]
            self.heartbeat.beat(done, force=True)
        return scores

    def log_scores(self, scores: dict[str, dict[str, dict[str, Any]]]) -> None:
        """Send scores to the loggers, as of the last step."""
        last = self.spec.typed_config().steps
        self.loggers.begin(last)
        results = [(f"score/{metric}/{name}", each) for metric, by in scores.items() for name, each in by.items()]
        self.loggers.log(last, {name: each["score"] for name, each in results if "score" in each})

    def draw(self, trainer: Trainer) -> None:
        """The pictures: a traversal and samples."""
        model, seed = trainer.model, self.spec.seed
        write_traversal(model, seed, self.folder / "traversal.png", self.spec.title)
        classes, names = self.dataset.classes(), self.dataset.class_names
        write_samples(model, seed, classes, names, self.folder / "samples.png", self.spec.title)

    def record(self, trainer: Trainer, status: Any, cause: str | None = None) -> Record:
        """The trial's record so far."""
        curves = trainer.history.curves
        pack = f"in a pack of {self.company.size}" if self.company.size > 1 else ""
        return Record(
            id=self.spec.id,
            spec=self.spec,
            status=status,
            cause=cause,
            paper=trainer.model.paper,
            code_source=trainer.model.code_source,
            plugin=plugin_name(type(trainer.model)),
            image_shape=self.dataset.image_shape,
            classes=self.dataset.classes(),
            evaluated=(len(self.dataset.evaluation()), len(self.dataset)),
            parameters={name: count_parameters(player.parameters) for name, player in trainer.players.items()},
            scores_along=trainer.history.scores,
            diagnostics=curves[-1] if curves and status == "finished" else {},
            environment=environment() | {"memory_format": str(MEMORY_FORMAT).removeprefix("torch.")},
            seconds=self.seconds,
            engine="; ".join(filter(None, [trainer.history.engine, pack, self.company.note])),
        )

    def beat(self, phase: str, unit: str) -> Any:
        """A progress function that reports a phase through the heartbeat."""
        begun = False

        def progress(done: int, total: int) -> None:
            nonlocal begun
            if not begun:
                self.heartbeat.begin(phase, total, unit)
                begun = True
            self.heartbeat.beat(done)

        return progress


def finite(codes: np.ndarray) -> np.ndarray:
    """Codes (N, D) as they are; `Diverged` where one is not a finite number."""
    bad = ~np.isfinite(codes).all(axis=0)
    if bad.any():
        raise Diverged(f"code {int(np.flatnonzero(bad)[0])} is not finite for some image")
    return codes


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the time of the block to `seconds[name]`."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start


def write_curves(path: Path, rows: list[dict[str, float]]) -> None:
    """The curves as CSV: a row a logged step, empty where a value was not measured at that step."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, buffer.getvalue())
