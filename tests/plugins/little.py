"""A little autoencoder without a fault; tests write it with one changed line each."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn

from disentangle_bench.models.base import Model, ModelConfig, Player, parameters_of


class Settings(ModelConfig):
    """Its budget, and a strength."""

    steps: int = 10
    batch_size: int = 8
    strength: float = 1.0


class Little(Model):
    """Two linear maps."""

    name, paper, code_source = "little", "none", "encoder"
    Config = Settings
    configurations = {"small": Settings()}

    def __init__(self, config, image_shape):
        super().__init__(config, image_shape)
        self.shape = image_shape
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(image_shape), 3))
        self.decoder = nn.Linear(3, math.prod(image_shape))

    def players(self):
        return {"both": Player(parameters_of(self.encoder, self.decoder), partial(torch.optim.Adam, lr=1e-2))}

    def losses(self, batch, rng, step):
        images = self.decoder(self.encoder(batch.images)).view_as(batch.images)
        return {"both": (images - batch.images).square().mean()}

    def encode(self, images):
        return self.encoder(images)

    def generate(self, codes):
        return self.decoder(codes).view(-1, *self.shape).tanh()

    def sample_codes(self, count, rng):
        return torch.randn(count, 3, generator=rng, device=self.device)
