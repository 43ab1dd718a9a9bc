"""The VAEs: one step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tests.models.equations.parts import SIDE, Adam, Networks, learned, move_all, run


def vae(name: str, nets: Networks, c: Any, x: Tensor, rng: torch.Generator, t: int, kept: Any) -> dict:
    """Rec + the model's own term, and FactorVAE's D."""
    if c.architecture == "mlp":
        enc, dec = "flat F R F R", f"F tanh F tanh F tanh F {SIDE}x{SIDE}"
    else:
        enc = "C:2:1 R C:2:1 R C:2:0 R C:2:0 R flat F R"
        dec = "F R F R 1x1 T:2:1 R T:2:1 R T:2:1 R T:2:1"
    *trunk, to_mean, to_scale = nets["encoder"]
    features = run(enc, trunk, x)
    mean, scale = run("F", [to_mean], features), run("F", [to_scale], features)
    log_variance = 2 * scale if c.encoder_gives == "log-sigma" else scale
    z = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=rng)
    p = run(dec, nets["decoder"], z).sigmoid()
    rec = -(x * p.log() + (1 - x) * (1 - p).log()).sum() / len(x)
    kl = (0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)).sum() / len(x)
    own: Tensor | float = kl
    optimisers: dict[str, Any] = {"vae": Adam(c.lr)}
    players = {"vae": learned(nets["encoder"], nets["decoder"])}
    losses = {}
    if name == "beta-vae":
        own = c.beta * kl
    elif name == "annealed-vae":
        own = c.gamma * (kl - c.c_max * min(1, t / c.c_steps)).abs()
    elif name == "beta-tcvae":
        own = kl + (c.beta - 1) * total_correlation(z, mean, log_variance, c.stratified_over)
    elif name.startswith("dip-vae"):
        centred = mean - mean.mean(dim=0)
        cov = centred.T @ centred / len(x)
        if name == "dip-vae-ii":
            cov = cov + torch.diag(log_variance.exp().mean(dim=0))
        off = sum(cov[i, j] ** 2 for i in range(len(cov)) for j in range(len(cov)) if i != j)
        on = sum((cov[i, i] - 1) ** 2 for i in range(len(cov)))
        own = kl + c.lambda_od * off + (10 if name == "dip-vae-i" else 1) * c.lambda_od * on
    elif name == "factor-vae":
        order = torch.rand(z.shape, generator=rng).argsort(dim=0)
        z_tilde = torch.stack([z.detach()[order[:, d], d] for d in range(z.shape[1])], dim=1)
        words = "F L " * 6 + "F"
        joint, permuted = (run(words, nets["discriminator"], each) for each in (z, z_tilde))
        own = kl + c.gamma * (joint[:, 0] - joint[:, 1]).mean()
        p0, p1 = (logits.softmax(dim=1).clamp(1e-6, 1 - 1e-6) for logits in (joint, permuted))
        losses["discriminator"] = -0.5 * (p0[:, 0].log().mean() + p1[:, 1].log().mean())
        optimisers["discriminator"] = Adam(c.d_lr, 0.5, 0.9)
        players["discriminator"] = learned(nets["discriminator"])
    losses["vae"] = rec + own
    move_all(losses, players, optimisers)
    return losses


def total_correlation(z: Tensor, mean: Tensor, log_variance: Tensor, images: int | None) -> Tensor:
    """E log q(z) − Σ_d log q(z_d) of the batch's mixture, without its constant, or by stratified weights."""
    b, size = z.shape
    total: Any = 0.0
    for i in range(b):
        joint: Any = 0.0
        single: list[Any] = [0.0] * size
        for j in range(b):
            weight = 1.0
            if images is not None:
                m = b - 1
                weight = 1 / images if j == i else 1 / m
                if j == (i + 1) % b:
                    weight = (images - m) / (images * m)
            variance = log_variance[j].exp()
            q = (-((z[i] - mean[j]) ** 2) / (2 * variance)).exp() / (2 * math.pi * variance) ** 0.5
            joint = joint + weight * q.prod()
            single = [s + weight * q[d] for d, s in enumerate(single)]
        total = total + joint.log() - sum(s.log() for s in single)
    return total / b
