"""InfoWGAN-GP: a Wasserstein GAN whose latents are read back from its images by the critic's trunk."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from disentangle_bench.models.adversarial import gaussian_information, information_curves
from disentangle_bench.models.base import Batch, Between, Player
from disentangle_bench.models.wasserstein import (
    CODE_ENTROPY,
    FALCOR3D,
    MPI3D,
    SMALL,
    WassersteinConfig,
    WassersteinGAN,
    latent_loss,
)


class InfoConfig(WassersteinConfig):
    """WGAN-GP's settings, and the latents'."""

    latent_weight: float = Field(200.0, ge=0, description="weight of the latent loss, in both players' losses")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW's")


class InfoWGANGP(WassersteinGAN):
    """Hsu et al. 2023's InfoWGAN-GP: L_c and L_G of WGAN-GP, and 200·E mean_d (ẑ_d − z_d)² in both, on fakes.

    ẑ is a linear map of the features that the critic has, too; z ~ U(0, 1). Each step moves c with Q five times, on new
    images and new latents, then G once.
    """

    name = "infowgan-gp"
    code_source = "recognition network"
    search_space: ClassVar = {**WassersteinGAN.search_space, "latent_weight": Between(1.0, 1000.0)}
    Config: ClassVar[type[WassersteinConfig]] = InfoConfig
    configurations: ClassVar[Any] = {
        "shapes3d": InfoConfig(),
        "mpi3d-complex": InfoConfig(**MPI3D),
        "falcor3d": InfoConfig(**FALCOR3D),
        "small": InfoConfig(**SMALL),
    }
    config: InfoConfig

    def __init__(self, config: InfoConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.recognition = nn.Linear(config.hidden[-1], config.latents)

    def players(self) -> dict[str, Player]:
        """c with Q and what they share; G."""
        return {
            "critic": self.player(self.trunk, self.critic, self.recognition),
            "generator": self.player(self.generator),
        }

    def latent_terms(self, z: Tensor, features: Tensor) -> Tensor:
        """200·E mean_d (ẑ_d − z_d)²."""
        return self.config.latent_weight * latent_loss(self.recognition(features), z)

    def encode(self, images: Tensor) -> Tensor:
        """ẑ, (N, latents)."""
        return self.recognition(self.trunk(images))

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """A lower bound on I(z_d; x̂) for each d, in nats, the latent loss, and the critic's means, of 1,000 fakes."""
        z = self.sample_codes(1_000, rng)
        fakes = self.imagine(z)
        z_hat = self.encode(fakes)
        bounds = gaussian_information(CODE_ENTROPY, z, z_hat)
        curves = information_curves({str(d): bound for d, bound in enumerate(bounds)})
        return curves | {"latent_loss": latent_loss(z_hat, z)} | self.critic_curves(fakes, batch.images)
