"""InfoGAN (modified): Lin et al.'s InfoGAN with spectral norm, and the networks that InfoGAN-CR shares with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from disentangle_bench.models import infogan_cr_celeba as celeba
from disentangle_bench.models import tensorflow1
from disentangle_bench.models.adversarial import (
    UNIFORM_ENTROPY,
    gaussian_information,
    halvings,
    information_curves,
    squared_error,
    uniform,
)
from disentangle_bench.models.base import Batch, Between, Model, ModelConfig, Player, parameters_of
from disentangle_bench.models.infogan_cr_config import CELEBA, CIRCULAR, TEAPOT, ModifiedConfig
from disentangle_bench.models.infogan_cr_networks import LEAK, generator, normalised, trunk
from disentangle_bench.models.tensorflow1 import LeakyReLU, discriminator_loss, generator_loss


@dataclass(frozen=True)
class Pairs:
    """Latents (c, z) of two images each, with the same noise and one equal code."""

    first: Tensor  # (B, code_dim + noise_dim)
    second: Tensor  # (B, code_dim + noise_dim)
    equal: Tensor  # int64 (B,), which code is equal


@dataclass(frozen=True)
class Draws:
    """What the phases of one step share: images and latents, but no network's output."""

    reals: Tensor  # (B, C, H, W)
    latents: Tensor  # (B, code_dim + noise_dim), (c, z)
    codes: Tensor  # (B, code_dim), c
    pairs: Pairs  # for InfoGAN-CR


