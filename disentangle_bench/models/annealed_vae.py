"""AnnealedVAE: the KL is held at a capacity that grows while training goes on."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from disentangle_bench.models.base import Between
from disentangle_bench.models.vae_framework import SMALL, Pass, VAEConfig, VAEFramework


class AnnealedVAEConfig(VAEConfig):
    """The framework's settings and AnnealedVAE's own; Locatello et al. sweep c_max over 5, 10, 25, 50, 75, 100."""

    gamma: float = Field(1_000.0, ge=0, description="weight of the KL's distance from the capacity")
    c_max: float = Field(25.0, ge=0, description="capacity in nats from step `c_steps` on")
    c_steps: int = Field(100_000, gt=0, description="steps over which the capacity grows linearly from 0")


class AnnealedVAE(VAEFramework):
    """Burgess et al. 2018 ("Understanding disentangling in β-VAE"): Rec + γ·|KL − C_t|.

    `dsprites` is Locatello et al.'s at c_max = 25 of their sweep; `burgess` is 1Konny's "B" for dSprites, with the
    networks of the paper. disentanglement_lib counts t from 0 and we from 1.
    """

    name = "annealed-vae"
    search_space: ClassVar = VAEFramework.search_space | {"c_max": Between(5.0, 100.0), "gamma": Between(10.0, 1000.0)}
    paper = "Burgess et al. 2018, arXiv:1804.03599"
    Config = AnnealedVAEConfig
    configurations: ClassVar = {
        "dsprites": AnnealedVAEConfig(),
        "burgess": AnnealedVAEConfig(
            steps=1_500_000, architecture="burgess", init="kaiming", lr=5e-4, gamma=100, c_max=20
        ),
        "small": AnnealedVAEConfig(**SMALL, gamma=30, c_max=15, c_steps=2_000),
    }
    config: AnnealedVAEConfig

    def regulariser(self, done: Pass, step: Tensor) -> Tensor:
        """γ·|KL − C_t|."""
        return self.config.gamma * (done.kl - self.capacity(step)).abs()

    def capacity(self, step: Tensor) -> Tensor:
        """C_t = min(c_max, c_max·t / c_steps), in nats."""
        return self.config.c_max * (step / self.config.c_steps).clamp(max=1.0)

    def own_diagnostics(self, done: Pass, step: Tensor) -> dict[str, Tensor]:
        """C_t."""
        return {"capacity": self.capacity(step)}
