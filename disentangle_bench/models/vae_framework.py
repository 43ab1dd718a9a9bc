"""The framework of the VAE family: networks, one forward pass, the code and the curves; a model adds its regulariser.

    q(z|x) = N(μ(x), diag σ²(x)),   z ~ q(z|x),   p(x|z): Bernoulli of the decoder's logits,   p(z) = N(0, I)

The defaults are those of Locatello et al.: "Challenging Common Assumptions in the Unsupervised Learning of Disentangled
Representations", ICML 2019, which trained all of these models alike on 64×64 images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from disentangle_bench.models import vae_networks
from disentangle_bench.models.base import Batch, Between, Model, ModelConfig, Player, parameters_of
from disentangle_bench.models.vae_networks import Architecture, Initialisation


class VAEConfig(ModelConfig):
    """Settings that all VAEs share; the defaults are Locatello et al.'s."""

    LATER: ClassVar[tuple[str, ...]] = ("encoder_gives",)

    steps: int = Field(300_000, ge=0, description="updates of each player")
    batch_size: int = Field(64, gt=1, description="images a step")
    architecture: Architecture = Field("locatello", description="encoder and decoder")
    init: Initialisation = Field("glorot", description="how weights are drawn")
    z_dim: int = Field(10, gt=0, description="dimensions of z, which are the code's")
    encoder_gives: Literal["log-variance", "log-sigma"] = Field(
        "log-variance", description="what the encoder's second head is; with log σ a step moves σ twice as far"
    )
    likelihood: Literal["bernoulli", "squared-error"] = Field("bernoulli", description="p(x|z), by pixel")
    lr: float = Field(1e-4, gt=0, description="learning rate of encoder and decoder; Adam(.9, .999)")


SMALL: dict[str, Any] = {"steps": 3_000, "architecture": "small", "lr": 1e-3}
"""Ours, for studies on a CPU: a small convolutional pair, and a higher rate for a short budget.

Each model's own strength in `small` was chosen in a handful of runs on seed 0 of dsprites-32: β of 4 and 8,
β-TCVAE's of 4 and 6, γ of 6.4, 10 and 30, λ_od of 2 and 10; AnnealedVAE's settings were the first that were tried.
"""


