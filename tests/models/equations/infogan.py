"""Chen et al.'s InfoGAN, C-InfoGAN and DCGAN: one step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tests.models.equations.parts import (
    CLASSES,
    COUNT,
    SIDE,
    Adam,
    Mode,
    Networks,
    bce,
    learned,
    move_all,
    run,
    uniform,
)


def infogan_original(name: str, nets: Networks, c: Any, x: Tensor, rng: torch.Generator, t: int, kept: Any) -> dict:
    """V(D, G) − λ_d·L_I,disc − λ_c·L_I,cont; C-InfoGAN's Q has D's layers for itself, and G and D are given labels."""
    conditional, y = name == "c-infogan", torch.arange(COUNT) % CLASSES
    hot = torch.eye(CLASSES)[y]
    g, trunk, d, q = (nets[k] for k in ("generator", "trunk", "discriminator", "recognition"))
    g_words = f"F B R F B R {SIDE // 4}x{SIDE // 4} T:2:1 B R T:2:1 sigmoid"
    words, mode, still = "C:2:1 L C:2:1 B L flat F B L", Mode(0.01, 0.01), Mode(0.01, 0.01, still=True)
    optimisers = {"discriminator": Adam(c.d_lr, 0.5), "generator": Adam(c.g_lr, 0.5)}

    def imagine() -> tuple[Tensor, list[Tensor], Tensor]:
        z = uniform(COUNT, c.noise_dim, rng)
        categories = [torch.randint(size, (COUNT,), generator=rng) for size in c.categorical]
        continuous = uniform(COUNT, c.continuous, rng)
        hots = [torch.eye(size)[k] for k, size in zip(categories, c.categorical, strict=True)]
        return run(g_words, g, torch.cat([z, *hots, continuous, *[hot] * conditional], dim=1)), categories, continuous

    def look(images: Tensor, mode: Mode) -> tuple[Tensor, Tensor]:
        seen = images
        if conditional:
            maps = hot[:, :, None, None].expand(-1, -1, SIDE, SIDE)
            seen = torch.cat([images, maps], dim=1)
        features = run(words, trunk, seen, mode)
        own = run(words, nets["reader"], images, mode) if conditional else features
        return run("F", d, features, mode), run("F B L F", q, own, mode)

    def information(outputs: Tensor, categories: list[Tensor], continuous: Tensor) -> Tensor:
        *logits, mean, _ = outputs.split([*c.categorical, c.continuous, c.continuous], dim=1)
        total = (-0.5 * (continuous - mean) ** 2 + 0.5 * continuous**2).mean(dim=0).sum() * c.lambda_continuous
        for scores, k in zip(logits, categories, strict=True):
            log_q = scores.log_softmax(dim=1)[range(COUNT), k].mean()
            total = total + c.lambda_categorical * (math.log(scores.shape[1]) + log_q)
        return total

    fakes, *latents = imagine()
    real, _ = look(x, mode)
    fake, guess = look(fakes.detach(), still)
    losses = {"discriminator": bce(real, 1.0) + bce(fake, 0.0) - information(guess, *latents)}
    moved = learned(trunk, d, q, nets.get("reader", []))
    move_all(losses, {"discriminator": moved}, optimisers)
    fakes, *latents = imagine()
    fake, guess = look(fakes, still)
    last = {"generator": bce(fake, 1.0) - information(guess, *latents)}
    move_all(last, {"generator": learned(g)}, optimisers)
    return losses | last


def dcgan(name: str, nets: Networks, c: Any, x: Tensor, rng: torch.Generator, t: int, kept: Any) -> dict:
    """L_D, then L_G of the same fakes with the D that has moved, and ½‖z − ẑ‖² for the encoder."""
    z = torch.randn(len(x), c.z_dim, generator=rng)
    fakes = run("1x1 T:1:0 B R T:2:1 B R T:2:1 tanh", nets["generator"], z)
    words, d = "C:2:1 L C:2:1 B L C:1:0 flat", nets["discriminator"]
    rates = {"discriminator": Adam(c.d_lr, 0.5), "generator": Adam(c.g_lr, 0.5), "encoder": Adam(c.g_lr, 0.5)}
    players = {each: learned(nets[each]) for each in rates}
    real = run(words, d, x)
    losses = {"discriminator": bce(real, 1.0) + bce(run(words, d, fakes.detach()), 0.0)}
    move_all(losses, players, rates)
    z_hat = run(words, nets["encoder"], fakes.detach())
    run(words, nets["encoder"], x)
    last = {"generator": bce(run(words, d, fakes), 1.0), "encoder": 0.5 * ((z - z_hat) ** 2).sum(dim=1).mean()}
    move_all(last, players, rates)
    return losses | last
