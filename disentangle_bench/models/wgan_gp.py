"""WGAN-GP: a Wasserstein GAN without an information term, and an encoder trained beside it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from disentangle_bench.models import quantised_networks as networks
from disentangle_bench.models.adversarial import gaussian_information, halvings, information_curves
from disentangle_bench.models.base import Batch, Player
from disentangle_bench.models.wasserstein import (
    CODE_ENTROPY,
    FALCOR3D,
    MPI3D,
    SMALL,
    Rounds,
    WassersteinConfig,
    WassersteinGAN,
    latent_loss,
)


class WGANGP(WassersteinGAN):
    """Gulrajani et al. 2017 in the networks of Hsu et al. 2023, their base GAN: each step moves c five times, G once.

    A GAN has no encoder, and in the authors' code this one has a head that nothing trains. Here an encoder of the
    critic's form is trained on G's fakes, detached, to give z back, mean (ẑ − z)²; that it is scored is ours. Where
    the networks are compiled the penalty's are not: torch.compile's code has no second derivative. `small` makes images
    that are sharp but few: on a grid of 96 images its samples were near to 3 of them.
    """

    name = "wgan-gp"
    code_source = "post-hoc encoder"
    Config = WassersteinConfig
    configurations: ClassVar = {
        "shapes3d": WassersteinConfig(),
        "mpi3d-complex": WassersteinConfig(**MPI3D),
        "falcor3d": WassersteinConfig(**FALCOR3D),
        "small": WassersteinConfig(**SMALL),
    }

    def __init__(self, config: WassersteinConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        times, side = halvings(self.name, image_shape)
        own = networks.trunk(image_shape[0], times, side, config.width, config.blocks, config.hidden)
        self.encoder = nn.Sequential(own, nn.Linear(config.hidden[-1], config.latents))

    def players(self) -> dict[str, Player]:
        """c; G; and the encoder on its own."""
        return {
            "critic": self.player(self.trunk, self.critic),
            "generator": self.player(self.generator),
            "encoder": self.player(self.encoder),
        }

    def generator_losses(self, rounds: Rounds, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_G, and the encoder's loss on the same fakes."""
        z, fakes = self.fakes(rng)
        z_hat = self.encoder(fakes.detach())
        return {"generator": -self.critic(self.trunk(fakes)).mean(), "encoder": latent_loss(z_hat, z)}

    def encode(self, images: Tensor) -> Tensor:
        """ẑ, (N, latents)."""
        return self.encoder(images)

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """A lower bound on I(z_d; x̂) for each d, in nats, of 1,000 fakes, and the critic's two means."""
        z = self.sample_codes(1_000, rng)
        fakes = self.imagine(z)
        bounds = gaussian_information(CODE_ENTROPY, z, self.encode(fakes))
        curves = information_curves({str(d): bound for d, bound in enumerate(bounds)})
        return curves | self.critic_curves(fakes, batch.images)