@dataclass(frozen=True)
class Pass:
    """One forward pass."""

    images: Tensor  # (B, C, H, W), [0, 1]
    mean: Tensor  # (B, z_dim), μ of q(z|x)
    log_variance: Tensor  # (B, z_dim), log σ² of q(z|x)
    z: Tensor  # (B, z_dim), one sample of q(z|x) an image
    logits: Tensor  # (B, C, H, W)
    likelihood: str

    @property
    def reconstruction(self) -> Tensor:
        """Rec = −E log p(x|z): summed over pixels, mean over the batch; in nats for Bernoulli pixels.

        "squared-error", Σ (x − x̂)², is what 1Konny's code calls Gaussian.
        """
        if self.likelihood == "bernoulli":
            total = F.binary_cross_entropy_with_logits(self.logits, self.images, reduction="sum")
        else:
            total = F.mse_loss(self.logits.sigmoid(), self.images, reduction="sum")
        return total / len(self.images)

    @property
    def kl_by_dimension(self) -> Tensor:
        """KL(q(z|x) ‖ N(0, I)) by dimension, (z_dim,), in nats: ½(μ² + σ² − 1 − log σ²), mean over the batch."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).mean(dim=0)

    @property
    def kl(self) -> Tensor:
        """KL = E KL(q(z|x) ‖ N(0, I)) ≥ I(x; z), in nats."""
        return self.kl_by_dimension.sum()

    @property
    def log_density(self) -> Tensor:
        """log q(z_id|x_j) at [i, j, d], (B, B, z_dim)."""
        z, mean, log_variance = self.z[:, None], self.mean[None], self.log_variance[None]
        squared = (z - mean).square() / log_variance.exp()
        return -0.5 * (squared + log_variance + math.log(2 * math.pi))

    @property
    def unnormalised_tc(self) -> Tensor:
        """mean_i[ LSE_j Σ_d log q(z_id|x_j) − Σ_d LSE_j log q(z_id|x_j) ], without the constants of the mixture."""
        density = self.log_density
        joint = density.sum(dim=2).logsumexp(dim=1)  # (B,)
        product = density.logsumexp(dim=1).sum(dim=1)  # (B,)
        return (joint - product).mean()

    def stratified_tc(self, images: int) -> Tensor:
        """mean_i[ log q(z_i) − Σ_d log q(z_id) ], each q the minibatch-stratified estimate over N images.

            q(z_i) ≈ 1/N·q(z_i|x_i) + (N − M)/(N·M)·q(z_i|x_{i+1}) + 1/M·Σ_{other j} q(z_i|x_j),   M = B − 1

        The weights of a row sum to 1. Unbiased for q (Chen et al. 2018, appendix C), whose logarithm is biased all the
        same. B ≤ N. Public code puts the first two weights into columns 0 and 1 of nearly each row, where q(z_i|x_i)
        is not; here they are where the equation has them.
        """
        batch, others = len(self.z), len(self.z) - 1
        own = torch.eye(batch, device=self.z.device)
        following = own.roll(1, dims=1)  # [i, i + 1], and [B − 1, 0]
        weights = (1 - own - following) / others + own / images + following * (images - others) / (images * others)
        log_weights = weights.log()  # (B, B)
        density = self.log_density
        joint = (density.sum(dim=2) + log_weights).logsumexp(dim=1)  # (B,)
        product = (density + log_weights[:, :, None]).logsumexp(dim=1).sum(dim=1)  # (B,)
        return (joint - product).mean()

    @property
    def total_correlation(self) -> Tensor:
        """KL(q(z) ‖ Π_d q(z_d)) in nats, with the batch's mixture q(z) = 1/B Σ_j q(z|x_j).

        Weights 1/B, which sum to 1, give the constant (z_dim − 1)·log B. A batch knows no more than log B nats of the
        joint density, so that values compare at equal batch sizes alone. (Minibatch-weighted sampling over N images
        weighs by 1/(N·B); its value lies (z_dim − 1)·log N higher.)
        """
        return self.unnormalised_tc + (self.z.shape[1] - 1) * math.log(len(self.z))


class VAEFramework(Model):
    """An encoder and a decoder that one optimiser moves against Rec + the model's regulariser."""

    code_source = "encoder"
    image_range = (0.0, 1.0)
    code_range = (-2.0, 2.0)  # z ~ N(0, I)
    search_space: ClassVar = {"lr": Between(1e-4, 3e-3)}
    config: VAEConfig

    def __init__(self, config: VAEConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.config = config
        self.encoder, self.decoder = vae_networks.networks(config.architecture, image_shape, config.z_dim)
        vae_networks.initialise(self, config.init)

    def players(self) -> dict[str, Player]:
        """Encoder and decoder together."""
        adam = partial(torch.optim.Adam, lr=self.config.lr)
        return {"vae": Player(parameters_of(self.encoder, self.decoder), adam)}

    def losses(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """Rec + the regulariser."""
        done = self.infer(batch.images, rng)
        return {"vae": done.reconstruction + self.regulariser(done, step)}

    def regulariser(self, done: Pass, step: Tensor) -> Tensor:
        """What a model adds to Rec."""
        raise NotImplementedError

    def infer(self, images: Tensor, rng: torch.Generator) -> Pass:
        """One forward pass on images (B, C, H, W): z = μ + σ·ε."""
        mean, log_variance, z = self.sample(images, rng)
        return Pass(images, mean, log_variance, z, self.decoder(z), self.config.likelihood)

    def sample(self, images: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """μ, log σ² and a sample z of q(z|x), each (B, z_dim)."""
        mean, log_variance = self.encoder(images)
        if self.config.encoder_gives == "log-sigma":
            log_variance = 2 * log_variance
        epsilon = torch.randn(mean.shape, generator=rng, device=mean.device)
        return mean, log_variance, mean + (0.5 * log_variance).exp() * epsilon

    def encode(self, images: Tensor) -> Tensor:
        """μ(x)."""
        return self.encoder(images)[0]

    def generate(self, codes: Tensor) -> Tensor:
        """The decoder's probabilities."""
        return self.decoder(codes).sigmoid()

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """z from p(z) = N(0, I)."""
        return torch.randn(count, self.config.z_dim, generator=rng, device=self.device)

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """Rec, ELBO, KL by dimension, the bound on I(x; z) and the total correlation, on one batch."""
        done = self.infer(batch.images, rng)
        curves = {
            "reconstruction": done.reconstruction,
            "elbo": -done.reconstruction - done.kl,
            "information_upper": done.kl,
            "total_correlation": done.total_correlation,
        }
        by_dimension = {f"kl_{d}": value for d, value in enumerate(done.kl_by_dimension)}
        return curves | self.own_diagnostics(done, step) | by_dimension

    def own_diagnostics(self, done: Pass, step: Tensor) -> dict[str, Tensor]:
        """Curves of one model."""
        return {}
