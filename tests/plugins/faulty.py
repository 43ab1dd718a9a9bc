"""Models that go wrong in the ways that a suite must survive; the environment says when."""

from __future__ import annotations

import os
import time
import weakref
from functools import partial
from pathlib import Path

import torch
from torch import nn

from disentangle_bench.models.base import Model, ModelConfig, Player, parameters_of


class Settings(ModelConfig):
    """How this one goes wrong.

    only_unlucky: it crashes or diverges only where its first weight was drawn negative, as about every other seed's is.
    room: how many of its kind the device's memory holds; 0: any number.
    """

    steps: int = 20
    batch_size: int = 8
    crash_at: int = 0
    diverge_at: int = 0
    die_once_at: int = 0
    only_unlucky: bool = False
    room: int = 0
    pause: float = 0.0
    dropout: float = 0.0


class Faulty(Model):
    """A linear autoencoder that crashes, diverges or kills its own process at a given step."""

    name = "faulty"
    paper = "none"
    code_source = "encoder"
    Config = Settings
    configurations = {"small": Settings()}
    alive: weakref.WeakSet[Faulty] = weakref.WeakSet()

    def __init__(self, config: Settings, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.config, self.shape = config, image_shape
        size = image_shape[0] * image_shape[1] * image_shape[2]
        self.encoder = nn.Sequential(nn.Flatten(), nn.Dropout(config.dropout), nn.Linear(size, 4))
        self.decoder = nn.Linear(4, size)
        self.fails = not config.only_unlucky or self.encoder[2].weight[0, 0].item() < 0
        self.alive.add(self)

    def players(self):
        return {"both": Player(parameters_of(self.encoder, self.decoder), partial(torch.optim.Adam, lr=1e-2))}

    def losses(self, batch, rng, step):
        now = int(step)
        time.sleep(self.config.pause)
        if self.config.room and len(self.alive) > self.config.room:
            raise torch.OutOfMemoryError(f"planned: {len(self.alive)} models in memory")
        if self.fails and now == self.config.crash_at:
            raise ZeroDivisionError("planned crash")
        if now == self.config.die_once_at:
            mark = Path(os.environ["FAULTY_MARK"])
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), 9)
        codes = self.encoder(batch.images)
        loss = (self.decoder(codes).view_as(batch.images) - batch.images).square().mean()
        return {"both": loss / 0 if self.fails and now == self.config.diverge_at else loss}

    def encode(self, images):
        return self.encoder(images)

    def generate(self, codes):
        return self.decoder(codes).view(len(codes), *self.shape).tanh()

    def sample_codes(self, count, rng):
        return torch.randn(count, 4, generator=rng, device=self.device)
