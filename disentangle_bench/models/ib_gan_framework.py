"""The framework of IB-GAN's dSprites experiments, which GAN, InfoGAN and IB-GAN share.

    z ~ N(0, I),   r ~ e(r|z) = N(μ(z), diag σ²(z)),   x̂ = G(r),   ẑ = q(x),   D(x): a logit

Jeon, Lee, Pyeon, Kim: "IB-GAN: Disentangled Representation Learning with Information Bottleneck Generative
Adversarial Networks", AAAI 2021. Where the text and the official code differ, the code is followed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from disentangle_bench.models import networks
from disentangle_bench.models.base import Batch, Model, ModelConfig, Player, parameters_of


class FrameworkConfig(ModelConfig):
    """Settings of the framework; the defaults are the official ones for dSprites."""

    steps: int = Field(150_000, ge=0, description="updates of each player")
    batch_size: int = Field(64, gt=1, description="images a step")
    ngf: int = Field(16, gt=0, description="width of G")
    ndf: int = Field(16, gt=0, description="width of D and q")
    z_dim: int = Field(16, gt=0, description="dimensions of z")
    r_dim: int = Field(10, gt=0, description="dimensions of r, which are the code's")
    gamma: float = Field(1.0, ge=0, description="weight of the generator's adversarial loss")
    optimiser: Literal["rmsprop", "adam"] = Field("rmsprop", description="RMSprop(momentum .9) or Adam(.5, .999)")
    d_lr: float = Field(1e-6, gt=0, description="learning rate of D")
    g_lr: float = Field(5e-5, gt=0, description="learning rate of e, G and q")
    noise_start: float = Field(1.0, ge=0, description="instance noise σ at step 1")
    noise_end: float = Field(0.0, ge=0, description="instance noise σ from step `noise_steps` on")
    noise_steps: int = Field(100_000, gt=1, description="steps over which σ falls linearly")


SMALL = {
    "steps": 2_500,
    "ngf": 8,
    "ndf": 8,
    "optimiser": "adam",
    "d_lr": 1e-4,
    "g_lr": 1e-3,
    "noise_start": 0.5,
    "noise_steps": 1_000,
}
"""Ours, for studies on a CPU: half the width, Adam at higher rates, and noise that fades within the short budget."""


@dataclass(frozen=True)
class Round:
    """One forward pass through all networks."""

    z: Tensor  # (B, z_dim)
    mean: Tensor  # (B, r_dim), μ of e(r|z)
    log_variance: Tensor  # (B, r_dim), log σ² of e(r|z)
    z_hat: Tensor  # (B, z_dim), q of the noisy fakes
    fake_logits: Tensor  # (B, 1)
    real_logits: Tensor  # (B, 1)

    @property
    def discriminator_loss(self) -> Tensor:
        """L_D = BCE(D(x̂), 0) + BCE(D(x), 1)."""
        return F.softplus(self.fake_logits).mean() + F.softplus(-self.real_logits).mean()

    @property
    def generator_loss(self) -> Tensor:
        """L_G = BCE(D(x̂), 1), the non-saturating form."""
        return F.softplus(-self.fake_logits).mean()

    @property
    def information_lower(self) -> Tensor:
        """I^L = E Σ_d ½[z_d² − (z_d − ẑ_d)²] ≤ I(Z; X), in nats: unit-variance q, so the log 2π terms cancel."""
        return 0.5 * (self.z.square() - (self.z - self.z_hat).square()).sum(dim=1).mean()

    @property
    def kl(self) -> Tensor:
        """KL(e(r|z) ‖ N(0, I)) by dimension, (r_dim,), in nats."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).mean(dim=0)

    @property
    def information_upper(self) -> Tensor:
        """I^U = E KL(e(r|z) ‖ N(0, I)) ≥ I(Z; R), in nats."""
        return self.kl.sum()


