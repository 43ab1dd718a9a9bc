"""DIP-VAE-I: the covariance of the encoder's means is drawn to the identity."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from disentangle_bench.models.base import Between
from disentangle_bench.models.vae_framework import SMALL, Pass, VAEConfig, VAEFramework


class DIPVAEIConfig(VAEConfig):
    """The framework's settings and DIP-VAE's own; Locatello et al. sweep λ_od over 1, 2, 5, 10, 20, 50."""

    lambda_od: float = Field(10.0, ge=0, description="weight of the covariances' squares")
    lambda_d_factor: float = Field(10.0, ge=0, description="λ_d / λ_od; λ_d weighs the variances' distance from 1")


class DIPVAEI(VAEFramework):
    """Kumar et al. 2018: Rec + KL + λ_od·Σ_{i≠j} Cov_ij² + λ_d·Σ_i (Cov_ii − 1)², Cov = Cov[μ(x)].

    `dsprites` is Locatello et al.'s at λ_od = 10 of their sweep, with λ_d = 10·λ_od.
    """

    name = "dip-vae-i"
    search_space: ClassVar = VAEFramework.search_space | {"lambda_od": Between(1.0, 50.0)}
    paper = "Kumar et al. 2018, ICLR"
    Config: ClassVar[type[DIPVAEIConfig]] = DIPVAEIConfig
    configurations: ClassVar = {"dsprites": DIPVAEIConfig(), "small": DIPVAEIConfig(**SMALL)}
    config: DIPVAEIConfig

    def regulariser(self, done: Pass, step: Tensor) -> Tensor:
        """KL + λ_od·Σ_{i≠j} Cov_ij² + λ_d·Σ_i (Cov_ii − 1)²."""
        covariance = self.covariance(done)
        off_diagonal = covariance - covariance.diag().diag()
        lambda_od = self.config.lambda_od
        lambda_d = self.config.lambda_d_factor * lambda_od
        return (
            done.kl
            + lambda_od * off_diagonal.square().sum()
            + lambda_d * (covariance.diag() - 1).square().sum()
        )  # fmt: skip

    def covariance(self, done: Pass) -> Tensor:
        """Cov[μ(x)] over the batch, (z_dim, z_dim), divided by B and not B − 1."""
        centred = done.mean - done.mean.mean(dim=0)
        return centred.T @ centred / len(centred)

    def own_diagnostics(self, done: Pass, step: Tensor) -> dict[str, Tensor]:
        """The largest covariance, and the variances' mean, which the model draws to 0 and 1."""
        covariance = self.covariance(done)
        off_diagonal = covariance - covariance.diag().diag()
        return {"largest_covariance": off_diagonal.abs().max(), "mean_variance": covariance.diag().mean()}
