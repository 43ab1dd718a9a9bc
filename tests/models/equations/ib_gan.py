"""IB-GAN and its framework's InfoGAN and GAN: one step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.models.equations.parts import SIDE, Mode, Networks, RMSprop, bce, learned, move_all, run


def ib_gan_framework(name: str, nets: Networks, c: Any, x: Tensor, rng: torch.Generator, t: int, kept: Any) -> dict:
    """L_D; L_GR = L_G − I^L + β·I^U, or InfoGAN's without I^U, or the GAN's L_G alone with q on detached fakes."""
    shared = c.architecture == "b"
    mode = Mode()
    z = torch.randn(len(x), c.z_dim, generator=rng)
    hidden = "F B R F B R F B R F" if shared else "F R F R F"
    mean, log_variance = run(hidden, nets["embedding"], z).chunk(2, dim=1)
    r = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=rng)
    up = "T:1:1 B R T:1:1 B R T:2:1 B R T:2:1 B R T:2:1 tanh"
    fakes = run(f"F B R F B R {SIDE // 8}x{SIDE // 8} {up}", nets["generator"], r)
    sigma = 1 - (t - 1) / 99_999 if not shared else 0.5 - 0.49 * t / c.steps
    front = "C:2:1 L C:2:1 B L C:2:1 B L"
    head = "C:1:1 B L C:1:1 B L C:1:0 B L C:1:0 flat"
    trunk = front + " C:1:1 B L C:1:0 B L"

    def look(images: Tensor) -> tuple[Tensor, Tensor]:
        noisy = images + sigma * torch.randn(images.shape, generator=rng)
        noisy = noisy.clamp(-1, 1)
        if shared:
            noisy = run(front, nets["front"], noisy, mode)
            d = run(head, nets["discriminator"], noisy, mode)
            return d, run(head, nets["reconstructor"], noisy.detach() if name == "gan" else noisy, mode)
        d = run(trunk + " C:1:0 flat", nets["discriminator"], noisy, mode)
        seen = noisy.detach() if name == "gan" else noisy
        return d, run(trunk + " C:1:0 B L C:1:0 flat", nets["reconstructor"], seen, mode)

    fake, z_hat = look(fakes)
    real, _ = look(x)
    label = 0.7 + 0.5 * torch.rand(real.shape, generator=rng) if shared else 1.0
    lower = (0.5 * (z**2 - (z - z_hat) ** 2)).sum(dim=1).mean()
    upper = (0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)).sum(dim=1).mean()
    losses = {"discriminator": bce(fake, 0.0) + bce(real, label), "generator": bce(fake, 1.0)}
    encoder = learned(nets["embedding"], nets["generator"])
    if name == "gan":
        losses["reconstructor"] = -lower
    elif name == "infogan":
        losses["generator"] = losses["generator"] - lower + (100 * upper if upper >= 20 else 0)
    else:
        losses["generator"] = losses["generator"] - lower + c.beta * upper
    q = {"reconstructor": learned(nets["reconstructor"])}
    players = {"discriminator": learned(nets.get("front", []), nets["discriminator"])} | (
        {"generator": encoder} | q if name == "gan" else {"generator": encoder + q["reconstructor"]}
    )
    rates = {"discriminator": RMSprop(c.d_lr), "generator": RMSprop(c.g_lr), "reconstructor": RMSprop(c.g_lr)}
    move_all(losses, players, rates)
    return losses
