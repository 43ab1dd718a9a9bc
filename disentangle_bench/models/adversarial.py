"""What the GANs beside IB-GAN's framework share: the two losses, bounds on information, and networks' common parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disentangle_bench.errors import UserError

NORMAL_ENTROPY = 0.5 * (1 + math.log(2 * math.pi))  # nats, of N(0, 1)
UNIFORM_ENTROPY = math.log(2.0)  # nats, of U(−1, 1)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """L_D = −E log D(x) − E log(1 − D(x̂)), where D is the sigmoid of its logit."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """L_G = −E log D(x̂), the non-saturating form."""
    return F.softplus(-fake_logits).mean()


def squared_error(codes: Tensor, means: Tensor) -> Tensor:
    """E Σ_d ½(z_d − ẑ_d)², −E log N(z; ẑ, I) without its constant: what an encoder beside a GAN minimises."""
    return 0.5 * (codes - means).square().sum(dim=1).mean()


def gaussian_information(entropy: float, codes: Tensor, means: Tensor) -> Tensor:
    """H(c) + max over σ of E log N(c; ĉ, σ²) = H(c) − ½ log(2πe·E(c − ĉ)²) ≤ I(c; x̂), by code, (D,), in nats.

    entropy: H of each code. It is the tightest bound that a Gaussian of one width around ĉ gives; for a uniform code
    of which nothing is known it is −0.18, not 0.
    """
    return entropy - 0.5 * (math.log(2 * math.pi * math.e) + (codes - means).square().mean(dim=0).log())


def information_curves(bounds: dict[str, Tensor]) -> dict[str, Tensor]:
    """`information_NAME` for each independent code, and their sum `information_lower`."""
    total = torch.stack(list(bounds.values())).sum()
    return {"information_lower": total} | {f"information_{name}": value for name, value in bounds.items()}


def uniform(count: int, size: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """U(−1, 1), (count, size)."""
    return 2 * torch.rand(count, size, generator=rng, device=device) - 1


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """int64 (B,) as float32 (B, classes)."""
    return torch.eye(classes, device=labels.device)[labels]  # torch's own reads the labels on the host


@contextmanager
def without_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norm normalises by its batch, in training mode, and leaves its running statistics as they are."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def halvings(model: str, image_shape: tuple[int, int, int], most: int = 16) -> tuple[int, int]:
    """How often a square image is halved until its side is below 8, at most `most` times, and that side.

    28 → (2, 7), 32 → (3, 4), 64 → (4, 4). `UserError` where an odd side is met before, or the image isn't square.
    """
    _, height, width = image_shape
    times, side = 0, height
    while side >= 8 and side % 2 == 0 and times < most:
        times, side = times + 1, side // 2
    if height != width or times == 0 or (side >= 8 and times < most):
        raise UserError(
            f"{model}: its networks take square images that halve to a side of 4 to 7, such as 16, 28, 32 or 64, the "
            f"dataset's are {height}×{width}; choose another dataset."
        )
    return times, side


def init_dcgan(module: nn.Module, truncated: bool = False) -> None:
    """Weights N(0, 0.02²), biases 0, batch-norm weights N(1, 0.02²); `truncated`: convolutions' at two deviations."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and truncated:
            nn.init.trunc_normal_(layer.weight, 0.0, 0.02, -0.04, 0.04)
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
        if isinstance(getattr(layer, "bias", None), Tensor):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def gradient_penalty(critic: Callable[[Tensor], Tensor], reals: Tensor, fakes: Tensor, rng: torch.Generator) -> Tensor:
    """E (‖∇c(x̃)‖₂ − 1)², x̃ = ε·x + (1 − ε)·x̂, with ε ~ U(0, 1) an image and the norm over the whole image.

    reals, fakes: x and x̂, (B, C, H, W). Gulrajani et al. 2017, equation 3. It can be differentiated once more by the
    critic's parameters, if the critic is `as_written`; no image's score may depend on the other images.
    """
    epsilon = torch.rand(len(reals), 1, 1, 1, generator=rng, device=reals.device)
    between = (epsilon * reals + (1 - epsilon) * fakes.detach()).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def as_written(network: nn.Module, inputs: Tensor) -> Tensor:
    """A network's output by its class's own `forward`, in float32, whatever a training step runs in its place.

    Code that torch.compile made can't be differentiated twice, and a second derivative is too fine for bfloat16.
    """
    return type(network).forward(network, inputs)
