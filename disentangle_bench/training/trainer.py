"""The training loop, for every model: players, checkpoints, curves, and a guard against divergence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from disentangle_bench.errors import UserError
from disentangle_bench.models.base import Model, ModelConfig
from disentangle_bench.models.declared import refuse_incomplete, refuse_players, refuse_unbuilt
from disentangle_bench.plugins import guarded
from disentangle_bench.training import engine
from disentangle_bench.training.checkpoints import load_checkpoint, write_checkpoint
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.seeding import derive_seed
from disentangle_bench.training.step import Losses, StepState

Shape = tuple[int, int, int]  # (C, H, W)
MEMORY_FORMAT = torch.channels_last  # of convolutions' weights, and so of what they compute


class Diverged(Exception):
    """A loss stopped being a finite number: a result of the trial, with its cause, not a fault of the program."""


@dataclass(frozen=True)
class Intervals:
    """How often the trainer does what doesn't change the result: in steps, and in seconds between checkpoints."""

    log: int = 100
    diagnose: int = 1_000
    score: int = 0  # 0: only at the end
    checkpoint_seconds: float = 60.0

    def until_checkpoint(self, saved: float) -> float:
        """Seconds from a checkpoint, made `saved` seconds after the start, to the next: 5, 5, 10, 20, 40, 60.

        Those are with the default; who stops a run early loses no more than half of it.
        """
        return min(self.checkpoint_seconds, max(self.checkpoint_seconds / 12, saved))


