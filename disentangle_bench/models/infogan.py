"""InfoGAN, the baseline of IB-GAN's framework: the information's lower bound is raised, nothing holds it down."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from disentangle_bench.models.base import Between
from disentangle_bench.models.ib_gan_config import SMALL, FrameworkConfig
from disentangle_bench.models.ib_gan_framework import InformationModel

CAP_WEIGHT = 100.0  # of the KL, in a step whose batch KL reaches the cap (official solver.py)


class InfoGANConfig(FrameworkConfig):
    """The framework's settings and InfoGAN's own."""

    alpha: float = Field(1.0, ge=0, description="weight of I^L; the paper's λ")
    kl_cap: float | None = Field(20.0, gt=0, description="KL in nats at which a step's KL is penalised; none: never")


class InfoGAN(InformationModel):
    """Chen et al. 2016 as IB-GAN's framework trains it: min over e, G, q of γ·L_G − α·I^L (IB-GAN with β = 0).

    As the official solver does, a step in which the batch's KL reaches `kl_cap` adds 100·KL, so that the
    bottleneck's capacity stays bounded. Whether the paper's own baseline kept this is not known.
    """

    name = "infogan"
    search_space: ClassVar = {"alpha": Between(0.1, 10.0), "d_lr": Between(1e-5, 1e-3), "g_lr": Between(1e-4, 1e-2)}
    Config = InfoGANConfig
    configurations: ClassVar = {"dsprites": InfoGANConfig(), "small": InfoGANConfig.model_validate(SMALL)}
    config: InfoGANConfig

    def information_loss(self, lower: Tensor, upper: Tensor) -> Tensor:
        """−α·I^L, and the penalty at the cap."""
        loss = -self.config.alpha * lower
        if self.config.kl_cap is not None:
            loss = loss + torch.where(upper >= self.config.kl_cap, CAP_WEIGHT * upper, torch.zeros_like(upper))
        return loss
