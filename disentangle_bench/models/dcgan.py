"""DCGAN: a convolutional GAN, and an encoder trained beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from disentangle_bench.models.adversarial import (
    NORMAL_ENTROPY,
    UNIFORM_ENTROPY,
    discriminator_loss,
    gaussian_information,
    generator_loss,
    halvings,
    information_curves,
    init_dcgan,
    squared_error,
    uniform,
)
from disentangle_bench.models.base import Batch, Between, Model, ModelConfig, Player, parameters_of

LEAK = 0.2  # slope of D's and the encoder's leaky ReLU


class DCGANConfig(ModelConfig):
    """Settings; the defaults are those of pytorch/examples, but for the number of steps, which is ours."""

    steps: int = Field(150_000, ge=0, description="updates of each player")
    batch_size: int = Field(64, gt=1, description="images a step")
    width: int = Field(64, gt=0, description="channels of D's first layer and of G's last but one")
    z_dim: int = Field(100, gt=0, description="dimensions of z, which are the code's")
    prior: Literal["normal", "uniform"] = Field("normal", description="z ~ N(0, 1) or U(−1, 1)")
    d_lr: float = Field(2e-4, gt=0, description="learning rate of D; Adam with β = .5, .999")
    g_lr: float = Field(2e-4, gt=0, description="learning rate of G and of the encoder")


@dataclass(frozen=True)
class Samples:
    """What the phases of one step share."""

    reals: Tensor  # (B, C, H, W)
    z: Tensor  # (B, z_dim)
    fakes: Tensor  # (B, C, H, W), G(z) with its graph: D moves before G does, and G's weights are still those


class DCGAN(Model):
    """Radford et al. 2016: L_D = −log D(x) − log(1 − D(G(z))), then L_G = −log D(G(z)) on the same fakes.

    A GAN has no encoder. One of D's form, which is not published, is trained on detached fakes to reconstruct z, by
    ½‖z − ẑ‖²; its gradient never reaches G or D. It sees reals too, without a loss: it is on them that it is scored, so
    its batch norm needs their statistics. `pytorch-examples` is that repository's setting; `paper` has the paper's
    prior and batch size as we remember them, unverified. Other images than 64×64 have more or fewer layers. `small` is
    ours, a first guess that was kept.
    """

    name = "dcgan"
    paper = "Radford et al. 2016 (DCGAN), ICLR"
    code_source = "post-hoc encoder"
    search_space: ClassVar = {"d_lr": Between(1e-5, 1e-3), "g_lr": Between(1e-4, 1e-2)}
    Config = DCGANConfig
    configurations: ClassVar = {
        "pytorch-examples": DCGANConfig(),
        "paper": DCGANConfig(prior="uniform", batch_size=128),
        "small": DCGANConfig(steps=2_000, width=16, z_dim=10, g_lr=1e-3),
    }
    phases = ("discriminator_losses", "generator_losses")

    def __init__(self, config: DCGANConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.config = config
        self.code_range = (-1.0, 1.0) if config.prior == "uniform" else (-2.0, 2.0)
        self.generator = generator(self.name, image_shape, config)
        self.discriminator = reader(self.name, image_shape, config.width, 1)
        self.encoder = reader(self.name, image_shape, config.width, config.z_dim)
        init_dcgan(self)

    def players(self) -> dict[str, Player]:
        """D, G, and the encoder on its own."""
        adam = partial(torch.optim.Adam, betas=(0.5, 0.999))
        return {
            "discriminator": Player(parameters_of(self.discriminator), partial(adam, lr=self.config.d_lr)),
            "generator": Player(parameters_of(self.generator), partial(adam, lr=self.config.g_lr)),
            "encoder": Player(parameters_of(self.encoder), partial(adam, lr=self.config.g_lr)),
        }

    def begin(self, batch: Batch, rng: torch.Generator, step: Tensor) -> Samples:
        """z and x̂ = G(z), for both phases."""
        z = self.sample_codes(len(batch.images), rng)
        return Samples(batch.images, z, self.generator(z))

    def discriminator_losses(self, samples: Samples, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_D; D sees reals first, then fakes."""
        real_logits = self.discriminator(samples.reals)
        return {"discriminator": discriminator_loss(real_logits, self.discriminator(samples.fakes.detach()))}

    def generator_losses(self, samples: Samples, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_G before the D that has just moved, and ½‖z − ẑ‖² for the encoder."""
        reconstruction = squared_error(samples.z, self.encoder(samples.fakes.detach()))
        with torch.no_grad():
            self.encoder(samples.reals)
        return {"generator": generator_loss(self.discriminator(samples.fakes)), "encoder": reconstruction}

    def encode(self, images: Tensor) -> Tensor:
        """ẑ, (N, z_dim)."""
        return self.encoder(images)

    def generate(self, codes: Tensor) -> Tensor:
        """G(z)."""
        return self.generator(codes)

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """z from its prior."""
        if self.config.prior == "uniform":
            return uniform(count, self.config.z_dim, rng, self.device)
        return torch.randn(count, self.config.z_dim, generator=rng, device=self.device)

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """A lower bound on I(z_d; x̂) for each d, in nats, on 1,000 samples."""
        z = self.sample_codes(1_000, rng)
        entropy = NORMAL_ENTROPY if self.config.prior == "normal" else UNIFORM_ENTROPY
        bounds = gaussian_information(entropy, z, self.encoder(self.generator(z)))
        return information_curves({str(d): bound for d, bound in enumerate(bounds)})


def generator(model: str, image_shape: tuple[int, int, int], config: DCGANConfig) -> nn.Sequential:
    """G: z (N, z_dim) to images (N, C, H, W) in [−1, 1]; shapes for 64×64."""
    times, side = halvings(model, image_shape)
    inputs = config.width * 2 ** (times - 1)
    layers: list[Any] = [
        nn.Unflatten(1, (config.z_dim, 1, 1)),
        nn.ConvTranspose2d(config.z_dim, inputs, side, bias=False),  # (512, 4, 4)
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
    ]
    for _ in range(times - 1):  # (256, 8, 8), (128, 16, 16), (64, 32, 32)
        layers += [nn.ConvTranspose2d(inputs, inputs // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(inputs // 2), nn.ReLU()]
        inputs //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(inputs, image_shape[0], 4, 2, 1, bias=False), nn.Tanh())


def reader(model: str, image_shape: tuple[int, int, int], width: int, outputs: int) -> nn.Sequential:
    """D, with one output, or the encoder: images (N, C, H, W) to (N, outputs); shapes for 64×64."""
    times, side = halvings(model, image_shape)
    layers: list[Any] = [nn.Conv2d(image_shape[0], width, 4, 2, 1, bias=False), nn.LeakyReLU(LEAK)]  # (64, 32, 32)
    for _ in range(times - 1):  # (128, 16, 16), (256, 8, 8), (512, 4, 4)
        layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(LEAK)]
        width *= 2
    return nn.Sequential(*layers, nn.Conv2d(width, outputs, side, bias=False), nn.Flatten())
