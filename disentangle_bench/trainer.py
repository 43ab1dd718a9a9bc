"""The training loop, for every model: players, checkpoints, curves, and a guard against divergence."""

from __future__ import annotations

import io
import math
import pickle
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from disentangle_bench.codes import DeviceImages
from disentangle_bench.errors import UserError
from disentangle_bench.files import write_file
from disentangle_bench.models.base import Batch, Model, ModelConfig
from disentangle_bench.seeding import derive_seed

CHECKPOINT_FORMAT = 1

Shape = tuple[int, int, int]  # (C, H, W)


class Diverged(Exception):
    """A loss stopped being a finite number: a result of the trial, with its cause, not a fault of the program."""


@dataclass(frozen=True)
class Intervals:
    """How often the trainer does what doesn't change the result: in steps, and in seconds between checkpoints."""

    log: int = 100
    diagnose: int = 1_000
    score: int = 0  # 0: only at the end
    checkpoint_seconds: float = 60.0


@dataclass
class History:
    """What happened so far; it travels in the checkpoint, so that a resumed trial's curves have no gap."""

    curves: list[dict[str, float]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


def build_model(cls: type[Model], config: ModelConfig, image_shape: Shape, seed: int, classes: int = 0) -> Model:
    """The model with the initial weights that the trial's seed gives, on the CPU.

    classes: of the dataset, for a conditional model. Convolutions keep their weights with channels last, which trains
    and encodes up to 1.4 times as fast on a CPU.
    """
    if cls.conditional and classes < 2:
        raise UserError(f"{cls.name} is given class labels, and this dataset has none; choose another dataset.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        model = cls(config, image_shape, **({"classes": classes} if cls.conditional else {}))
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs


class Trainer:
    """One model in training: its optimisers, generators and history, which a checkpoint holds whole.

    model: on its device already.
    images: the dataset on the same device.
    checkpoint: the file that `save` writes and that, where it is there, training resumes from.
    """

    def __init__(
        self, model: Model, images: DeviceImages, config: ModelConfig, seed: int, trial: str, checkpoint: Path
    ) -> None:
        self.model, self.images, self.config, self.trial, self.checkpoint = model, images, config, trial, checkpoint
        self.seed = seed
        self.players = model.players()
        self.optimisers = {name: player.optimiser(player.parameters) for name, player in self.players.items()}
        self.events = model.events()
        self.rng = torch.Generator(model.device).manual_seed(derive_seed(seed, "train"))
        self.history = History()
        self.step = 0
        self.device_step = torch.zeros((), dtype=torch.int64, device=model.device)
        self.healthy = torch.ones((), dtype=torch.bool, device=model.device)

    def train(
        self,
        intervals: Intervals,
        on_step: Callable[[int], None] = lambda step: None,
        on_start: Callable[[int], None] = lambda step: None,
        score: Callable[[Model, int], dict[str, Any]] | None = None,
        on_log: Callable[[int, dict[str, float]], None] = lambda step, row: None,
        until: int | None = None,
    ) -> None:
        """Train to the configuration's last step, or only to step `until`, from the checkpoint if there is one.

        Raises `Diverged` when a loss stops being finite. `score` gives a model's scores; it is called every
        `intervals.score` steps but not at the last one, which the trial scores itself. `on_start` is told the step
        that training starts from.
        """
        torch.manual_seed(derive_seed(self.seed, "global"))  # for layers that draw from nothing else, as dropout does
        if self.checkpoint.exists():
            self.restore()
        self.model.train()
        on_start(self.step)
        started = time.perf_counter() - self.history.seconds
        saved = time.perf_counter()
        end = self.config.steps if until is None else min(until, self.config.steps)
        while self.step < end:
            self.step += 1
            losses = self.update()
            last = self.step == end
            if due(self.step, intervals.log) or last:
                self.check()
                row = {f"loss/{name}": loss.item() for name, loss in losses.items()}
                if due(self.step, intervals.diagnose) or last:
                    row |= self.diagnose()
                self.history.curves.append({"step": self.step, **row})
                on_log(self.step, row)
            if score is not None and due(self.step, intervals.score) and not last:
                self.check()
                self.history.scores.append({"step": self.step, "scores": score(self.model, self.step)})
                self.model.train()
            if last or time.perf_counter() - saved >= intervals.checkpoint_seconds:
                self.check()
                self.history.seconds = time.perf_counter() - started
                self.save()
                saved = time.perf_counter()
            on_step(self.step)
        if self.config.steps == 0:
            self.save()

    def update(self) -> dict[str, torch.Tensor]:
        """One step: all its phases, each from one forward pass; returns the players' last losses, detached."""
        for player in self.events.get(self.step, ()):
            self.restart(player)
        self.device_step.fill_(self.step)
        shared = self.model.begin(self.batch(self.rng), self.rng, self.device_step)
        detached: dict[str, torch.Tensor] = {}
        for number, phase in enumerate(self.model.phases, start=1):
            losses = getattr(self.model, phase)(shared, self.rng, self.device_step)
            for left, name in zip(reversed(range(len(losses))), losses, strict=True):
                parameters = self.players[name].parameters
                needed = left > 0 or number < len(self.model.phases)  # phases may share what `begin` computed
                gradients = torch.autograd.grad(losses[name], parameters, retain_graph=needed)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
            for name, loss in losses.items():
                self.optimisers[name].step()
                detached[name] = loss.detach()
            self.healthy &= torch.stack([detached[name] for name in losses]).isfinite().all()
        return detached

    def batch(self, rng: torch.Generator) -> Batch:
        """Images drawn uniformly with replacement, and what else the model asks for."""
        index = self.draw(rng)
        labels = self.images.labels[index] if self.model.conditional else None
        second = self.images.drawn(self.draw(rng), rng) if self.model.needs_second_batch else None
        return Batch(self.images.drawn(index, rng), labels, second)

    def draw(self, rng: torch.Generator) -> torch.Tensor:
        """Row indices of one batch, int64 (B,)."""
        size = (self.config.batch_size,)
        return torch.randint(len(self.images), size, generator=rng, device=self.model.device)

    def restart(self, player: str) -> None:
        """Give a player new weights and a new optimiser, the same ones in a resumed trial."""
        device = self.model.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive_seed(self.seed, "restart", self.step))
            self.model.reset(player)
        self.optimisers[player] = self.players[player].optimiser(self.players[player].parameters)

    def check(self) -> None:
        """Raise `Diverged` if any loss since the start was not finite."""
        if not self.healthy:
            raise Diverged(f"a loss was not a finite number at or before step {self.step} of {self.config.steps}")

    def diagnose(self) -> dict[str, float]:
        """The model's diagnostics, from a generator of their own; without those that are not finite numbers."""
        rng = torch.Generator(self.model.device).manual_seed(derive_seed(self.seed, "diagnostics", self.step))
        with evaluating(self.model):
            found = self.model.diagnostics(self.batch(rng), rng, self.device_step)
            values = {name: value.item() for name, value in found.items()}
        return {name: value for name, value in values.items() if math.isfinite(value)}

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "format": CHECKPOINT_FORMAT,
            "trial": self.trial,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "rng": self.rng.get_state(),
            "global_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.model.device) if self.model.device.type == "cuda" else None,
            "history": vars(self.history),
        }
        buffer = io.BytesIO()  # torch's own writer hides why a disk refused
        torch.save(state, buffer)
        write_file(self.checkpoint, buffer.getvalue())

    def restore(self) -> None:
        """Continue from the checkpoint; `UserError` where it can't be read or is another trial's."""
        state = load_checkpoint(self.checkpoint, self.trial, self.model.device)
        self.model.load_state_dict(state["model"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.rng.set_state(state["rng"].cpu())
        torch.set_rng_state(state["global_rng"].cpu())
        if state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"].cpu(), self.model.device)
        self.history = History(**state["history"])
        self.step = state["step"]
        self.device_step.fill_(self.step)


def load_checkpoint(path: Path, trial: str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A trial's checkpoint, read without executing anything in it."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch reads a damaged weight without a word
            if archive.testzip() is not None:
                raise ValueError("checksum")
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(
            f"checkpoint {path} is not there; delete the trial's record too and run the study again to train it."
        ) from error
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"checkpoint {path} is damaged or truncated ({type(error).__name__}); delete it and run again: "
            "the trial then starts from its first step."
        ) from error
    if not isinstance(state, dict) or state.get("format") != CHECKPOINT_FORMAT:
        raise UserError(f"checkpoint {path} is not of format {CHECKPOINT_FORMAT}; delete it and run again.")
    if state["trial"] != trial:
        raise UserError(f"checkpoint {path} belongs to trial {state['trial']}, not {trial}; delete it and run again.")
    return state


def due(step: int, interval: int) -> bool:
    """Whether something done every `interval` steps (0: never) is done at this one."""
    return interval > 0 and step % interval == 0


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Evaluation mode without gradients, and training mode again afterwards."""
    model.eval()
    with torch.no_grad():
        yield
    model.train()
