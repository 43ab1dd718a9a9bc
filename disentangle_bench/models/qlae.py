"""QLAE: an autoencoder whose latents each have a few values, which are learned."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from disentangle_bench.models.ae import AE, SMALL, AEConfig
from disentangle_bench.models.base import Batch, Player
from disentangle_bench.models.quantised_networks import Quantised, Quantiser


class QLAEConfig(AEConfig):
    """The autoencoder's settings, and the quantisation's."""

    values: int = Field(10, gt=1, description="values of each latent")
    quantisation_weight: float = Field(0.01, ge=0, description="weight of (sg(ẑ) − q)², which moves values to codes")
    commitment_weight: float = Field(0.01, ge=0, description="weight of (ẑ − sg(q))², which moves codes to values")
    weight_decay: float = Field(0.1, ge=0, description="AdamW's")


class QLAE(AE):
    """Hsu et al. 2023's QLAE: BCE, the mean over pixels, + .01·E(sg(ẑ) − q)² + .01·E(ẑ − sg(q))², and weight decay.

    Each latent has ten values of its own, evenly from −½ to ½ at first. A code is the value q next to ẑ, and is decoded
    by the straight-through estimate ẑ + sg(q − ẑ). The values are moved by the first of the two terms alone, without
    clipping or decay. Drawn codes are uniform over the values, which is ours: there is no prior. The authors'
    weight decay for MPI3D is a hundredth of the others'.
    """

    name = "qlae"
    Config = QLAEConfig
    configurations: ClassVar = {
        "shapes3d": QLAEConfig(),
        "mpi3d-complex": QLAEConfig(latents=14, weight_decay=1e-3),
        "falcor3d": QLAEConfig(latents=14),
        "isaac3d": QLAEConfig(latents=18),
        "small": QLAEConfig(**SMALL),
    }
    config: QLAEConfig

    def __init__(self, config: QLAEConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.quantiser = Quantiser(config.latents, config.values)

    def players(self) -> dict[str, Player]:
        """Encoder, decoder and the latents' values together."""
        return {"autoencoder": self.player(self.encoder, self.decoder, self.quantiser)}

    def quantise(self, images: Tensor) -> Quantised:
        """ẑ and its values."""
        z_hat = self.encoder(images)
        return Quantised(z_hat, self.quantiser(z_hat))

    def losses(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """BCE in nats a pixel, and the two terms of quantisation."""
        done = self.quantise(batch.images)
        loss = (
            self.cross_entropy(batch.images, done.through)
            + self.config.quantisation_weight * done.quantisation
            + self.config.commitment_weight * done.commitment
        )
        return {"autoencoder": loss}

    def encode(self, images: Tensor) -> Tensor:
        """The values next to ẑ, (N, latents)."""
        return self.quantise(images).quantised

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """Each latent uniformly one of its values."""
        return self.quantiser.sample(count, rng).detach()

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """BCE a pixel of quantised codes, and the term of quantisation, on one batch."""
        done = self.quantise(batch.images)
        entropy = self.cross_entropy(batch.images, done.quantised)
        return {"cross_entropy": entropy, "quantisation": done.quantisation}
