"""Settings of Lin et al.'s InfoGAN, with and without their contrastive regulariser."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from disentangle_bench.models.base import ModelConfig


class ModifiedConfig(ModelConfig):
    """Settings; the defaults are the official ones for dSprites, up to where InfoGAN-CR's regulariser sets in."""

    LATER: ClassVar[tuple[str, ...]] = ("layout",)

    layout: Literal["dsprites", "teapot", "celeba"] = Field(
        "dsprites", description="the networks; teapot: H has batch norm for spectral norm; celeba: DCGAN-like, 5×5"
    )
    steps: int = Field(288_000, ge=0, description="updates of D and Q; G has two a step")
    batch_size: int = Field(64, gt=1, description="images a step")
    width: int = Field(32, gt=0, description="channels of D's first layer; all others are multiples of it")
    code_dim: int = Field(5, gt=1, description="codes c ~ U(−1, 1) that Q predicts")
    noise_dim: int = Field(5, ge=0, description="noise z ~ U(−1, 1) that nothing predicts")
    information_weight: float = Field(0.05, ge=0, description="λ, weight of Q's negative log-likelihood")
    g_lr: float = Field(1e-3, gt=0, description="learning rate of G; Adam with β = .5, .999")
    d_lr: float = Field(2e-3, gt=0, description="learning rate of D with Q")


class CRConfig(ModifiedConfig):
    """InfoGAN (modified)'s settings and the regulariser's; the defaults are the official ones for dSprites."""

    LATER = ("layout", "gap", "gap_steps")

    steps: int = Field(322_560, ge=0, description="updates of H, D and Q; G has two a step")
    alpha: float = Field(2.0, ge=0, description="α, weight of H's loss in G's, from the switch on; 0 before it")
    switch_step: int = Field(288_001, gt=0, description="first step with α; H starts anew there, with its optimiser")
    h_lr: float = Field(2e-3, gt=0, description="learning rate of H")
    gap: float = Field(0.0, ge=0, lt=2, description="least distance in a pair of codes that differ, for `gap_steps`")
    gap_steps: int = Field(0, ge=0, description="steps with the gap; H starts anew after the last of them")

    @model_validator(mode="after")
    def reaches_the_switch(self) -> CRConfig:
        """With a budget that ends before the switch this would be InfoGAN (modified) under another name."""
        if 0 < self.steps < self.switch_step:
            raise ValueError(f"steps = {self.steps} ends before switch_step = {self.switch_step}; set that, too")
        return self

    @model_validator(mode="after")
    def gap_has_its_steps(self) -> CRConfig:
        """A gap without steps would have no effect, nor steps without a gap."""
        if (self.gap > 0) != (self.gap_steps > 0):
            raise ValueError(f"gap = {self.gap} and gap_steps = {self.gap_steps}; set both or neither")
        return self


CIRCULAR: dict[str, Any] = {"batch_size": 30, "code_dim": 2, "information_weight": 0.2}
"""Circular dSprites' settings with and without the regulariser, then the teapots', then CelebA's, as published."""
TEAPOT: dict[str, Any] = {"layout": "teapot", "information_weight": 0.2}
CELEBA: dict[str, Any] = {
    "layout": "celeba",
    "width": 64,
    "batch_size": 128,
    "noise_dim": 100,
    "information_weight": 2.0,
    "g_lr": 2e-3,
    "d_lr": 2e-4,
}
