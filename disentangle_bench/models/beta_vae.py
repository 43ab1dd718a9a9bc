"""β-VAE: the KL term weighs more than the bound asks for."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from disentangle_bench.models.base import Between
from disentangle_bench.models.vae_framework import SMALL, Pass, VAEConfig, VAEFramework


class BetaVAEConfig(VAEConfig):
    """The framework's settings and β-VAE's own; Locatello et al. sweep β over 1, 2, 4, 6, 8, 16."""

    beta: float = Field(4.0, ge=0, description="weight of the KL")


CHAIRS = {"steps": 1_500_000, "architecture": "kim-256", "init": "kaiming", "likelihood": "squared-error", "beta": 4}
CELEBA = CHAIRS | {"beta": 10}


class BetaVAE(VAEFramework):
    """Higgins et al. 2017: Rec + β·KL.

    `dsprites` is Locatello et al.'s at β = 4 of their sweep; `chairs` and `celeba`, and those with wider codes, are
    1Konny's "H", which reconstructs colour images, chairs too, by squared error.
    """

    name = "beta-vae"
    search_space: ClassVar = VAEFramework.search_space | {"beta": Between(1.0, 16.0)}
    paper = "Higgins et al. 2017, ICLR"
    Config = BetaVAEConfig
    configurations: ClassVar = {
        "dsprites": BetaVAEConfig(),
        "chairs3d": BetaVAEConfig.model_validate(CHAIRS),
        "chairs3d-z16": BetaVAEConfig.model_validate(CHAIRS | {"z_dim": 16}),
        "celeba": BetaVAEConfig.model_validate(CELEBA),
        "celeba-z32": BetaVAEConfig.model_validate(CELEBA | {"z_dim": 32}),
        "small": BetaVAEConfig(**SMALL),
    }
    config: BetaVAEConfig

    def regulariser(self, done: Pass, step: Tensor) -> Tensor:
        """β·KL."""
        return self.config.beta * done.kl
