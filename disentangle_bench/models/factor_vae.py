"""FactorVAE: a second network measures the total correlation, and the VAE is punished for it."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from disentangle_bench.models import vae_networks
from disentangle_bench.models.base import Batch, Between, Player, parameters_of
from disentangle_bench.models.vae_framework import SMALL, Pass, VAEConfig, VAEFramework


class FactorVAEConfig(VAEConfig):
    """The framework's settings and FactorVAE's own; Locatello et al. sweep γ over 10, 20, 30, 40, 50, 100.

    Their 300,000 steps count both networks' updates, and so are 150,000 of each.
    """

    steps: int = Field(150_000, ge=0, description="updates of each player")
    gamma: float = Field(10.0, ge=0, description="weight of the total correlation")
    permute_from: Literal["same-batch", "second-batch", "half-batch"] = Field(
        "same-batch",
        description="whose codes D sees permuted; half-batch: the second half's, and the VAE sees the first",
    )
    d_layers: int = Field(6, gt=0, description="hidden layers of D")
    d_width: int = Field(1_000, gt=0, description="units of a hidden layer of D")
    d_lr: float = Field(1e-4, gt=0, description="learning rate of D; Adam(.5, .9)")
    d_clip: float = Field(1e-6, ge=0, lt=0.5, description="D's probabilities are clipped to this and its complement")


KONNY = {"architecture": "kim", "init": "normal", "permute_from": "second-batch", "d_layers": 5, "d_clip": 0}
KIM_DSPRITES = KONNY | {"steps": 700_000, "gamma": 6.4}
LARGE = KONNY | {"architecture": "kim-256", "steps": 1_000_000, "d_lr": 1e-5}


class FactorVAE(VAEFramework):
    """Kim & Mnih 2018 ("Disentangling by Factorising"): Rec + KL + γ·E[l₀(z) − l₁(z)].

    D(z) are two logits: l₀, z was drawn from q(z), and l₁, from Π_d q(z_d), whose samples are z with each dimension
    permuted over a batch. Both networks' gradients come from one forward pass, as in Locatello et al.'s code; where the
    permuted codes come from a second batch, the paper encodes it after the VAE's update, and we before.

    `dsprites` is Locatello et al.'s at γ = 10 of their sweep. The others are 1Konny's, with a second batch as in the
    paper and a D of 5 layers: `kim-dsprites` and `kim-dsprites-gamma10`, `chairs` and `celeba`.
    """

    name = "factor-vae"
    search_space: ClassVar = VAEFramework.search_space | {"gamma": Between(1.0, 100.0)}
    paper = "Kim & Mnih 2018, ICML"
    Config = FactorVAEConfig
    configurations: ClassVar = {
        "dsprites": FactorVAEConfig(),
        "kim-dsprites": FactorVAEConfig.model_validate(KIM_DSPRITES),
        "kim-dsprites-gamma10": FactorVAEConfig.model_validate(KIM_DSPRITES | {"gamma": 10}),
        "chairs3d": FactorVAEConfig.model_validate(LARGE | {"gamma": 3.2}),
        "celeba": FactorVAEConfig.model_validate(LARGE | {"gamma": 6.4}),
        "small": FactorVAEConfig(**SMALL, d_layers=3, d_width=256, d_lr=1e-3),
    }
    config: FactorVAEConfig

    def __init__(self, config: FactorVAEConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.discriminator = vae_networks.tc_discriminator(config.z_dim, config.d_layers, config.d_width)
        vae_networks.initialise(self.discriminator, config.init)

    @property
    def needs_second_batch(self) -> bool:
        """Whether the permuted codes are another batch's."""
        return self.config.permute_from == "second-batch"

    def players(self) -> dict[str, Player]:
        """Encoder and decoder, and D."""
        adam = partial(torch.optim.Adam, lr=self.config.d_lr, betas=(0.5, 0.9))
        return super().players() | {"discriminator": Player(parameters_of(self.discriminator), adam)}

    def losses(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """Rec + KL + γ·E[l₀(z) − l₁(z)], and −½·(E log p₀(z) + E log p₁(z̃)) for D."""
        images, others = self.split(batch)
        done = self.infer(images, rng)
        with torch.no_grad():
            z = done.z if others is None else self.sample(others, rng)[2]
            z_tilde = permute(z, rng)
        joint, permuted = self.discriminator(done.z), self.discriminator(z_tilde)  # each (B, 2)
        return {
            "vae": done.reconstruction + done.kl + self.config.gamma * density_ratio(joint),
            "discriminator": -0.5 * (self.log_probability(joint, 0) + self.log_probability(permuted, 1)),
        }

    def split(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The VAE's images, and those whose codes are permuted; none: the same."""
        if self.config.permute_from == "half-batch":
            half = len(batch.images) // 2
            return batch.images[:half], batch.images[half : 2 * half]
        return batch.images, batch.second

    def log_probability(self, logits: Tensor, which: int) -> Tensor:
        """E log p, the softmax's probability of one class, clipped; the clip is done to its logarithm, which is safe.

        The logarithm grows with p, so both are the same, gradient included: none where it clips.
        """
        log_p = logits.log_softmax(dim=1)[:, which]  # (B,)
        if self.config.d_clip:
            log_p = log_p.clamp(math.log(self.config.d_clip), math.log1p(-self.config.d_clip))
        return log_p.mean()

    def own_diagnostics(self, done: Pass, step: Tensor) -> dict[str, Tensor]:
        """The total correlation as D sees it, in nats: E[l₀(z) − l₁(z)], right where D is optimal."""
        return {"density_ratio": density_ratio(self.discriminator(done.z))}


def density_ratio(logits: Tensor) -> Tensor:
    """E[l₀ − l₁] of D's logits (B, 2): log q(z) / Π_d q(z_d)."""
    return (logits[:, 0] - logits[:, 1]).mean()


def permute(z: Tensor, rng: torch.Generator) -> Tensor:
    """z (B, D) with each dimension permuted over the batch, independently of the others."""
    order = torch.rand(z.shape, generator=rng, device=z.device).argsort(dim=0)  # (B, D)
    return z.gather(0, order)
