"""CGAN's networks: dense layers, maxout, dropout from a generator that is passed; and SGD with its schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

Rng = torch.Generator | None  # None outside training, where nothing is drawn


class Dropout(nn.Module):
    """Units dropped with probability `share` in training and the others scaled by 1 / (1 − share)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, units: Tensor, rng: Rng) -> Tensor:
        """units (B, U); the mask is drawn with `rng`."""
        if not self.training or self.share == 0:
            return units
        kept = torch.rand(units.shape, generator=rng, device=units.device) >= self.share
        return units * kept / (1 - self.share)


class Maxout(nn.Module):
    """Goodfellow et al. 2013: each unit is the largest of its linear pieces; (N, inputs) to (N, units)."""

    def __init__(self, inputs: int, units: int, pieces: int) -> None:
        super().__init__()
        self.units = units
        self.linear = nn.Linear(inputs, units * pieces)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, inputs)."""
        return self.linear(inputs).unflatten(1, (self.units, -1)).amax(dim=2)


class Generator(nn.Module):
    """G: z (N, z_dim) and one-hot y (N, classes) to images (N, C, H, W) in [0, 1].

    units: of the layer for z, of the one for y, and of the joint one; 200, 1000, 1200 in the paper.
    """

    def __init__(
        self,
        z_dim: int,
        classes: int,
        image_shape: tuple[int, int, int],
        units: tuple[int, int, int],
        dropout: float,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        z_units, label_units, joint_units = units
        self.of_z = nn.Linear(z_dim, z_units)
        self.of_label = nn.Linear(classes, label_units)
        self.joint = nn.Linear(z_units + label_units, joint_units)
        self.pixels = nn.Linear(joint_units, math.prod(image_shape))
        self.norm = nn.BatchNorm1d(z_units + label_units) if batch_norm else nn.Identity()
        self.joint_norm = nn.BatchNorm1d(joint_units) if batch_norm else nn.Identity()
        self.image_shape = image_shape
        self.dropout = Dropout(dropout)

    def forward(self, z: Tensor, label: Tensor, rng: Rng) -> Tensor:
        """x̂ = G(z, y)."""
        units = self.norm(torch.cat([self.of_z(z), self.of_label(label)], dim=1)).relu()  # (N, 1200)
        units = self.joint_norm(self.joint(self.dropout(units, rng))).relu()  # (N, 1200)
        return self.pixels(self.dropout(units, rng)).sigmoid().unflatten(1, self.image_shape)


class Discriminator(nn.Module):
    """D: images (N, C, H, W) and one-hot y (N, classes) to logits (N, 1).

    maxouts: units and pieces of the layer for x, of the one for y, and of the joint one; 240×5, 50×5, 240×4.
    """

    def __init__(
        self, classes: int, image_shape: tuple[int, int, int], maxouts: tuple[tuple[int, int], ...], dropout: float
    ) -> None:
        super().__init__()
        of_image, of_label, joint = maxouts
        self.of_image = Maxout(math.prod(image_shape), *of_image)
        self.of_label = Maxout(classes, *of_label)
        self.joint = Maxout(of_image[0] + of_label[0], *joint)
        self.logit = nn.Linear(joint[0], 1)
        self.dropout = Dropout(dropout)

    def forward(self, images: Tensor, label: Tensor, rng: Rng) -> Tensor:
        """D(x, y)."""
        units = torch.cat([self.of_image(images.flatten(1)), self.of_label(label)], dim=1)  # (N, 290)
        units = self.joint(self.dropout(units, rng))  # (N, 240)
        return self.logit(self.dropout(units, rng))


class ScheduledSGD(torch.optim.SGD):
    """SGD whose rate is divided by `decay` after each update down to `floor`, and whose momentum rises linearly.

    Both are fields of the parameter group, so a checkpoint holds them.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        decay: float,
        floor: float,
        momentum: tuple[float, float],
        momentum_steps: int,
    ) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum[0])
        self.decay, self.floor = decay, floor
        self.momentum, self.rise = momentum, (momentum[1] - momentum[0]) / momentum_steps  # rise: an update

    def step(self, closure: Any = None) -> Any:
        """One update, then the next one's rate and momentum."""
        result = super().step(closure)
        low, high = min(self.momentum), max(self.momentum)
        for group in self.param_groups:
            group["lr"] = max(group["lr"] / self.decay, self.floor)
            group["momentum"] = min(max(group["momentum"] + self.rise, low), high)
        return result
