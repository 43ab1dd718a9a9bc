"""VAE: the evidence lower bound, and nothing else."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from disentangle_bench.models.vae_framework import SMALL, Pass, VAEConfig, VAEFramework


class VAE(VAEFramework):
    """Kingma & Welling 2014 (Rezende et al. 2014): Rec + KL, the negative ELBO."""

    name = "vae"
    paper = "Kingma & Welling 2014, ICLR"
    Config = VAEConfig
    configurations: ClassVar = {"dsprites": VAEConfig(), "small": VAEConfig(**SMALL)}

    def regulariser(self, done: Pass, step: Tensor) -> Tensor:
        """KL."""
        return done.kl
