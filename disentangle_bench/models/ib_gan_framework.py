"""The framework of IB-GAN's experiments, which GAN, InfoGAN and IB-GAN share.

    z ~ N(0, I),   r ~ e(r|z) = N(μ(z), diag σ²(z)),   x̂ = G(r),   ẑ = q(x),   D(x): a logit

Jeon, Lee, Pyeon, Kim: "IB-GAN: Disentangled Representation Learning with Information Bottleneck Generative
Adversarial Networks", AAAI 2021. Where the text and the official code differ, the code is followed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disentangle_bench.models import networks
from disentangle_bench.models.base import Batch, Model, Player, parameters_of
from disentangle_bench.models.ib_gan_config import FrameworkConfig


@dataclass(frozen=True)
class Round:
    """One forward pass through all networks."""

    z: Tensor  # (B, z_dim)
    mean: Tensor  # (B, r_dim), μ of e(r|z)
    log_variance: Tensor  # (B, r_dim), log σ² of e(r|z)
    z_hat: Tensor  # (B, z_dim), q of the noisy fakes
    fake_logits: Tensor  # (B, 1)
    real_logits: Tensor  # (B, 1)
    real_labels: Tensor | float = 1.0  # t, (B, 1) where they are drawn

    @property
    def discriminator_loss(self) -> Tensor:
        """L_D = BCE(D(x̂), 0) + BCE(D(x), t), where BCE(a, t) = softplus(−a) + (1 − t)·a for a logit a."""
        real = F.softplus(-self.real_logits) + (1 - self.real_labels) * self.real_logits
        return F.softplus(self.fake_logits).mean() + real.mean()

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
    code_range = (-2.0, 2.0)  # m(r) = N(0, I)
    config: FrameworkConfig

    def __init__(self, config: FrameworkConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.config = config
        channels, side = image_shape[0], networks.require_square(self.name, image_shape)
        shared = config.architecture == "b"
        embedding: dict[str, Any] = {"hidden": (64, 64, 32), "batch_norm": True} if shared else {}
        self.embedding = networks.Embedding(config.z_dim, config.r_dim, **embedding)
        self.generator = networks.generator_ab(config.r_dim, channels, side, config.ngf)
        self.front = (
            networks.front_b(channels, config.ndf) if shared else nn.Identity()
        )  # what D and q both look through
        if shared:
            self.reconstructor = networks.head_b(side, config.ndf, config.z_dim)
            self.discriminator = networks.head_b(side, config.ndf, 1)
            networks.init_orthogonal(self)
        else:
            self.reconstructor = networks.reconstructor_a(channels, side, config.ndf, config.z_dim)
            self.discriminator = networks.discriminator_a(channels, side, config.ndf)
            networks.init_normal(self)

    def players(self) -> dict[str, Player]:
        """D and its front against L_D; e, G and q against the generator's loss, which leaves the front as it is."""
        return {
            "discriminator": self.player(self.config.d_lr, self.front, self.discriminator),
            "generator": self.player(self.config.g_lr, self.embedding, self.generator, self.reconstructor),
        }

    def player(self, lr: float, *modules: nn.Module) -> Player:
        """These modules under the configuration's optimiser."""
        if self.config.optimiser == "rmsprop":
            return Player(parameters_of(*modules), partial(torch.optim.RMSprop, lr=lr, momentum=0.9))
        return Player(parameters_of(*modules), partial(torch.optim.Adam, lr=lr, betas=(0.5, 0.999)))

    def noise(self, step: Tensor) -> Tensor:
        """Instance noise σ_t: `noise_start` until `noise_first`, `noise_end` from `noise_steps` on, linear between."""
        c = self.config
        progress = ((step - c.noise_first) / (c.noise_steps - c.noise_first)).clamp(0.0, 1.0)
        return c.noise_start + (c.noise_end - c.noise_start) * progress

    def play(self, reals: Tensor, rng: torch.Generator, step: Tensor, detach: bool = False) -> Round:
        """One forward pass on reals (B, C, H, W); `detach` cuts q off from what made the fakes.

        D and q see fakes first, then reals, once each: batch norm's running statistics depend on that order. q's
        output on reals is not used, but its statistics are: it is q on clean reals that is scored in the end.
        """
        z, mean, log_variance, fakes = self.imagine(len(reals), rng)
        fakes = self.front(self.corrupt(fakes, rng, step))
        fake_logits = self.discriminator(fakes)
        z_hat = self.reconstructor(fakes.detach() if detach else fakes)
        reals = self.front(self.corrupt(reals, rng, step))
        real_logits = self.discriminator(reals)
        with torch.no_grad():
            self.reconstructor(reals)
        return Round(z, mean, log_variance, z_hat, fake_logits, real_logits, self.real_labels(real_logits, rng))

    def real_labels(self, logits: Tensor, rng: torch.Generator) -> Tensor | float:
        """t of L_D for each real, uniform between its bounds, as `logits`; where they are equal nothing is drawn."""
        low, high = self.config.real_label_low, self.config.real_label_high
        if low == high:
            return low
        return low + (high - low) * torch.rand(logits.shape, generator=rng, device=logits.device)

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
        return self.embedding(self.reconstructor(self.front(images)))[0]

    def generate(self, codes: Tensor) -> Tensor:
        """G(r)."""
        return self.generator(codes)

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """r from m(r) = N(0, I)."""
        return torch.randn(count, self.config.r_dim, generator=rng, device=self.device)

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """I^L and I^U, their parts, and KL by dimension, in nats, on 1,000 samples at the current noise level.

        I^L = H − D with H = Σ ½(z² + log 2π) and D = Σ ½((z − ẑ)² + log 2π). The official code uses 10,000 samples.
        """
        z, mean, log_variance, fakes = self.imagine(1_000, rng)
        fakes = self.front(self.corrupt(fakes, rng, step))
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
