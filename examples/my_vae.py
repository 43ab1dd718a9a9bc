"""A β-VAE as a plugin: disentangle-bench run --plugin examples/my_vae.py --models my-vae --dataset dsprites-32"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from disentangle_bench.models.base import Model, ModelConfig, Player, parameters_of


class MyConfig(ModelConfig):
    steps: int = 2_000
    batch_size: int = 64
    code_dim: int = Field(10, gt=0)
    beta: float = Field(4.0, ge=0)
    lr: float = Field(1e-3, gt=0)


class MyVAE(Model):
    name, paper, code_source = "my-vae", "Higgins et al. 2017", "encoder"
    image_range = (0.0, 1.0)
    Config = MyConfig
    configurations = {"small": MyConfig(), "vae": MyConfig(beta=1.0)}

    def __init__(self, config, image_shape):
        super().__init__(config, image_shape)
        self.config, pixels = config, math.prod(image_shape)
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, 256), nn.ReLU(), nn.Linear(256, 2 * config.code_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.code_dim, 256), nn.ReLU(), nn.Linear(256, pixels), nn.Unflatten(1, image_shape)
        )

    def players(self):
        adam = partial(torch.optim.Adam, lr=self.config.lr)
        return {"vae": Player(parameters_of(self.encoder, self.decoder), adam)}

    def losses(self, batch, rng, step):
        mean, log_var = self.encoder(batch.images).chunk(2, dim=1)  # each (B, code_dim)
        noise = torch.randn(mean.shape, generator=rng, device=mean.device)
        logits = self.decoder(mean + (0.5 * log_var).exp() * noise)  # (B, C, H, W)
        rec = F.binary_cross_entropy_with_logits(logits, batch.images, reduction="sum") / len(mean)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(dim=1).mean()
        return {"vae": rec + self.config.beta * kl}

    def encode(self, images):
        return self.encoder(images)[:, : self.config.code_dim]

    def generate(self, codes):
        return self.decoder(codes).sigmoid()

    def sample_codes(self, count, rng):
        return torch.randn(count, self.config.code_dim, generator=rng, device=self.device)
