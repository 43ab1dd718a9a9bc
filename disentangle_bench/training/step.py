"""One training step of any model: what it reads and writes, and the update itself, apart from the loop around it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from disentangle_bench.models.base import Batch, Model, Player
from disentangle_bench.models.declared import refuse_losses
from disentangle_bench.training.images import DeviceImages

Losses = dict[str, Tensor]  # by player, float32 ()


class StepState:
    """All that a step reads and writes; every tensor stays where it is, so that a step can be recorded and replayed.

    model, images: on the same device. players: the model's, by name, and optimisers: one for each.
    rng: every draw of a step. number: the step's number, int64 (), which schedules read. healthy: bool (), false from
    the first loss on that is not a finite number.
    """

    def __init__(
        self,
        model: Model,
        images: DeviceImages,
        players: Mapping[str, Player],
        optimisers: dict[str, torch.optim.Optimizer],
        batch_size: int,
        rng: torch.Generator,
    ) -> None:
        self.model, self.images, self.players, self.optimisers = model, images, players, optimisers
        self.batch_size, self.rng = batch_size, rng
        self.number = torch.zeros((), dtype=torch.int64, device=model.device)
        self.healthy = torch.ones((), dtype=torch.bool, device=model.device)

    def advance(self, batch: Batch | None = None) -> Losses:
        """The device's part of a step: all its phases, each from one forward pass; the players' losses, detached.

        No number of it reaches the host. batch: drawn here unless it is given.
        """
        shared = self.model.begin(self.batch(self.rng) if batch is None else batch, self.rng, self.number)
        detached: Losses = {}
        for count, phase in enumerate(self.model.phases, start=1):
            losses = getattr(self.model, phase)(shared, self.rng, self.number)
            refuse_losses(type(self.model), phase, losses, self.players)
            for left, name in zip(reversed(range(len(losses))), losses, strict=True):
                parameters = self.players[name].parameters
                needed = left > 0 or count < len(self.model.phases)  # phases may share what `begin` computed
                gradients = torch.autograd.grad(losses[name], parameters, retain_graph=needed)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = laid_out_like(parameter, gradient)
            for name, loss in losses.items():
                self.optimisers[name].step()
                detached[name] = loss.detach()
            self.healthy &= torch.stack([detached[name] for name in losses]).isfinite().all()
        self.model.end(self.number)
        return detached

    def batch(self, rng: torch.Generator) -> Batch:
        """Images drawn with replacement, uniformly unless the dataset has weights, and what else the model asks for."""
        index = self.draw(rng)
        labels = self.images.labels[index] if self.model.conditional else None
        second = self.images.drawn(self.draw(rng), rng) if self.model.needs_second_batch else None
        return Batch(self.images.drawn(index, rng), labels, second)

    def draw(self, rng: torch.Generator) -> Tensor:
        """Row indices of one batch, int64 (B,)."""
        return self.images.draw(self.batch_size, rng)


def laid_out_like(parameter: Tensor, gradient: Tensor) -> Tensor:
    """A gradient with its parameter's strides on CUDA, where optimisers need that to take many tensors at once."""
    if parameter.device.type != "cuda" or gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
