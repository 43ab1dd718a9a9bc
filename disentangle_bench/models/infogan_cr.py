"""InfoGAN-CR: InfoGAN (modified) with a contrastive regulariser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from disentangle_bench.models.adversarial import halvings, init_dcgan
from disentangle_bench.models.base import Batch, Between, Player
from disentangle_bench.models.infogan_cr_networks import trunk
from disentangle_bench.models.infogan_modified import Draws, InfoGANModified, ModifiedConfig, Pairs


class CRConfig(ModifiedConfig):
    """InfoGAN (modified)'s settings and the regulariser's; the defaults are the official ones for dSprites."""

    steps: int = Field(322_560, ge=0, description="updates of H, D and Q; G has two a step")
    alpha: float = Field(2.0, ge=0, description="α, weight of H's loss in G's, from the switch on; 0 before it")
    switch_step: int = Field(288_000, gt=0, description="first step with α; H starts anew there, with its optimiser")
    h_lr: float = Field(2e-3, gt=0, description="learning rate of H")

    @model_validator(mode="after")
    def reaches_the_switch(self) -> CRConfig:
        """With a budget that ends before the switch this would be InfoGAN (modified) under another name."""
        if 0 < self.steps < self.switch_step:
            raise ValueError(f"steps = {self.steps} ends before switch_step = {self.switch_step}; set that, too")
        return self


class InfoGANCR(InfoGANModified):
    """Lin et al. 2020: L_G = −log D(x̂) + λ·NLL + α·CE(H), L_H = CE(H), in the order H, D with Q, G, G.

    H sees two images whose latents have one code and the noise in common, and predicts which code. It trains from the
    first step, but G feels it from `switch_step` on, before which H and its Adam start anew. The gap that the paper
    keeps between the codes that differ is 0 for dSprites. Until the switch its G, D and Q are InfoGAN (modified)'s.
    `small` is ours: InfoGAN (modified)'s, with α in the last fifth of its steps, chosen in two runs on seed 0.
    """

    name = "infogan-cr"
    search_space: ClassVar = InfoGANModified.search_space | {"alpha": Between(0.2, 5.0)}
    Config = CRConfig
    configurations: ClassVar = {
        "dsprites": CRConfig(),
        "small": CRConfig(steps=2_000, switch_step=1_600, width=16, information_weight=0.3),
    }
    phases = ("contrast_losses", *InfoGANModified.phases)
    config: CRConfig

    def __init__(self, config: CRConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.image_shape = image_shape
        self.contrast = self.new_contrast()

    def new_contrast(self) -> nn.Sequential:
        """H: two images stacked, (N, 2C, H, W), to a logit for each code; spectral norm on all layers but the last."""
        times, side = halvings(self.name, self.image_shape)
        head = nn.Linear(4 * self.config.width, self.config.code_dim)
        init_dcgan(head)
        return nn.Sequential(trunk(2 * self.image_shape[0], times, side, self.config.width), head)

    def players(self) -> dict[str, Player]:
        """H beside the others."""
        return super().players() | {"contrast": self.player(self.config.h_lr, [*self.contrast.parameters()])}

    def events(self) -> Mapping[int, tuple[str, ...]]:
        """H starts anew at the switch."""
        return {self.config.switch_step: ("contrast",)}

    def reset(self, player: str) -> None:
        """New weights for H, and new vectors of its spectral norm."""
        self.contrast.load_state_dict(self.new_contrast().state_dict())

    def contrast_losses(self, draws: Draws, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_H."""
        with torch.no_grad():
            images = self.paired(draws.pairs)
        return {"contrast": F.cross_entropy(self.contrast(images), draws.pairs.equal)}

    def generator_losses(self, draws: Draws, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_G with α_t·CE(H)."""
        alpha = torch.where(step >= self.config.switch_step, self.config.alpha, 0.0)
        contrast = F.cross_entropy(self.contrast(self.paired(draws.pairs)), draws.pairs.equal)
        return {"generator": super().generator_losses(draws, rng, step)["generator"] + alpha * contrast}

    def paired(self, pairs: Pairs) -> Tensor:
        """The images of each pair, stacked on their channels: (B, 2C, H, W)."""
        return torch.cat([self.generator(pairs.first), self.generator(pairs.second)], dim=1)

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """InfoGAN (modified)'s, and how often H is right about 1,000 pairs."""
        curves = super().diagnostics(batch, rng, step)
        pairs = self.draw_pairs(1_000, rng)
        accuracy = (self.contrast(self.paired(pairs)).argmax(dim=1) == pairs.equal).float().mean()
        return curves | {"contrast_accuracy": accuracy}
