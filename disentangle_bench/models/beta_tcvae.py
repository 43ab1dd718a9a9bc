"""β-TCVAE: of the KL's parts, the total correlation alone weighs more."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator
from torch import Tensor

from disentangle_bench.models.base import Between
from disentangle_bench.models.vae_framework import SMALL, Pass, VAEConfig, VAEFramework


class BetaTCVAEConfig(VAEConfig):
    """The framework's settings and β-TCVAE's own; Locatello et al. sweep β over 1, 2, 4, 6, 8, 10."""

    LATER: ClassVar[tuple[str, ...]] = (*VAEConfig.LATER, "stratified_over")

    beta: float = Field(6.0, ge=0, description="weight of the total correlation")
    stratified_over: int | None = Field(
        None, gt=1, description="N, images of the dataset, for TC by minibatch-stratified weights; none: equal weights"
    )

    @model_validator(mode="after")
    def no_more_than_all_images(self) -> BetaTCVAEConfig:
        """The weights of a batch that is larger than the dataset would be negative."""
        if self.stratified_over is not None and self.stratified_over < self.batch_size:
            raise ValueError(f"stratified_over = {self.stratified_over} is less than batch_size = {self.batch_size}")
        return self


class BetaTCVAE(VAEFramework):
    """Chen et al. 2018 ("Isolating sources of disentanglement"): Rec + KL + (β − 1)·TC.

    TC is estimated on the minibatch, E log q(z) − Σ_d E log q(z_d) with q(z) ≈ 1/B Σ_j q(z|x_j). As in Locatello et
    al.'s code its constant is left out of the loss, which changes no gradient; the curve `total_correlation` has it.
    With `stratified_over` = N the x_j are weighted as samples of a dataset of N images: 1/N for z's own image, 1/M for
    all others, M = B − 1, but (N − M)/(N·M) for one of them (minibatch-stratified sampling, their appendix C).
    `dsprites` is Locatello et al.'s at β = 6 of their sweep. `chen-dsprites` has the settings of the paper's own code,
    whose encoder gives log σ: 50 epochs of dSprites; that code also estimates the other parts of the KL on the
    minibatch, where we take it in closed form.
    """

    name = "beta-tcvae"
    search_space: ClassVar = VAEFramework.search_space | {"beta": Between(1.0, 10.0)}
    paper = "Chen et al. 2018, NeurIPS"
    Config = BetaTCVAEConfig
    configurations: ClassVar = {
        "dsprites": BetaTCVAEConfig(),
        "chen-dsprites": BetaTCVAEConfig(
            steps=18_000, batch_size=2_048, architecture="mlp", init="torch", lr=1e-3, beta=6, encoder_gives="log-sigma"
        ),
        "small": BetaTCVAEConfig(**SMALL, beta=4),
    }
    config: BetaTCVAEConfig

    def regulariser(self, done: Pass, step: Tensor) -> Tensor:
        """KL + (β − 1)·TC."""
        images = self.config.stratified_over
        correlation = done.unnormalised_tc if images is None else done.stratified_tc(images)
        return done.kl + (self.config.beta - 1) * correlation
