"""InfoGAN-CR: InfoGAN (modified) with a contrastive regulariser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disentangle_bench.models import infogan_cr_celeba as celeba
from disentangle_bench.models.adversarial import halvings
from disentangle_bench.models.base import Batch, Between, Player
from disentangle_bench.models.infogan_cr_config import CELEBA, CIRCULAR, TEAPOT, CRConfig
from disentangle_bench.models.infogan_cr_networks import contrast_with_batch_norm, initialise, trunk
from disentangle_bench.models.infogan_modified import Draws, InfoGANModified, Pairs
from disentangle_bench.models.tensorflow1 import in_test_mode, moving_averages_where


class InfoGANCR(InfoGANModified):
    """Lin et al. 2020: L_G = −log D(x̂) + λ·NLL + α·CE(H), L_H = CE(H), in the order H, D with Q, G, G.

    H sees two images whose latents have one code and the noise in common, and predicts which code. It trains from the
    first step, but G feels it from `switch_step` on, before which H and its Adam start anew. Until then H learns from
    images that G makes in test mode. The teapots' pairs keep a
    gap between codes that differ until `gap_steps`, after which H starts anew once more. Until the switch G, D and Q
    are InfoGAN (modified)'s. `small` is ours: InfoGAN (modified)'s, with α in the last fifth of its steps, chosen in
    two runs on seed 0. Steps count from 1, the official iterations from 0.
    """

    name = "infogan-cr"
    search_space: ClassVar = InfoGANModified.search_space | {"alpha": Between(0.2, 5.0)}
    Config = CRConfig
    configurations: ClassVar = {
        "dsprites": CRConfig(),
        "dsprites-circular": CRConfig(**CIRCULAR, steps=288_000, switch_step=216_001),
        "teapot": CRConfig(**TEAPOT, steps=125_000, switch_step=50_001, alpha=3.0, gap=1.9, gap_steps=85_000),
        "celeba-infogan-cr": CRConfig(**CELEBA, steps=90_174, switch_step=80_001, alpha=1.0, h_lr=2e-4),
        "small": CRConfig(steps=2_000, switch_step=1_600, width=16, information_weight=0.3),
    }
    phases = ("contrast_losses", *InfoGANModified.phases)
    config: CRConfig

    def __init__(self, config: CRConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__(config, image_shape)
        self.image_shape = image_shape
        self.contrast = self.new_contrast()

    def new_contrast(self) -> nn.Sequential:
        """H: two images stacked, (N, 2C, H, W), to a logit for each code; its last layer never has spectral norm."""
        times, side = halvings(self.name, self.image_shape)
        layout, channels, n = self.config.layout, 2 * self.image_shape[0], self.config.width
        head = nn.Linear(celeba.features(times, side, n) if layout == "celeba" else 4 * n, self.config.code_dim)
        initialise(head)
        if layout == "celeba":
            return nn.Sequential(celeba.contrast(channels, times, n), head)
        body = contrast_with_batch_norm if layout == "teapot" else trunk
        return nn.Sequential(body(channels, times, side, n), head)

    def players(self) -> dict[str, Player]:
        """H beside the others."""
        return super().players() | {"contrast": self.player(self.config.h_lr, [*self.contrast.parameters()])}

    def events(self) -> Mapping[int, tuple[str, ...]]:
        """H starts anew at the switch, and after the steps with a gap."""
        after_gap = {self.config.gap_steps + 1: ("contrast",)} if self.config.gap_steps else {}
        return {self.config.switch_step: ("contrast",)} | after_gap

    def reset(self, player: str) -> None:
        """New weights for H; the vectors of its spectral norm stay, as in the official code."""
        new = {name: value for name, value in self.new_contrast().state_dict().items() if not name.endswith(".u")}
        self.contrast.load_state_dict(new, strict=False)

    def contrast_losses(self, draws: Draws, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_H, of images that G makes in test mode until the switch, and in training mode from then on."""
        switched = step >= self.config.switch_step
        with torch.no_grad():
            with in_test_mode(self.generator):
                before = self.paired(draws.pairs, step)
            with moving_averages_where(switched, self.generator):
                images = torch.where(switched, self.paired(draws.pairs, step), before)
        return {"contrast": F.cross_entropy(self.contrast(images), draws.pairs.equal)}

    def generator_losses(self, draws: Draws, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_G with α_t·CE(H); G's moving averages know nothing of the pairs until the switch."""
        switched = step >= self.config.switch_step
        alpha = torch.where(switched, self.config.alpha, 0.0)
        with moving_averages_where(switched, self.generator):
            images = self.paired(draws.pairs, step)
        contrast = F.cross_entropy(self.contrast(images), draws.pairs.equal)
        return {"generator": super().generator_losses(draws, rng, step)["generator"] + alpha * contrast}

    def paired(self, pairs: Pairs, step: Tensor) -> Tensor:
        """The images of each pair, stacked on their channels: (B, 2C, H, W)."""
        pairs = self.apart(pairs, step)
        return torch.cat([self.generator(pairs.first), self.generator(pairs.second)], dim=1)

    def apart(self, pairs: Pairs, step: Tensor) -> Pairs:
        """The pairs with gap_t or more between codes that differ: scaled by 1 − gap_t/2, then moved out by gap_t/2."""
        half = torch.where(step <= self.config.gap_steps, self.config.gap / 2, 0.0)
        sign = torch.sign(pairs.first - pairs.second)  # (B, code_dim + noise_dim), 0 where they are equal
        scale = 1 - half * sign.abs()
        return replace(pairs, first=scale * pairs.first + half * sign, second=scale * pairs.second - half * sign)

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """InfoGAN (modified)'s, and how often H is right about 1,000 pairs."""
        curves = super().diagnostics(batch, rng, step)
        pairs = self.draw_pairs(1_000, rng)
        accuracy = (self.contrast(self.paired(pairs, step)).argmax(dim=1) == pairs.equal).float().mean()
        return curves | {"contrast_accuracy": accuracy}
