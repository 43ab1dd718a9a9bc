"""C-InfoGAN: InfoGAN whose generator and discriminator are given class labels."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from disentangle_bench.models import infogan_networks as networks
from disentangle_bench.models.adversarial import init_dcgan, one_hot
from disentangle_bench.models.base import Player
from disentangle_bench.models.infogan_config import SMALL, OriginalConfig
from disentangle_bench.models.infogan_networks import Guess
from disentangle_bench.models.infogan_original import InfoGANOriginal


class CInfoGANConfig(OriginalConfig):
    """InfoGAN's settings; two continuous codes, for the label stands for the category."""

    categorical: tuple[Annotated[int, Field(gt=1)], ...] = Field(
        (), description="values of each categorical code beside the label"
    )


class CInfoGAN(InfoGANOriginal):
    """min over G_c, Q and max over D_c of V(D_c, G_c) − λ·L_I(G_c, Q), with G(z, c, y), D(x, y) and Q(c|x).

    y joins G's input as a one-hot and D's as constant maps. Q predicts c and never y. In InfoGAN it shares D's layers,
    but those have seen y here, and a code must be a function of the image alone: so Q has layers of D's form of its
    own, which D's optimiser moves too. L_I is subtracted, as in InfoGAN; where its formula is printed with a plus, G
    would lower the information. No source gives rates or sizes: they are InfoGAN's. Codes stand for images of class 0.
    """

    name = "c-infogan"
    paper = "InfoGAN (Chen et al. 2016) with the labels of CGAN (Mirza & Osindero 2014)"
    code_source = "recognition network, labels given"
    conditional = True
    Config = CInfoGANConfig
    configurations: ClassVar = {
        "mnist": CInfoGANConfig(),
        "small": CInfoGANConfig.model_validate(SMALL),
    }
    config: CInfoGANConfig

    def __init__(self, config: CInfoGANConfig, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, image_shape, classes)
        layout = networks.LAYOUTS[config.layout]
        self.reader, _ = networks.trunk(layout, image_shape[0], image_shape[1], config.width, config.leak)
        init_dcgan(self.reader, truncated=True)

    def players(self) -> dict[str, Player]:
        """D with Q, and G."""
        players = super().players()
        d = players["discriminator"]
        return players | {"discriminator": Player([*d.parameters, *self.reader.parameters()], d.optimiser)}

    def make(self, noise: Tensor, codes: Tensor, labels: Tensor | None) -> Tensor:
        """G of noise (B, noise_dim), codes (B, ΣK + continuous) and labels (B,); of class 0 without labels."""
        if labels is None:
            labels = torch.zeros(len(codes), dtype=torch.int64, device=codes.device)
        return super().make(noise, torch.cat([codes, one_hot(labels, self.classes)], dim=1), labels)

    def look(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Guess]:
        """D(x, y)'s logits, (B, 1), and Q's guess from x alone."""
        if labels is None:
            raise ValueError("D needs labels")
        y = one_hot(labels, self.classes)[:, :, None, None]
        maps = y.expand(-1, -1, *images.shape[2:])  # (B, classes, H, W)
        return self.discriminator(self.trunk(torch.cat([images, maps], dim=1))), self.guess(images)

    def guess(self, images: Tensor) -> Guess:
        """Q's guess."""
        return self.split(self.recognition(self.reader(images)))
