"""GAN, the baseline of IB-GAN's framework: no information term, and an encoder trained beside it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from disentangle_bench.models.base import Batch, Between, Player
from disentangle_bench.models.ib_gan_config import SMALL, FrameworkConfig
from disentangle_bench.models.ib_gan_framework import Framework


class GAN(Framework):
    """Goodfellow et al. 2014 in IB-GAN's framework: e and G see L_G alone.

    A GAN has no encoder. q is trained on detached fakes to reconstruct z, and its gradient never reaches e or G; a
    code is μ(q(x)) as in IB-GAN. There is no public code for this baseline; whether the paper's keeps e(r|z) is
    not known.
    """

    name = "gan"
    code_source = "post-hoc encoder"
    search_space: ClassVar = {"d_lr": Between(1e-5, 1e-3), "g_lr": Between(1e-4, 1e-2)}
    Config = FrameworkConfig
    configurations: ClassVar = {"dsprites": FrameworkConfig(), "small": FrameworkConfig.model_validate(SMALL)}

    def players(self) -> dict[str, Player]:
        """D with its front, e with G, and q on its own."""
        return {
            "discriminator": self.player(self.config.d_lr, self.front, self.discriminator),
            "generator": self.player(self.config.g_lr, self.embedding, self.generator),
            "reconstructor": self.player(self.config.g_lr, self.reconstructor),
        }

    def losses(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_D, γ·L_G, and −I^L for q."""
        round = self.play(batch.images, rng, step, detach=True)
        return {
            "discriminator": round.discriminator_loss,
            "generator": self.config.gamma * round.generator_loss,
            "reconstructor": -round.information_lower,
        }
