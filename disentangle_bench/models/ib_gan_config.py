"""Settings of IB-GAN's framework, and those that its configurations have in common."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from disentangle_bench.models.base import ModelConfig


class FrameworkConfig(ModelConfig):
    """Settings of the framework; the defaults are the official ones for dSprites."""

    architecture: Literal["a", "b"] = Field(
        "a", description="a: model.py's (dSprites); b: model2.py's (CelebA, chairs)"
    )
    steps: int = Field(150_000, ge=0, description="updates of each player")
    batch_size: int = Field(64, gt=1, description="images a step")
    ngf: int = Field(16, gt=0, description="width of G")
    ndf: int = Field(16, gt=0, description="width of D and q")
    z_dim: int = Field(16, gt=0, description="dimensions of z")
    r_dim: int = Field(10, gt=0, description="dimensions of r, which are the code's")
    gamma: float = Field(1.0, ge=0, description="weight of the generator's adversarial loss")
    optimiser: Literal["rmsprop", "adam"] = Field("rmsprop", description="RMSprop(momentum .9) or Adam(.5, .999)")
    d_lr: float = Field(1e-6, gt=0, description="learning rate of D")
    g_lr: float = Field(5e-5, gt=0, description="learning rate of e, G and q")
    noise_start: float = Field(1.0, ge=0, description="instance noise σ at step 1")
    noise_end: float = Field(0.0, ge=0, description="instance noise σ from step `noise_steps` on")
    noise_steps: int = Field(100_000, gt=1, description="step from which on σ is `noise_end`; it falls linearly")
    noise_first: Literal[0, 1] = Field(
        1, description="step at which σ is `noise_start`: 1 in solver.py, 0 in solver2.py"
    )
    real_label_low: float = Field(1.0, gt=0, description="reals' labels in L_D are uniform from here")
    real_label_high: float = Field(1.0, gt=0, description="to here, drawn for each sample")

    @model_validator(mode="after")
    def labels_in_order(self) -> FrameworkConfig:
        """The interval of real labels must not run backwards."""
        if self.real_label_low > self.real_label_high:
            raise ValueError(f"real_label_low = {self.real_label_low} lies above real_label_high; swap them")
        return self


ARCHITECTURE_B: dict[str, Any] = {
    "architecture": "b",
    "z_dim": 64,
    "d_lr": 2e-6,
    "noise_start": 0.5,
    "noise_end": 0.01,
    "noise_first": 0,
    "real_label_low": 0.7,
    "real_label_high": 1.2,
}
"""The official settings that CelebA and 3D Chairs have in common; their noise falls until the last step."""

SMALL: dict[str, Any] = {
    "steps": 2_500,
    "ngf": 8,
    "ndf": 8,
    "optimiser": "adam",
    "d_lr": 1e-4,
    "g_lr": 1e-3,
    "noise_start": 0.5,
    "noise_steps": 1_000,
}
"""Ours, for studies on a CPU: half the width, Adam at higher rates, and noise that fades within the short budget."""
