"""Hsu et al.'s models: one step, which is five updates of the critic and one of G in GANs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.models.equations.parts import SIDE, Adam, Layer, Networks, learned, normalised, run

GROUPS = 2  # halvings of these images
WORDS = " ".join(["C:1:1 I L C:1:1 I L C:2:1 I L"] * GROUPS) + " flat F R F R"


def style_generator(layers: list[Layer], z: Tensor) -> Tensor:
    """The input map through blocks of T, leaky ReLU, instance norm, a·x + b with (a, b) = R(F(w)); then C, and σ."""
    first, one, two, *blocks, last = layers
    w = run("F R F R", [one, two], z)
    x = first.w.expand(len(z), *first.w.shape)
    for number in range(len(blocks) // 2):
        words = "T:2:1 L" if number % 3 == 2 else "T:1:1 L"
        x = normalised(run(words, [blocks[2 * number]], x))
        a, b = run("F R", [blocks[2 * number + 1]], w).reshape(len(z), 2, x.shape[1], 1, 1).unbind(dim=1)
        x = a * x + b
    return run("C:1:1 sigmoid", [last], x)


@dataclass
class Moved:
    """Adam with β = 0 and 0.9; weights' gradients are clipped, and weights decay by lr·decay of what they were."""

    adam: Adam
    decay: float
    clip: float

    def move(self, layers: list[Layer], loss: Tensor, values: list[Layer] | None = None) -> None:
        """values: what else is moved as biases are."""
        parameters = learned(layers, values or [])
        biases = {id(layer.b) for layer in layers if layer.b is not None} | {id(layer.w) for layer in values or []}
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
        bounded = []
        for theta, g in zip(parameters, gradients, strict=True):
            if id(theta) in biases:
                bounded.append(g)
            else:
                bounded.append(torch.where(g > self.clip, self.clip, torch.where(g < -self.clip, -self.clip, g)))
                theta.data -= self.adam.lr * self.decay * theta.data
        self.adam.move(parameters, bounded)


def quantised(z_hat: Tensor, values: Tensor, c: Any) -> tuple[Tensor, Tensor]:
    """ẑ + sg(q − ẑ), and λ_q·E(sg(ẑ) − q)² + λ_c·E(ẑ − sg(q))²; values: (latents, values)."""
    index = (z_hat.detach()[:, :, None] - values).abs().argmin(dim=2)
    q = values[range(len(values)), index]
    quantisation, commitment = ((z_hat.detach() - q) ** 2).mean(), ((z_hat - q.detach()) ** 2).mean()
    return z_hat - z_hat.detach() + q.detach(), c.quantisation_weight * quantisation + c.commitment_weight * commitment


def wasserstein(name: str, nets: Networks, c: Any, x: Tensor, rng: torch.Generator, t: int, kept: Any) -> dict:
    """E c(x̂) − E c(x) + 10·E(‖∇c(x̃)‖ − 1)², five times, then −E c(x̂); 200·(ẑ − z)² in both where Q is there."""
    informed = name != "wgan-gp"

    def critic(images: Tensor) -> Tensor:
        return run("F", nets["critic"], run(WORDS, nets["trunk"], images))

    def imagine(count: int) -> tuple[Tensor, Tensor]:
        if name == "qlinfowgan-gp":
            index = torch.randint(c.values, (count, c.latents), generator=rng)
            z = nets["quantiser"][0].w[range(c.latents), index]
        else:
            z = torch.rand(count, c.latents, generator=rng)
        return z, style_generator(nets["generator"], z)

    def latents(z: Tensor, fakes: Tensor) -> Tensor | float:
        if not informed:
            return 0.0
        z_hat = run("F", nets["recognition"], run(WORDS, nets["trunk"], fakes))
        if name == "infowgan-gp":
            return c.latent_weight * ((z_hat - z) ** 2).mean()
        through, added = quantised(z_hat, nets["quantiser"][0].w, c)
        return c.latent_weight * ((through - z) ** 2).mean() + added

    parts = [*nets["trunk"], *nets["critic"], *nets.get("recognition", [])]
    for player in ("critic", "generator", "encoder"):
        kept.setdefault(player, Moved(Adam(c.lr, 0.0, 0.9), c.weight_decay, c.clip))
    for reals in x.reshape(5, -1, 1, SIDE, SIDE):
        z, fakes = imagine(len(reals))
        z, fakes = z.detach(), fakes.detach()
        epsilon = torch.rand(len(reals), 1, 1, 1, generator=rng)
        between = (epsilon * reals + (1 - epsilon) * fakes).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = (((slope**2).sum(dim=(1, 2, 3)) ** 0.5 - 1) ** 2).mean()
        value = critic(fakes).mean() - critic(reals).mean()
        losses = {"critic": value + c.penalty * penalty + latents(z, fakes)}
        kept["critic"].move(parts, losses["critic"])
    z, fakes = imagine(c.batch_size // 5)
    losses["generator"] = -critic(fakes).mean() + latents(z, fakes)
    if not informed:
        losses["encoder"] = ((run(WORDS + " F", nets["encoder"], fakes.detach()) - z) ** 2).mean()
        kept["encoder"].move(nets["encoder"], losses["encoder"])
    kept["generator"].move(nets["generator"], losses["generator"], nets.get("quantiser"))
    return losses


def autoencoder(name: str, nets: Networks, c: Any, x: Tensor, rng: torch.Generator, t: int, kept: Any) -> dict:
    """−x·log x̂ − (1 − x)·log(1 − x̂), the mean over pixels; in QLAE of quantised codes, with quantisation's terms."""
    z_hat = run(WORDS + " F", nets["encoder"], x)
    code, added = quantised(z_hat, nets["quantiser"][0].w, c) if name == "qlae" else (z_hat, 0.0)
    p = style_generator(nets["decoder"], code)
    losses = {"autoencoder": -(x * p.log() + (1 - x) * (1 - p).log()).mean() + added}
    kept.setdefault("autoencoder", Moved(Adam(c.lr), c.weight_decay, c.clip))
    kept["autoencoder"].move([*nets["encoder"], *nets["decoder"]], losses["autoencoder"], nets.get("quantiser"))
    return losses
