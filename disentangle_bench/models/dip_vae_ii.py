"""DIP-VAE-II: the covariance of the aggregate posterior is drawn to the identity."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from disentangle_bench.models.dip_vae_i import DIPVAEI, DIPVAEIConfig
from disentangle_bench.models.vae_framework import SMALL, Pass


class DIPVAEIIConfig(DIPVAEIConfig):
    """DIP-VAE-I's settings, but λ_d = λ_od."""

    lambda_d_factor: float = Field(1.0, ge=0, description="λ_d / λ_od; λ_d weighs the variances' distance from 1")


class DIPVAEII(DIPVAEI):
    """Kumar et al. 2018: DIP-VAE-I's loss with Cov = Cov[z] = Cov[μ(x)] + E[diag σ²(x)].

    `dsprites` is Locatello et al.'s at λ_od = 10 of their sweep, with λ_d = λ_od.
    """

    name = "dip-vae-ii"
    Config = DIPVAEIIConfig
    configurations: ClassVar = {"dsprites": DIPVAEIIConfig(), "small": DIPVAEIIConfig(**SMALL, lambda_od=2)}

    def covariance(self, done: Pass) -> Tensor:
        """Cov[μ(x)] + E[diag σ²(x)] over the batch, (z_dim, z_dim)."""
        return super().covariance(done) + done.log_variance.exp().mean(dim=0).diag()
