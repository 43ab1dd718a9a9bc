"""What the Wasserstein GANs of Hsu et al. 2023 share: a critic held by a gradient penalty, and a style generator.

    L_c = E c(x̂) − E c(x) + 10·E(‖∇c(x̃)‖₂ − 1)² + latent terms,   L_G = −E c(x̂) + latent terms

Gulrajani et al.: "Improved Training of Wasserstein GANs", NeurIPS 2017, as trained in Hsu et al.: "Disentanglement via
Latent Quantization", NeurIPS 2023, whose public code is followed in networks, losses and optimisers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from disentangle_bench.models import quantised_networks as networks
from disentangle_bench.models.adversarial import as_written, gradient_penalty, halvings
from disentangle_bench.models.base import Batch, Between, Model, ModelConfig, Player, parameters_of

CRITIC_UPDATES = 5  # of the critic, before each of G
CODE_ENTROPY = 0.0  # nats, of U(0, 1)


class WassersteinConfig(ModelConfig):
    """Settings; the defaults are those of the authors' code for Shapes3D."""

    steps: int = Field(40_000, ge=0, description="updates of G; the critic has five to each")
    batch_size: int = Field(320, ge=10, description="images a step, a fifth for each update of the critic")
    latents: int = Field(12, gt=0, description="dimensions of z, which are the code's: twice the factors")
    width: int = Field(32, gt=0, description="channels of the critic's first convolutions; doubled at each halving")
    blocks: int = Field(3, gt=0, description="convolutions at each size of image")
    hidden: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (256, 256), min_length=1, description="widths of dense layers"
    )
    penalty: float = Field(10.0, ge=0, description="weight of the gradient penalty")
    lr: float = Field(2e-4, gt=0, description="learning rate of all players; AdamW(0, .9), biases by Adam")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's")
    clip: float = Field(1.0, gt=0, description="bound of each element of a weight's gradient")


MPI3D: dict[str, Any] = {"latents": 14}
FALCOR3D: dict[str, Any] = {"latents": 14}
SMALL: dict[str, Any] = {
    "steps": 2_000, "batch_size": 80, "latents": 10, "width": 8, "blocks": 1, "hidden": (64,), "lr": 1e-3,
}  # fmt: skip
"""Ours, for studies on a CPU: one convolution at each size, narrow, 16 images an update, a higher rate."""


@dataclass(frozen=True)
class Rounds:
    """What the phases of a step share: real images for each update of the critic, which takes the next ones."""

    reals: Iterator[Tensor]  # (B, C, H, W) each


class WassersteinGAN(Model):
    """Networks and the two losses; each model adds what it does with its latents."""

    paper = "Hsu et al. 2023 (latent quantisation), NeurIPS"
    image_range = (0.0, 1.0)
    code_range: tuple[float, float] | None = (0.0, 1.0)  # z ~ U(0, 1)
    search_space: ClassVar = {"lr": Between(1e-4, 3e-3), "penalty": Between(1.0, 100.0)}
    phases: ClassVar[tuple[str, ...]] = ("critic_losses",) * CRITIC_UPDATES + ("generator_losses",)
    config: WassersteinConfig

    def __init__(self, config: WassersteinConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.config = config
        times, side = halvings(self.name, image_shape)
        layout = (image_shape[0], times, side, config.width, config.blocks, config.hidden)
        self.trunk = networks.trunk(*layout)
        self.critic = nn.Linear(config.hidden[-1], 1)
        self.generator = networks.StyleGenerator(config.latents, *layout)

    def player(self, *modules: nn.Module) -> Player:
        """These modules under the authors' optimiser."""
        c = self.config
        return Player(parameters_of(*modules), networks.optimiser(modules, c.lr, (0.0, 0.9), c.weight_decay, c.clip))

    def begin(self, batch: Batch, rng: torch.Generator, step: Tensor) -> Rounds:
        """A step's images in five parts."""
        return Rounds(iter(batch.images.tensor_split(CRITIC_UPDATES)))

    def critic_losses(self, rounds: Rounds, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_c, of the next reals and as many fakes, through which nothing reaches G."""
        reals = next(rounds.reals)
        with torch.no_grad():
            z = self.sample_codes(len(reals), rng)
            fakes = self.imagine(z)
        features = self.trunk(torch.cat([fakes, reals]))
        fake, real = self.critic(features).split(len(reals))
        penalty = gradient_penalty(self.value, reals, fakes, rng)
        value = fake.mean() - real.mean() + self.config.penalty * penalty
        return {"critic": value + self.latent_terms(z, features[: len(reals)])}

    def generator_losses(self, rounds: Rounds, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_G, of new latents, as many as an update of the critic has."""
        z, fakes = self.fakes(rng)
        features = self.trunk(fakes)
        return {"generator": -self.critic(features).mean() + self.latent_terms(z, features)}

    def latent_terms(self, z: Tensor, features: Tensor) -> Tensor | float:
        """What the latents add to both losses; features: the trunk's, of fakes of these z."""
        return 0.0

    def fakes(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """z, and x̂ of it, as many as an update has, but never one, whose compiled gradient was found wrong."""
        z = self.draw(max(2, self.config.batch_size // CRITIC_UPDATES), rng)
        return z, self.imagine(z)

    def value(self, images: Tensor) -> Tensor:
        """c(x), (N, 1), that can be differentiated twice."""
        return as_written(self.critic, as_written(self.trunk, images))

    def imagine(self, z: Tensor) -> Tensor:
        """x̂ = σ(G(z))."""
        return self.generator(z).sigmoid()

    def generate(self, codes: Tensor) -> Tensor:
        """G of the codes."""
        return self.imagine(codes)

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """z for G's loss, whose gradient reaches what is learned of the prior."""
        return self.sample_codes(count, rng)

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """z ~ U(0, 1)."""
        return torch.rand(count, self.config.latents, generator=rng, device=self.device)

    def critic_curves(self, fakes: Tensor, reals: Tensor) -> dict[str, Tensor]:
        """E c(x̂), and E c(x) − E c(x̂), the critic's estimate of the distance between reals and fakes."""
        fake = self.critic(self.trunk(fakes)).mean()
        return {"fake_value": fake, "distance": self.critic(self.trunk(reals)).mean() - fake}


def latent_loss(z_hat: Tensor, z: Tensor) -> Tensor:
    """E of the mean over latents of (ẑ − z)²."""
    return (z_hat - z).square().mean()