@dataclass
class History:
    """What happened so far; it travels in the checkpoint, so that a resumed trial's curves have no gap."""

    curves: list[dict[str, float]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    engine: str = ""  # how the last steps were computed, and why no faster


def build_model(cls: type[Model], config: ModelConfig, image_shape: Shape, seed: int, classes: int = 0) -> Model:
    """The model with the initial weights that the trial's seed gives, on the CPU.

    classes: of the dataset, for a conditional model. With channels last a CPU trains and encodes up to 1.4 times as
    fast. `PluginError` where a plugin's class is incomplete or its constructor raises.
    """
    refuse_incomplete(cls)
    if cls.conditional and classes < 2:
        raise UserError(f"{cls.name} is given class labels, and this dataset has none; choose another dataset.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        given = {"classes": classes} if cls.conditional else {}
        model = guarded(cls, "its constructor", cls, config, image_shape, **given)
        refuse_unbuilt(cls, model)
    return model.to(memory_format=MEMORY_FORMAT)  # type: ignore[call-overload]  # missing in torch's stubs


class Trainer:
    """One model in training: its optimisers, generators and history, which a checkpoint holds whole.

    model: on its device already.
    images: the dataset for the same device.
    checkpoint: the file that `save` writes and that, where it is there, training resumes from.
    precision, mode: as in `numerics.Numerics`; `history.engine` says how the steps are really computed.
    """

    def __init__(
        self,
        model: Model,
        images: DeviceImages,
        config: ModelConfig,
        seed: int,
        trial: str,
        checkpoint: Path,
        precision: str = "float32",
        mode: str = "eager",
    ) -> None:
        self.model, self.images, self.config, self.trial, self.checkpoint = model, images, config, trial, checkpoint
        self.seed, self.precision, self.mode = seed, precision, mode
        self.players = guarded(type(model), "`players`", model.players)
        refuse_players(type(model), self.players)
        self.events = guarded(type(model), "`events`", model.events)
        optimisers = {name: self.new_optimiser(name) for name in self.players}
        rng = torch.Generator(model.device).manual_seed(derive_seed(seed, "train"))
        self.state = StepState(model, images, self.players, optimisers, config.batch_size, rng)
        self.history = History()
        self.step = 0
        self.compute: engine.Compute | None = None  # made at the first step, and anew where its tensors were replaced

    def train(
        self,
        intervals: Intervals,
        on_step: Callable[[int], None] = lambda step: None,
        on_start: Callable[[int], None] = lambda step: None,
        score: Callable[[Model, int], dict[str, Any]] | None = None,
        on_log: Callable[[int, dict[str, float]], None] = lambda step, row: None,
        until: int | None = None,
    ) -> None:
        """All of `steps` at once."""
        for step in self.steps(intervals, on_start, score, on_log, until):
            on_step(step)

    def steps(
        self,
        intervals: Intervals,
        on_start: Callable[[int], None] = lambda step: None,
        score: Callable[[Model, int], dict[str, Any]] | None = None,
        on_log: Callable[[int, dict[str, float]], None] = lambda step, row: None,
        until: int | None = None,
    ) -> Iterator[int]:
        """Train to the configuration's last step, or only to step `until`, from the checkpoint if there is one.

        Yields the number of each step that is done, so that several trainings can take turns; whoever lets them does
        owes each its own state of torch's global generators. Raises `Diverged` when a loss stops being finite. `score`
        gives a model's scores; it is called every `intervals.score` steps but not at the last one, which the trial
        scores itself. `on_start` is told the step that training starts from. Between two logs, scores or checkpoints
        the host waits for no result of the device.
        """
        torch.manual_seed(derive_seed(self.seed, "global"))  # for layers that draw from nothing else, as dropout does
        if self.checkpoint.exists():
            self.restore()
        self.model.train()
        on_start(self.step)
        started = time.perf_counter() - self.history.seconds
        begun = saved = time.perf_counter()
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
            if last or time.perf_counter() - saved >= intervals.until_checkpoint(saved - begun):
                self.check()
                self.history.seconds = time.perf_counter() - started
                self.save()
                saved = time.perf_counter()
            yield self.step
        if self.config.steps == 0:
            self.save()

    def update(self) -> Losses:
        """One step: the host's part, then the device's; returns the players' last losses, detached.

        A captured step returns the same tensors each time: read them before the next.
        """
        for player in self.events.get(self.step, ()):
            self.restart(player)
        self.state.number.fill_(self.step)
        if self.compute is None:
            self.compute, self.history.engine = engine.start(self.state, self.mode, self.precision, self.trial)
        return self.compute(self.state)

    def restart(self, player: str) -> None:
        """Give a player new weights and a new optimiser, the same ones in a resumed trial."""
        device = self.model.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive_seed(self.seed, "restart", self.step))
            self.model.reset(player)
        self.state.optimisers[player] = self.new_optimiser(player)
        self.compute = None

    def new_optimiser(self, player: str) -> torch.optim.Optimizer:
        """A player's optimiser before its first step."""
        made = self.players[player]
        optimiser = guarded(type(self.model), f"the optimiser of '{player}'", made.optimiser, made.parameters)
        if self.mode.startswith("captured") and self.model.device.type == "cuda":
            engine.make_capturable(optimiser)
        return optimiser

    def check(self) -> None:
        """Raise `Diverged` if any loss since the start was not finite."""
        if not self.state.healthy:
            raise Diverged(f"a loss was not a finite number at or before step {self.step} of {self.config.steps}")

    def diagnose(self) -> dict[str, float]:
        """The model's diagnostics, from a generator of their own; without those that are not finite numbers."""
        rng = torch.Generator(self.model.device).manual_seed(derive_seed(self.seed, "diagnostics", self.step))
        with evaluating(self.model):
            found = self.model.diagnostics(self.state.batch(rng), rng, self.state.number)
            values = {name: value.item() for name, value in found.items()}
        return {name: value for name, value in values.items() if math.isfinite(value)}

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "trial": self.trial,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.state.optimisers.items()},
            "rng": self.state.rng.get_state(),
            "global_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.model.device) if self.model.device.type == "cuda" else None,
            "history": vars(self.history),
        }
        write_checkpoint(self.checkpoint, state)

    def restore(self) -> None:
        """Continue from the checkpoint; `UserError` where it can't be read or is another trial's."""
        state = load_checkpoint(self.checkpoint, self.trial)  # an optimiser may count its steps on the CPU
        self.model.load_state_dict(state["model"])
        for name, optimiser in self.state.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.state.rng.set_state(state["rng"])
        torch.set_rng_state(state["global_rng"])
        if state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"], self.model.device)
        self.history = History(**state["history"])
        self.step = state["step"]
        self.state.number.fill_(self.step)
        self.compute = None


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
