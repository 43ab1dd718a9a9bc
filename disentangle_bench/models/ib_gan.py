"""IB-GAN: the information in the code is raised from below and held down from above."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from disentangle_bench.models.ib_gan_framework import SMALL, FrameworkConfig, InformationModel


class IBGANConfig(FrameworkConfig):
    """The framework's settings and IB-GAN's own."""

    alpha: float = Field(1.0, ge=0, description="weight of I^L; the paper's λ")
    beta: float = Field(0.141, ge=0, description="weight of I^U, the information bottleneck")


class IBGAN(InformationModel):
    """Jeon et al. 2021: min over e, G, q and max over D of V(D, G) − α·I^L + β·I^U."""

    name = "ib-gan"
    Config = IBGANConfig
    configurations: ClassVar = {"dsprites": IBGANConfig(), "small": IBGANConfig.model_validate(SMALL)}
    config: IBGANConfig

    def information_loss(self, lower: Tensor, upper: Tensor) -> Tensor:
        """−α·I^L + β·I^U."""
        return -self.config.alpha * lower + self.config.beta * upper
