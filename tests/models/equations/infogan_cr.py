"""InfoGAN-CR, and InfoGAN (modified), which is the same without H: one step, as TensorFlow 1 computes it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tests.models.equations.parts import SIDE, Mode, Networks, learned, move_all, power, run, uniform


def infogan_cr(name: str, nets: Networks, c: Any, x: Tensor, rng: torch.Generator, t: int, kept: dict) -> dict:
    """H, D with Q, G, G; then spectral norm's vectors. InfoGAN (modified) is this without H."""
    if c.layout == "celeba":
        g_words = f"F B R F B R {SIDE // 4}x{SIDE // 4} T:2:2:1 B R T:2:2:1 tanh"
        shared_words, q_words = "C:2:2 L C:2:2 L C:2:2 L flat", "F"
    else:
        g_words = f"F R B F R B {SIDE // 4}x{SIDE // 4} T:2:1 L B T:2:1 sigmoid"
        shared_words, q_words = "C:2:1 L C:2:1 L flat F L", "F L F"
    regularised, alpha = name == "infogan-cr", 0.0
    train, test = Mode(at_zero=1.0), Mode(at_zero=1.0, test=True)
    g, shared, d, q, h = (nets.get(k) for k in ("generator", "shared", "discriminator", "recognition", "contrast"))

    codes, noise = uniform(len(x), c.code_dim, rng), uniform(len(x), c.noise_dim, rng)
    latents = torch.cat([codes, noise], dim=1)
    equal = torch.randint(c.code_dim, (len(x), 1), generator=rng).squeeze(1)
    first, second = uniform(len(x), c.code_dim, rng), uniform(len(x), c.code_dim, rng)
    for i, k in enumerate(equal):
        second[i, k] = first[i, k]
    pair_noise = uniform(len(x), c.noise_dim, rng)
    pairs = [torch.cat([each, pair_noise], dim=1) for each in (first, second)]
    switched = regularised and t >= c.switch_step

    def ce(mode: Mode) -> Tensor:
        images = torch.cat([run(g_words, g, each, mode) for each in pairs], dim=1)
        logits = run(shared_words + " F", h, images, train)
        return -logits.log_softmax(dim=1)[range(len(x)), equal].mean()

    def judged(images: Tensor) -> tuple[Tensor, Tensor]:
        features = run(shared_words, shared, images, train)
        return run("F", d, features, train).sigmoid(), run(q_words, q, features, train)

    def nll(guess: Tensor) -> Tensor:
        return (0.5 * (codes - guess) ** 2 + 0.5 * math.log(2 * math.pi)).sum(dim=1).mean()

    losses = {}
    if regularised:
        losses["contrast"] = ce(train if switched else test)
        move_all({"contrast": losses["contrast"]}, {"contrast": learned(h)}, kept)
        alpha = c.alpha if switched else 0.0
    fakes = run(g_words, g, latents, train).detach()
    (real, _), (fake, guess) = judged(x), judged(fakes)
    adversarial = -(real + 1e-8).log().mean() - (1 - fake + 1e-8).log().mean()
    losses["discriminator"] = adversarial + c.information_weight * nll(guess)
    move_all({"discriminator": losses["discriminator"]}, {"discriminator": learned(shared, d, q)}, kept)
    for _ in range(2):
        penalty = alpha * ce(train) if alpha else 0.0
        fake, guess = judged(run(g_words, g, latents, train))
        losses["generator"] = -(fake + 1e-8).log().mean() + c.information_weight * nll(guess) + penalty
        move_all({"generator": losses["generator"]}, {"generator": learned(g)}, kept)
    for layers in nets.values():
        for layer in layers:
            if layer.u is not None:
                layer.u = power(layer)[1].detach()
    return losses
