"""CGAN: one step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.models.equations.parts import CLASSES, COUNT, SIDE, Adam, Layer, Networks, bce, learned, move_all, run


class SGD:
    """θ −= lr·g; in its first step momentum adds nothing."""

    def __init__(self, lr: float) -> None:
        self.lr = lr

    def move(self, parameters: list[Tensor], gradients: Any) -> None:
        for theta, g in zip(parameters, gradients, strict=True):
            theta.data -= self.lr * g


def maxout(layer: Layer, x: Tensor, units: int) -> Tensor:
    """The largest of each unit's linear pieces."""
    return (x @ layer.w.T + layer.b).reshape(len(x), units, -1).max(dim=2).values


def cgan(name: str, nets: Networks, c: Any, x: Tensor, rng: torch.Generator, t: int, kept: Any) -> dict[str, Tensor]:
    """L_D, then L_G of the same fakes with the D that has moved, and ½‖z − ẑ‖² for the encoder."""
    z, y = torch.rand(COUNT, c.z_dim, generator=rng), torch.eye(CLASSES)[torch.arange(COUNT) % CLASSES]

    def dropped(units: Tensor) -> Tensor:
        return units * (torch.rand(units.shape, generator=rng) >= c.dropout) / (1 - c.dropout)

    of_z, of_y, joint, pixels = nets["generator"]
    units = torch.cat([run("F R", [of_z], z), run("F R", [of_y], y)], dim=1)
    units = run("F R", [joint], dropped(units))
    fakes = run(f"F sigmoid {SIDE}x{SIDE}", [pixels], dropped(units))

    def judged(images: Tensor) -> Tensor:
        of_x, of_y, joint, logit = nets["discriminator"]
        seen = [maxout(of_x, images.reshape(COUNT, -1), c.image_maxout[0]), maxout(of_y, y, c.label_maxout[0])]
        return run("F", [logit], dropped(maxout(joint, dropped(torch.cat(seen, dim=1)), c.joint_maxout[0])))

    rates = {"discriminator": SGD(c.d_lr), "generator": SGD(c.g_lr), "encoder": Adam(c.encoder_lr, 0.5)}
    players = {each: learned(nets[each]) for each in rates}
    losses = {"discriminator": bce(judged(x), 1.0) + bce(judged(fakes.detach()), 0.0)}
    move_all(losses, players, rates)
    z_hat = run("flat F R F R F", nets["encoder"], fakes.detach())
    last = {"generator": bce(judged(fakes), 1.0), "encoder": 0.5 * ((z - z_hat) ** 2).sum(dim=1).mean()}
    move_all(last, players, rates)
    return losses | last
