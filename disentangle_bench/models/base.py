"""What a model must offer, so that one trainer serves them all.

A model says which parameters move together (`players`), what each player minimises (`losses`), what an image's code is
(`encode`) and what image a code stands for (`generate`). The trainer does the rest: sampling, optimisers, checkpoints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from disentangle_bench.settings import Settings


class ModelConfig(Settings):
    """Settings that every model has; a model's own `Config` adds its fields, with the paper's values as defaults."""

    steps: int = Field(ge=0, description="updates of each player; 0 leaves the network untrained")
    batch_size: int = Field(gt=1, description="images a step; batch normalisation needs two")


@dataclass(frozen=True)
class Batch:
    """What the trainer hands to `losses`."""

    images: Tensor  # (B, C, H, W), float32, in the model's image_range
    labels: Tensor | None = None  # int64 (B,), the images' classes; for a model that is `conditional`
    second: Tensor | None = None  # as images, drawn independently; for a model that `needs_second_batch`


@dataclass(frozen=True)
class Between:
    """A range that a search draws from, uniformly in the logarithm unless `log` is False."""

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True)
class Player:
    """Parameters that one optimiser moves against one loss."""

    parameters: list[nn.Parameter]
    optimiser: Callable[[list[nn.Parameter]], torch.optim.Optimizer]


def parameters_of(*modules: nn.Module) -> list[nn.Parameter]:
    """All parameters of these modules, in their order."""
    return [parameter for module in modules for parameter in module.parameters()]


class Model(nn.Module, ABC):
    """A generative model with an encoder.

    The constructor draws initial weights from torch's global generator, which the trainer seeds for it; from then on
    every random draw uses the generator that is passed, which is what makes a resumed trial equal an unbroken one.
    """

    registered_as: ClassVar[str] = "model"
    name: ClassVar[str]
    paper: ClassVar[str]
    code_source: ClassVar[str]
    """What produced the codes, a column of every table: "reconstructor", "recognition network", "encoder", "post-hoc
    encoder"; a conditional model's says "labels given" too."""
    image_range: tuple[float, float] = (-1.0, 1.0)  # of a class, or of an instance where its configuration says so
    code_range: tuple[float, float] | None = None
    """What traversals sweep of each code: the range of a uniform prior, two standard deviations to either side of a
    normal one; of a class, or of an instance. None: the middle 95 % of what `sample_codes` draws."""
    Config: ClassVar[type[ModelConfig]]
    configurations: ClassVar[Mapping[str, ModelConfig]]
    """Named settings; one named as a dataset is the published one for it, `small` is for studies on a CPU."""

    search_space: ClassVar[Mapping[str, Between | tuple[Any, ...]]] = {}
    """Fields of `Config` that a search varies: a range, or the values to choose from."""

    phases: ClassVar[tuple[str, ...]] = ("losses",)
    """The methods that make up one step, in their order; each gives the losses of the players that it moves.

    One phase moves all players from one forward pass. Where a paper updates in turn, or a player twice, there are more,
    and each sees the parameters that the one before it left. A name may stand twice.
    """
    version: ClassVar[int] = 1
    """Raised where the same configuration and seed come to train otherwise; part of a trial's identity from 2 on."""

    conditional: ClassVar[bool] = False
    """Whether the model is given class labels; its constructor then takes their number as `classes`."""

    @abstractmethod
    def __init__(self, config: Any, image_shape: tuple[int, int, int]) -> None:
        """Build the networks for images of (C, H, W); raise `UserError` for a shape that they can't take."""
        super().__init__()

    @property
    def needs_second_batch(self) -> bool:
        """Whether `Batch.second` is drawn."""
        return False

    @abstractmethod
    def players(self) -> dict[str, Player]:
        """The players by name. Each parameter that is trained belongs to exactly one."""

    def losses(self, batch: Any, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """Each player's loss, a scalar to be minimised, from one forward pass; so does every other method in `phases`.

        `batch` is what `begin` returned, a `Batch` unless the model says otherwise. Each loss is differentiated with
        respect to its own player's parameters alone, all of them before any optimiser steps. `step` counts from 1 and
        is an int64 tensor on the device: schedules are functions of it. No Python branch on a tensor's value, no
        `.item()`: the step must be capturable as a CUDA graph.
        """
        raise NotImplementedError(f"{self.name} defines neither `losses` nor `phases` of other names")

    def begin(self, batch: Batch, rng: torch.Generator, step: Tensor) -> Any:
        """What all phases of a step share, such as the noise that is drawn for it; by default the batch itself."""
        return batch

    def end(self, step: Tensor) -> None:
        """What a step changes after its last update, other than parameters; by default nothing.

        As in the phases: nothing of it reaches the host.
        """

    def events(self) -> Mapping[int, tuple[str, ...]]:
        """The players that start anew, with new weights and a new optimiser, before the step that is the key."""
        return {}

    def reset(self, player: str) -> None:
        """Draw this player's weights anew, from torch's global generator, which the trainer seeds for it."""
        raise NotImplementedError(f"{self.name} declares events, but not how '{player}' starts anew")

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Codes (N, D) of images (N, C, H, W) in `image_range`; deterministic; called in evaluation mode."""

    @abstractmethod
    def generate(self, codes: Tensor) -> Tensor:
        """Images (N, C, H, W) in `image_range` of codes (N, D) as `encode` gives them; in evaluation mode."""

    def code_groups(self) -> list[list[int]] | None:
        """The columns of each code where one code has several, as one-hot codes do; None: each column is a code."""
        return None

    def sample_images(self, codes: Tensor, rng: torch.Generator) -> Tensor:
        """As `generate`, but with what else an image depends on, such as noise or a class, drawn for each image.

        By default there is nothing else. ModelCentrality and estimates of information look at these.
        """
        return self.generate(codes)

    def generate_class(self, codes: Tensor, labels: Tensor) -> Tensor:
        """As `generate`, of these classes, int64 (N,): what a conditional model offers beside it."""
        raise NotImplementedError(f"{self.name} is given no labels, or does not say how it makes an image of a class")

    @abstractmethod
    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """Codes (count, D) from the prior, as `generate` takes them: where traversals start."""

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """Scalars worth a curve, in nats where they are information; called in evaluation mode without gradients.

        `batch` is drawn for this alone, as the trainer draws one for a step.
        """
        return {}

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device


def count_parameters(modules: nn.Module | Iterable[nn.Parameter]) -> int:
    """The number of trainable values."""
    parameters = modules.parameters() if isinstance(modules, nn.Module) else modules
    return sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