class Framework(Model):
    """Networks, one forward pass, the code and the curves; each model adds who minimises what."""

    paper = "Jeon et al. 2021 (IB-GAN), AAAI"
    config: FrameworkConfig

    def __init__(self, config: FrameworkConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.config = config
        channels, side = image_shape[0], networks.require_square(self.name, image_shape)
        self.embedding = networks.Embedding(config.z_dim, config.r_dim)
        self.generator = networks.generator_a(config.r_dim, channels, side, config.ngf)
        self.reconstructor = networks.reconstructor_a(channels, side, config.ndf, config.z_dim)
        self.discriminator = networks.discriminator_a(channels, side, config.ndf)
        networks.init_normal(self)

    def players(self) -> dict[str, Player]:
        """D against L_D; e, G and q together against the generator's loss."""
        return {
            "discriminator": self.player(self.config.d_lr, self.discriminator),
            "generator": self.player(self.config.g_lr, self.embedding, self.generator, self.reconstructor),
        }

    def player(self, lr: float, *modules: nn.Module) -> Player:
        """These modules under the configuration's optimiser."""
        if self.config.optimiser == "rmsprop":
            return Player(parameters_of(*modules), partial(torch.optim.RMSprop, lr=lr, momentum=0.9))
        return Player(parameters_of(*modules), partial(torch.optim.Adam, lr=lr, betas=(0.5, 0.999)))

    def noise(self, step: Tensor) -> Tensor:
        """Instance noise σ_t: linear from `noise_start` at t = 1 to `noise_end` at t = `noise_steps`, then constant."""
        c = self.config
        progress = ((step - 1) / (c.noise_steps - 1)).clamp(0.0, 1.0)
        return c.noise_start + (c.noise_end - c.noise_start) * progress

    def play(self, reals: Tensor, rng: torch.Generator, step: Tensor, detach: bool = False) -> Round:
        """One forward pass on reals (B, C, H, W); `detach` cuts q off from what made the fakes.

        D and q see fakes first, then reals, once each: batch norm's running statistics depend on that order. q's
        output on reals is not used, but its statistics are: it is q on clean reals that is scored in the end.
        """
        z, mean, log_variance, fakes = self.imagine(len(reals), rng)
        fakes = self.corrupt(fakes, rng, step)
        fake_logits = self.discriminator(fakes)
        z_hat = self.reconstructor(fakes.detach() if detach else fakes)
        reals = self.corrupt(reals, rng, step)
        real_logits = self.discriminator(reals)
        with torch.no_grad():
            self.reconstructor(reals)
        return Round(z, mean, log_variance, z_hat, fake_logits, real_logits)

    def imagine(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """z, μ(z), log σ²(z) and x̂ = G(r) of `count` samples."""
        z = torch.randn(count, self.config.z_dim, generator=rng, device=self.device)
        mean, log_variance = self.embedding(z)
        epsilon = torch.randn(mean.shape, generator=rng, device=self.device)
        r = mean + (0.5 * log_variance).exp() * epsilon
        return z, mean, log_variance, self.generator(r)

    def corrupt(self, images: Tensor, rng: torch.Generator, step: Tensor) -> Tensor:
        """Images plus N(0, σ_t²), clamped to [-1, 1]; at σ_t = 0 the clamp changes nothing, images lie within."""
        noise = torch.randn(images.shape, generator=rng, device=images.device)
        return (images + self.noise(step) * noise).clamp(-1.0, 1.0)

    def encode(self, images: Tensor) -> Tensor:
        """r_μ = μ(q(x)), (N, r_dim): the mean of the bottleneck for the reconstructed z."""
        return self.embedding(self.reconstructor(images))[0]

    def generate(self, codes: Tensor) -> Tensor:
        """G(r)."""
        return self.generator(codes)

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """r from m(r) = N(0, I)."""
        return torch.randn(count, self.config.r_dim, generator=rng, device=self.device)

    def diagnostics(self, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """I^L and I^U, their parts, and KL by dimension, in nats, on 1,000 samples at the current noise level.

        I^L = H − D with H = Σ ½(z² + log 2π) and D = Σ ½((z − ẑ)² + log 2π). The official code uses 10,000 samples.
        """
        z, mean, log_variance, fakes = self.imagine(1_000, rng)
        fakes = self.corrupt(fakes, rng, step)
        logits = self.discriminator(fakes)
        round = Round(z, mean, log_variance, self.reconstructor(fakes), logits, logits)
        entropy = 0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=1).mean()
        curves = {
            "information_lower": round.information_lower,
            "information_upper": round.information_upper,
            "entropy_z": entropy,
            "distortion_z": entropy - round.information_lower,
            "fake_logit": logits.mean(),
            "noise": self.noise(step),
        }
        return curves | {f"kl_{d}": value for d, value in enumerate(round.kl)}


class InformationModel(Framework):
    """InfoGAN and IB-GAN: one generator loss with the information terms in it."""

    code_source = "reconstructor"

    def information_loss(self, lower: Tensor, upper: Tensor) -> Tensor:
        """What the information terms add to the generator's loss."""
        raise NotImplementedError

    def losses(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_D, and L_GR = γ·L_G + the information terms."""
        round = self.play(batch.images, rng, step)
        information = self.information_loss(round.information_lower, round.information_upper)
        return {
            "discriminator": round.discriminator_loss,
            "generator": self.config.gamma * round.generator_loss + information,
        }
