"""An autoencoder in the networks of Hsu et al.'s latent quantisation: what QLAE is without quantisation."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from disentangle_bench.models import quantised_networks as networks
from disentangle_bench.models.adversarial import halvings
from disentangle_bench.models.base import Batch, Between, Model, ModelConfig, Player, parameters_of

MOMENTUM = 0.01  # of the codes' running mean and variance


class AEConfig(ModelConfig):
    """Settings; the defaults are those of the authors' code for Shapes3D."""

    steps: int = Field(200_000, ge=0, description="updates")
    batch_size: int = Field(128, gt=1, description="images a step")
    latents: int = Field(12, gt=0, description="dimensions of the code: twice the factors")
    width: int = Field(32, gt=0, description="channels of the first convolutions; doubled at each halving")
    blocks: int = Field(3, gt=0, description="convolutions at each size of image")
    hidden: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (256, 256), min_length=1, description="widths of dense layers"
    )
    lr: float = Field(1e-3, gt=0, description="learning rate; AdamW(.9, .999), biases by Adam")
    weight_decay: float = Field(1e-3, ge=0, description="AdamW's")
    clip: float = Field(1.0, gt=0, description="bound of each element of a weight's gradient")


SMALL: dict[str, Any] = {
    "steps": 3_000, "batch_size": 64, "latents": 10, "width": 8, "blocks": 1, "hidden": (64,)
}  # fmt: skip
"""Ours, for studies on a CPU: one convolution at each size, narrow; the authors' rate."""


class AE(Model):
    """Hsu et al. 2023's autoencoder: binary cross-entropy, the mean over pixels, and weight decay; nothing else.

    It has no prior. Where codes are drawn, they are normal with the running mean and variance of each code, which is
    ours; so are the traversals' ends.
    """

    name = "ae"
    paper = "Hsu et al. 2023 (latent quantisation), NeurIPS"
    code_source = "encoder"
    image_range = (0.0, 1.0)
    search_space: ClassVar = {"lr": Between(1e-4, 3e-3), "weight_decay": Between(1e-4, 1.0)}
    Config: ClassVar[type[AEConfig]] = AEConfig
    configurations: ClassVar[Any] = {
        "shapes3d": AEConfig(),
        "mpi3d-complex": AEConfig(latents=14),
        "small": AEConfig(**SMALL),
    }
    config: AEConfig
    mean: Tensor  # (latents,), of codes in training
    variance: Tensor  # (latents,)

    def __init__(self, config: AEConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.config = config
        times, side = halvings(self.name, image_shape)
        layout = (image_shape[0], times, side, config.width, config.blocks, config.hidden)
        self.encoder = nn.Sequential(networks.trunk(*layout), nn.Linear(config.hidden[-1], config.latents))
        self.decoder = networks.StyleGenerator(config.latents, *layout)
        self.register_buffer("mean", torch.zeros(config.latents))
        self.register_buffer("variance", torch.ones(config.latents))

    def players(self) -> dict[str, Player]:
        """Encoder and decoder together."""
        return {"autoencoder": self.player(self.encoder, self.decoder)}

    def player(self, *modules: nn.Module) -> Player:
        """These modules under the authors' optimiser."""
        c = self.config
        return Player(parameters_of(*modules), networks.optimiser(modules, c.lr, (0.9, 0.999), c.weight_decay, c.clip))

    def losses(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """BCE of images and their reconstructions, in nats a pixel."""
        z_hat = self.encoder(batch.images)
        self.follow(z_hat)
        return {"autoencoder": self.cross_entropy(batch.images, z_hat)}

    def cross_entropy(self, images: Tensor, codes: Tensor) -> Tensor:
        """E −[x log x̂ + (1 − x) log(1 − x̂)], the mean over pixels."""
        return F.binary_cross_entropy_with_logits(self.decoder(codes), images)

    @torch.no_grad()
    def follow(self, codes: Tensor) -> None:
        """The running mean and variance of codes move on."""
        variance, mean = torch.var_mean(codes, dim=0, correction=0)
        self.mean.lerp_(mean, MOMENTUM)
        self.variance.lerp_(variance, MOMENTUM)

    def encode(self, images: Tensor) -> Tensor:
        """ẑ, (N, latents)."""
        return self.encoder(images)

    def generate(self, codes: Tensor) -> Tensor:
        """The decoder's probabilities."""
        return self.decoder(codes).sigmoid()

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """Normal by code, with the mean and variance that codes had in training."""
        noise = torch.randn(count, self.config.latents, generator=rng, device=self.device)
        return self.mean + self.variance.sqrt() * noise

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """BCE a pixel, on one batch."""
        return {"cross_entropy": self.cross_entropy(batch.images, self.encode(batch.images))}
