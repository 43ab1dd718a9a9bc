"""The networks of Hsu et al.'s latent quantisation, and their optimiser; GANs and autoencoders share them.

Shapes stand beside the layers for 64×64 images. Images that are halved to another side, or more or less often, have
another inner side, or more or fewer groups of blocks; each group has twice the width of the one before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

LEAK = 0.2  # slope of the leaky ReLU
EPSILON = 1e-6  # of instance norm


def instance_norm(channels: int, affine: bool) -> nn.Module:
    """Each channel of an image by its own mean and variance, in training and evaluation alike."""
    return nn.InstanceNorm2d(channels, eps=EPSILON, affine=affine)


def kernels(blocks: int) -> list[tuple[int, int]]:
    """(kernel, stride) of a group's convolutions: 3×3 that keep the side, and a last 4×4 that halves or doubles it."""
    return [(3, 1)] * (blocks - 1) + [(4, 2)]


def dense(inputs: int, hidden: tuple[int, ...]) -> list[nn.Module]:
    """Linear layers with ReLU, of these widths."""
    layers: list[nn.Module] = []
    for outputs in hidden:
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        inputs = outputs
    return layers


def trunk(channels: int, times: int, side: int, width: int, blocks: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """E's trunk: images (N, channels, H, W) to features (N, hidden[-1])."""
    layers: list[nn.Module] = []
    for group in range(times):  # (32, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4)
        outputs = width * 2**group
        for kernel, stride in kernels(blocks):
            layers += [nn.Conv2d(channels, outputs, kernel, stride, 1, bias=False)]
            layers += [instance_norm(outputs, affine=True), nn.LeakyReLU(LEAK)]
            channels = outputs
    return nn.Sequential(*layers, nn.Flatten(), *dense(channels * side * side, hidden))


class StyleBlock(nn.Module):
    """A transposed convolution, leaky ReLU and instance norm, then a·x + b with (a, b) = ReLU of a linear map of w."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, styles: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(inputs, outputs, kernel, stride, 1, bias=False)
        bound = 1 / math.sqrt(inputs * kernel**2)  # Equinox's; torch's own has `outputs` here
        nn.init.uniform_(self.convolution.weight, -bound, bound)
        self.activation = nn.LeakyReLU(LEAK)
        self.norm = instance_norm(outputs, affine=False)
        self.style = nn.Sequential(nn.Linear(styles, 2 * outputs), nn.ReLU())

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)
        return self.norm(self.activation(self.convolution(x))) * scale + shift


class StyleGenerator(nn.Module):
    """G, or an autoencoder's decoder: z (N, latents) to logits (N, channels, H, W), from one learned input map."""

    def __init__(
        self, latents: int, channels: int, times: int, side: int, width: int, blocks: int, hidden: tuple[int, ...]
    ) -> None:
        super().__init__()
        inputs = width * 2 ** (times - 1)
        self.input_map = nn.Parameter(torch.full((inputs, side, side), 0.1))  # (256, 4, 4)
        self.mapping = nn.Sequential(*dense(latents, hidden))
        self.blocks = nn.ModuleList()
        for group in reversed(range(times)):  # (256, 8, 8), (128, 16, 16), (64, 32, 32), (32, 64, 64)
            outputs = width * 2**group
            for kernel, stride in kernels(blocks):
                self.blocks.append(StyleBlock(inputs, outputs, kernel, stride, hidden[-1]))
                inputs = outputs
        self.last = nn.Conv2d(inputs, channels, 3, 1, 1, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        w = self.mapping(z)
        x = self.input_map.expand(len(z), -1, -1, -1)
        for block in self.blocks:
            x = block(x, w)
        return self.last(x)


class ClippedAdamW(torch.optim.AdamW):
    """AdamW that clips each gradient's elements at ±`clip` in the groups of parameters that name one."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update."""
        for group in self.param_groups:
            if group.get("clip") is not None:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad = parameter.grad.clamp(-group["clip"], group["clip"])
        return super().step(closure)


def optimiser(
    modules: Iterable[nn.Module], lr: float, betas: tuple[float, float], decay: float, clip: float
) -> Callable[[list[nn.Parameter]], torch.optim.Optimizer]:
    """The authors' optimiser of these modules' parameters, in their order.

    Biases, and what a module names `values`, have Adam without decay or clipping; all others, the weights of instance
    norm and the input map too, AdamW after clipping.
    """
    free = {
        id(parameter)
        for module in modules
        for name, parameter in module.named_parameters()
        if name.rpartition(".")[2] in ("bias", "values")
    }
    return partial(grouped, free=free, lr=lr, betas=betas, decay=decay, clip=clip)


def grouped(
    parameters: list[nn.Parameter], free: set[int], lr: float, betas: tuple[float, float], decay: float, clip: float
) -> ClippedAdamW:
    """The optimiser over two groups of parameters: those that are decayed and clipped, and those whose id is `free`."""
    weights = [parameter for parameter in parameters if id(parameter) not in free]
    others = [parameter for parameter in parameters if id(parameter) in free]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": decay, "clip": clip},
        {"params": others, "weight_decay": 0.0, "clip": None},
    ]
    return ClippedAdamW(groups, lr=lr, betas=betas)


class Quantiser(nn.Module):
    """Latent quantisation: each latent has values of its own, which are learned; evenly from −½ to ½ at first."""

    def __init__(self, latents: int, values: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.linspace(-0.5, 0.5, values).repeat(latents, 1))  # (latents, values)

    def forward(self, z_hat: Tensor) -> Tensor:
        """q, the value next to ẑ of each latent, (N, latents); its gradient reaches the values alone."""
        nearest = (z_hat.detach()[:, :, None] - self.values).abs().argmin(dim=2)
        return self.take(nearest)

    def take(self, index: Tensor) -> Tensor:
        """The values of these indices, int64 (N, latents)."""
        return self.values.expand(len(index), -1, -1).gather(2, index[:, :, None]).squeeze(2)

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Each latent uniformly one of its values, (count, latents); the gradient reaches the values."""
        latents, values = self.values.shape
        return self.take(torch.randint(values, (count, latents), generator=rng, device=self.values.device))


@dataclass(frozen=True)
class Quantised:
    """Codes before and after quantisation, and its two losses."""

    continuous: Tensor  # (N, latents), ẑ
    quantised: Tensor  # (N, latents), q

    @property
    def through(self) -> Tensor:
        """ẑ + sg(q − ẑ): q, through which the gradient passes as if it were ẑ."""
        return self.continuous + (self.quantised - self.continuous).detach()

    @property
    def quantisation(self) -> Tensor:
        """E mean_d (sg(ẑ) − q)², which moves the values."""
        return (self.continuous.detach() - self.quantised).square().mean()

    @property
    def commitment(self) -> Tensor:
        """E mean_d (ẑ − sg(q))², which moves what made ẑ."""
        return (self.continuous - self.quantised.detach()).square().mean()
