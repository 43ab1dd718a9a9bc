"""Settings of Chen et al.'s InfoGAN."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from disentangle_bench.models.base import ModelConfig


class OriginalConfig(ModelConfig):
    """Settings; the defaults are the official ones for MNIST."""

    steps: int = Field(5_000, ge=0, description="updates of each player")
    batch_size: int = Field(128, gt=1, description="images a step")
    layout: Literal["mnist", "celeba", "chairs3d"] = Field("mnist", description="whose layers")
    width: int = Field(64, gt=0, description="channels of D's first layer; all others are multiples of it")
    noise_dim: int = Field(62, ge=0, description="noise z ~ U(−1, 1) that nothing predicts")
    categorical: tuple[Annotated[int, Field(gt=1)], ...] = Field((10,), description="values of each categorical code")
    continuous: int = Field(2, ge=0, description="codes ~ U(−1, 1)")
    lambda_categorical: float = Field(1.0, ge=0, description="λ_d, weight of L_I of categorical codes")
    lambda_continuous: float = Field(1.0, ge=0, description="λ_c, weight of L_I of continuous codes")
    batch_norm: Literal["apart", "together"] = Field("apart", description="whether D and Q see reals and fakes apart")
    fix_std: bool = Field(True, description="Q's σ is 1; else Q predicts it")
    leak: float = Field(0.01, ge=0, description="slope of D's and Q's leaky ReLU: the code's; the paper has 0.1")
    encode_as: Literal["softmax", "argmax"] = Field("softmax", description="a categorical code: probabilities or value")
    d_lr: float = Field(2e-4, gt=0, description="learning rate of D with Q; Adam with β = .5, .999")
    g_lr: float = Field(1e-3, gt=0, description="learning rate of G")

    @model_validator(mode="after")
    def has_a_code(self) -> OriginalConfig:
        """Without any code there is nothing to encode."""
        if not self.categorical and not self.continuous:
            raise ValueError("categorical and continuous are both empty; there must be a code")
        return self


SMALL: dict[str, Any] = {
    "steps": 2_000,
    "batch_size": 64,
    "width": 16,
    "noise_dim": 8,
    "continuous": 5,
    "batch_norm": "together",
    "leak": 0.1,
    "d_lr": 1e-4,
    "g_lr": 5e-4,
}
"""Ours, for studies on a CPU; chosen in six runs on seed 0. On dark images with few bright pixels batch norm over fakes
alone hides from D that they are too bright, so it sees them together with reals."""
