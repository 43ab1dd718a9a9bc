"""A model whose step has three phases, an event and a second batch, and that keeps a diary of what it saw."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from disentangle_bench.models.base import Batch, Model, ModelConfig, Player


class Settings(ModelConfig):
    """When `fresh` starts anew; 0: never."""

    steps: int = 12
    batch_size: int = 8
    restart_at: int = 0


class Turns(Model):
    """`steady` and `fresh` move in turn, `steady` twice; each phase notes the parameters that it found."""

    name = "turns"
    paper = "none"
    code_source = "encoder"
    conditional = True
    Config = Settings
    configurations = {"small": Settings()}
    phases = ("one", "two", "one")

    def __init__(self, config: Settings, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, image_shape)
        self.config, self.classes, self.shape = config, classes, image_shape
        self.steady = nn.Linear(image_shape[1] * image_shape[2], 2)
        self.fresh = nn.Linear(2, image_shape[1] * image_shape[2])
        self.diary: list[tuple[str, torch.Tensor, torch.Tensor]] = []
        self.batches: list[Batch] = []

    @property
    def needs_second_batch(self):
        return True

    def players(self):
        adam = partial(torch.optim.Adam, lr=1e-2)
        return {name: Player([*getattr(self, name).parameters()], adam) for name in ("steady", "fresh")}

    def begin(self, batch, rng, step):
        self.batches.append(batch)
        noise = torch.rand(len(batch.images), 2, generator=rng, device=self.device)
        return batch, noise, self.fresh(noise)  # a graph that the phases use

    def one(self, shared, rng, step):
        batch, noise, made = shared
        self.note("one")
        guess = self.steady(made.detach()) - noise
        return {"steady": guess.square().mean() + self.steady(batch.second.flatten(1)).square().mean()}

    def two(self, shared, rng, step):
        batch, noise, made = shared
        self.note("two")
        return {"fresh": (made - batch.images.flatten(1)).square().mean() + (self.steady(made) - noise).square().mean()}

    def note(self, phase):
        self.diary.append((phase, self.steady.weight.detach().clone(), self.fresh.weight.detach().clone()))

    def events(self):
        return {self.config.restart_at: ("fresh",)} if self.config.restart_at else {}

    def reset(self, player):
        getattr(self, player).reset_parameters()

    def encode(self, images):
        return torch.cat([self.steady(images.flatten(1)), self.fresh.weight[:1].expand(len(images), -1)], dim=1)

    def generate(self, codes):
        return self.fresh(codes[:, :2]).view(-1, *self.shape)

    def sample_codes(self, count, rng):
        return torch.randn(count, 4, generator=rng, device=self.device)
