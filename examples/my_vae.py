"""A β-VAE as a plugin: disentangle-bench run --plugin my_vae.py --models my-vae --dataset dsprites-circular"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from disentangle_bench.models.base import Model, ModelConfig, Player, parameters_of


class MyConfig(ModelConfig):
    steps: int = 2_000
    batch_size: int = 64
    beta: float = 4.0


class MyVAE(Model):
    name, paper, code_source = "my-vae", "Higgins et al. 2017", "encoder"
    image_range = (0.0, 1.0)
    Config = MyConfig
    configurations = {"small": MyConfig()}

    def __init__(self, config, image_shape):
        super().__init__(config, image_shape)
        self.beta, pixels = config.beta, math.prod(image_shape)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 256), nn.ReLU(), nn.Linear(256, 20))
        self.decoder = nn.Sequential(
            nn.Linear(10, 256), nn.ReLU(), nn.Linear(256, pixels), nn.Unflatten(1, image_shape)
        )

    def players(self):  # which parameters move, and their optimiser
        return {"vae": Player(parameters_of(self.encoder, self.decoder), torch.optim.Adam)}

    def losses(self, batch, rng, step):  # what each player minimises
        mean, log_var = self.encoder(batch.images).chunk(2, dim=1)  # each (B, 10)
        noise = torch.randn(mean.shape, generator=rng, device=mean.device)
        logits = self.decoder(mean + (0.5 * log_var).exp() * noise)  # (B, C, H, W)
        rec = F.binary_cross_entropy_with_logits(logits, batch.images, reduction="sum") / len(mean)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(dim=1).mean()
        return {"vae": rec + self.beta * kl}

    def encode(self, images):  # the codes that are scored
        return self.encoder(images)[:, :10]

    def generate(self, codes):
        return self.decoder(codes).sigmoid()

    def sample_codes(self, count, rng):  # from the prior
        return torch.randn(count, 10, generator=rng, device=self.device)