class InfoGANModified(Model):
    """Lin et al. 2020's InfoGAN for dSprites: each step moves D with Q once, then G twice, on the same draws.

    L_D = −log D(x) − log(1 − D(x̂)) + λ·NLL,   L_G = −log D(x̂) + λ·NLL,   NLL = −Σ_i log N(c_i; q_i(x̂), 1)

    The official run of InfoGAN-CR is this model until its regulariser sets in. So it is here, to the byte of a code,
    for which the pairs that the regulariser needs are drawn here too. Each step is that of their TensorFlow code, whose
    spectral norm, leaky ReLU, Adam and floor under probabilities are not torch's: see `tensorflow1`. What is torch's is
    batch norm's moving variance. Other images than a layout's own, 64×64 or for CelebA 32×32, have more or fewer
    layers. `small` is ours: half the width, a budget of minutes, and a λ that makes up for it, chosen in four runs on
    seed 0. Version 1, up to 0.2.0, had torch's arithmetic, and batch norm's weights began at N(1, 0.02²) instead of 1.
    """

    name = "infogan-modified"
    paper = "Lin et al. 2020 (InfoGAN-CR), ICML"
    version = 2
    code_source = "recognition network"
    search_space: ClassVar = {
        "information_weight": Between(0.01, 1.0), "d_lr": Between(2e-4, 5e-3), "g_lr": Between(1e-4, 5e-3),
    }  # fmt: skip
    image_range = (0.0, 1.0)
    code_range = (-1.0, 1.0)  # c ~ U(−1, 1)
    Config: ClassVar[type[ModelConfig]] = ModifiedConfig
    configurations: ClassVar = {
        "dsprites": ModifiedConfig(),
        "dsprites-circular": ModifiedConfig(**CIRCULAR, steps=216_000),
        "teapot": ModifiedConfig(**TEAPOT, steps=50_000),
        "celeba-infogan-cr": ModifiedConfig(**CELEBA, steps=80_000),
        "small": ModifiedConfig(steps=2_000, width=16, information_weight=0.3),
    }
    phases: ClassVar[tuple[str, ...]] = ("discriminator_losses", "generator_losses", "generator_losses")
    config: ModifiedConfig
    still: Tensor  # (1, noise_dim), z of the images that codes stand for

    def __init__(self, config: ModifiedConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.config = config
        times, side = halvings(self.name, image_shape)
        channels, latent, n = image_shape[0], config.code_dim + config.noise_dim, config.width
        if config.layout == "celeba":
            self.image_range = (-1.0, 1.0)
            features = celeba.features(times, side, n)
            self.generator = celeba.generator(latent, channels, times, side, n)
            self.shared = celeba.trunk(channels, times, n)
            self.discriminator = normalised(nn.Linear(features, 1))
            self.recognition = normalised(nn.Linear(features, config.code_dim))
        else:
            self.generator = generator(latent, channels, times, side, n)
            self.shared = trunk(channels, times, side, n)
            self.discriminator = normalised(nn.Linear(4 * n, 1))
            self.recognition = nn.Sequential(
                normalised(nn.Linear(4 * n, 4 * n)),
                LeakyReLU(LEAK),
                normalised(nn.Linear(4 * n, config.code_dim)),
            )
        self.register_buffer("still", torch.rand(1, config.noise_dim) * 2 - 1)

    def players(self) -> dict[str, Player]:
        """D with Q and what they share; G."""
        d = parameters_of(self.shared, self.discriminator, self.recognition)
        return {
            "discriminator": self.player(self.config.d_lr, d),
            "generator": self.player(self.config.g_lr, [*self.generator.parameters()]),
        }

    def player(self, lr: float, parameters: list[nn.Parameter]) -> Player:
        """These parameters under TensorFlow's Adam."""
        return Player(parameters, partial(tensorflow1.Adam, lr=lr, betas=(0.5, 0.999)))

    def begin(self, batch: Batch, rng: torch.Generator, step: Tensor) -> Draws:
        """c and z, and a pair of latents of which one code is equal."""
        count = len(batch.images)
        codes, noise = self.sample_codes(count, rng), uniform(count, self.config.noise_dim, rng, self.device)
        return Draws(batch.images, torch.cat([codes, noise], dim=1), codes, self.draw_pairs(count, rng))

    def draw_pairs(self, count: int, rng: torch.Generator) -> Pairs:
        """Pairs whose equal code is drawn uniformly; their noise is the same, the other codes are independent."""
        equal = torch.randint(self.config.code_dim, (count, 1), generator=rng, device=self.device)
        first, other = self.sample_codes(count, rng), self.sample_codes(count, rng)
        second = other.scatter(1, equal, first.gather(1, equal))
        noise = uniform(count, self.config.noise_dim, rng, self.device)
        return Pairs(torch.cat([first, noise], dim=1), torch.cat([second, noise], dim=1), equal.squeeze(1))

    def discriminator_losses(self, draws: Draws, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_D of D and Q."""
        with torch.no_grad():
            fakes = self.generator(draws.latents)
        real_logits = self.discriminator(self.shared(draws.reals))
        features = self.shared(fakes)
        nll = self.nll(draws.codes, features)
        return {
            "discriminator": discriminator_loss(real_logits, self.discriminator(features))
            + self.config.information_weight * nll
        }

    def generator_losses(self, draws: Draws, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_G."""
        features = self.shared(self.generator(draws.latents))
        nll = self.nll(draws.codes, features)
        return {"generator": generator_loss(self.discriminator(features)) + self.config.information_weight * nll}

    def end(self, step: Tensor) -> None:
        """The vectors of spectral norm move on, with the weights that the step has left."""
        tensorflow1.iterate(self)

    def nll(self, codes: Tensor, features: Tensor) -> Tensor:
        """−E Σ_i log N(c_i; q_i, 1), in nats."""
        return squared_error(codes, self.recognition(features)) + 0.5 * self.config.code_dim * math.log(2 * math.pi)

    def encode(self, images: Tensor) -> Tensor:
        """Q's means, (N, code_dim)."""
        return self.recognition(self.shared(images))

    def generate(self, codes: Tensor) -> Tensor:
        """G(c, z) with one z for all, drawn with the initial weights."""
        return self.generator(torch.cat([codes, self.still.expand(len(codes), -1)], dim=1))

    def sample_images(self, codes: Tensor, rng: torch.Generator) -> Tensor:
        """G(c, z) with a z for each."""
        return self.generator(torch.cat([codes, uniform(len(codes), self.config.noise_dim, rng, self.device)], dim=1))

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """c ~ U(−1, 1)."""
        return uniform(count, self.config.code_dim, rng, self.device)

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """A lower bound on I(c_d; x̂) for each d, and Q's NLL, in nats, on 1,000 samples."""
        codes, noise = self.sample_codes(1_000, rng), uniform(1_000, self.config.noise_dim, rng, self.device)
        features = self.shared(self.generator(torch.cat([codes, noise], dim=1)))
        bounds = gaussian_information(UNIFORM_ENTROPY, codes, self.recognition(features))
        curves = information_curves({str(d): bound for d, bound in enumerate(bounds)})
        return curves | {"nll": self.nll(codes, features), "fake_logit": self.discriminator(features).mean()}
