"""QLInfoWGAN-GP: InfoWGAN-GP whose latents each have a few values, which are learned."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from disentangle_bench.models.base import Batch, Player
from disentangle_bench.models.infowgan_gp import InfoConfig, InfoWGANGP
from disentangle_bench.models.quantised_networks import Quantised, Quantiser
from disentangle_bench.models.wasserstein import FALCOR3D, MPI3D, SMALL, latent_loss


class QuantisedConfig(InfoConfig):
    """InfoWGAN-GP's settings, and the quantisation's."""

    values: int = Field(10, gt=1, description="values of each latent")
    quantisation_weight: float = Field(0.01, ge=0, description="weight of (sg(ẑ) − q)², which moves values to codes")
    commitment_weight: float = Field(0.01, ge=0, description="weight of (ẑ − sg(q))², which moves codes to values")
    weight_decay: float = Field(1e-3, ge=0, description="AdamW's")


class QLInfoWGANGP(InfoWGANGP):
    """Hsu et al. 2023's QLInfoWGAN-GP: InfoWGAN-GP with latent quantisation.

    Each latent has ten values of its own, evenly from −½ to ½ at first, and z is uniform over them. A code is the value
    q next to ẑ, by the straight-through estimate ẑ + sg(q − ẑ) in the latent loss, to which .01·E(sg(ẑ) − q)² and
    .01·E(ẑ − sg(q))² are added. G's optimiser moves the values, without clipping or decay.
    """

    name = "qlinfowgan-gp"
    code_range = None
    Config = QuantisedConfig
    configurations: ClassVar = {
        "shapes3d": QuantisedConfig(),
        "mpi3d-complex": QuantisedConfig(**MPI3D),
        "falcor3d": QuantisedConfig(**FALCOR3D, weight_decay=1e-4),
        "small": QuantisedConfig(**SMALL),
    }
    config: QuantisedConfig

    def __init__(self, config: QuantisedConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.quantiser = Quantiser(config.latents, config.values)

    def players(self) -> dict[str, Player]:
        """c with Q and what they share; G with the latents' values."""
        return super().players() | {"generator": self.player(self.generator, self.quantiser)}

    def latent_terms(self, z: Tensor, features: Tensor) -> Tensor:
        """200·E mean_d (ẑ_d + sg(q_d − ẑ_d) − z_d)², and the two terms of quantisation."""
        done = self.quantise(features)
        return (
            self.config.latent_weight * latent_loss(done.through, z)
            + self.config.quantisation_weight * done.quantisation
            + self.config.commitment_weight * done.commitment
        )

    def quantise(self, features: Tensor) -> Quantised:
        """ẑ and its values."""
        z_hat = self.recognition(features)
        return Quantised(z_hat, self.quantiser(z_hat))

    def encode(self, images: Tensor) -> Tensor:
        """The values next to ẑ, (N, latents)."""
        return self.quantise(self.trunk(images)).quantised

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Each latent uniformly one of its values, which the gradient reaches."""
        return self.quantiser.sample(count, rng)

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """Each latent uniformly one of its values."""
        return self.draw(count, rng).detach()

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """How many of 1,000 fakes' values are read back, by latent, the terms of latents, and the critic's means."""
        z = self.sample_codes(1_000, rng)
        fakes = self.imagine(z)
        done = self.quantise(self.trunk(fakes))
        right = (done.quantised == z).float().mean(dim=0)
        curves = {f"read_{d}": share for d, share in enumerate(right)}
        terms = {"latent_loss": latent_loss(done.quantised, z), "quantisation": done.quantisation}
        return curves | terms | self.critic_curves(fakes, batch.images)
