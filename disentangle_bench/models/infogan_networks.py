"""The networks of Chen et al.'s InfoGAN, what goes into them and what comes out; C-InfoGAN shares them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

from disentangle_bench.errors import UserError


@dataclass(frozen=True)
class Latents:
    """What G makes an image of, but for labels."""

    noise: Tensor  # (B, noise_dim), z
    categories: list[Tensor]  # int64 (B,) each
    continuous: Tensor  # (B, continuous)


@dataclass(frozen=True)
class Guess:
    """Q of an image: for each categorical code its logits, (B, K), for the continuous ones their Gaussian."""

    logits: list[Tensor]
    mean: Tensor  # (B, continuous)
    log_std: Tensor  # (B, continuous)

    def last(self, count: int) -> Guess:
        """Those of the last `count` images."""
        return Guess([logits[-count:] for logits in self.logits], self.mean[-count:], self.log_std[-count:])

    def categorical(self, latents: Latents) -> list[Tensor]:
        """L_I = log K + E log Q(c|x̂) ≤ I(c; x̂) of each categorical code."""
        pairs = zip(self.logits, latents.categories, strict=True)
        return [math.log(logits.shape[1]) - F.cross_entropy(logits, c) for logits, c in pairs]

    def log_likelihood(self, latents: Latents) -> Tensor:
        """E log Q(c|x̂) of each continuous code, (continuous,)."""
        return Normal(self.mean, self.log_std.exp(), validate_args=False).log_prob(latents.continuous).mean(dim=0)

    def continuous(self, latents: Latents) -> Tensor:
        """L_I of each continuous code as coded: E log Q(c|x̂) − E log N(c; 0, 1), though H(c) is ln 2, (continuous,)."""
        prior = Normal(0.0, 1.0, validate_args=False)  # validating reads the values on the host
        return self.log_likelihood(latents) - prior.log_prob(latents.continuous).mean(dim=0)


@dataclass(frozen=True)
class Layout:
    """One published architecture; widths are multiples of `n`, 64 in all of them.

    ups, downs: (width, stride, batch norm) of each convolution of G but its last, which gives the image, and of D.
    """

    dense: int  # G's first and D's last dense layer; 0: none
    inner: int  # channels of G's first maps
    ups: tuple[tuple[int, int, bool], ...]
    last_stride: int
    downs: tuple[tuple[int, int, bool], ...]
    image_range: tuple[float, float] = (0.0, 1.0)

    def side(self, model: str, image_shape: tuple[int, int, int]) -> int:
        """The side of G's first maps; `UserError` for images that the layout can't make."""
        _, height, width = image_shape
        factor = self.last_stride * math.prod(stride for _, stride, _ in self.ups)
        if height != width or height % factor:
            raise UserError(
                f"{model}: this layout takes square images whose side {factor} divides, the dataset's are "
                f"{height}×{width}; choose another layout or dataset."
            )
        return height // factor


LAYOUTS = {
    "mnist": Layout(16, 2, ((1, 2, True),), 2, ((1, 2, False), (2, 2, True))),
    "celeba": Layout(
        0, 7, ((4, 2, True), (2, 2, False), (1, 2, False)), 2, ((1, 2, False), (2, 2, True), (4, 2, True)), (-1.0, 1.0)
    ),
    "chairs3d": Layout(
        16, 4,
        ((4, 1, True), (4, 2, True), (2, 2, True), (1, 2, True)), 1,
        ((1, 2, False), (2, 2, True), (4, 2, True), (4, 1, True), (4, 1, True)),
    ),
}  # fmt: skip
"""From the official code (MNIST, as 28×28 images) and from what reimplementations say of the paper's appendix, which we
could not read (CelebA, as 32×32; 3D Chairs, as 64×64). There it says nothing of a layer's kernel or batch norm, stride
1 takes 3×3 here, and every layer of Chairs but D's first and each network's last has batch norm."""


def convolution(inputs: int, outputs: int, stride: int, transposed: bool = False) -> nn.Module:
    """4×4 with stride 2, which halves or doubles the side, or 3×3 with stride 1, which keeps it."""
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    return kind(inputs, outputs, 4 if stride == 2 else 3, stride, 1)


def generator(layout: Layout, latent: int, channels: int, side: int, n: int) -> nn.Sequential:
    """G: latents (N, latent) to images (N, channels, H, W); shapes for MNIST."""
    layers: list[Any] = []
    if layout.dense:
        layers += [nn.Linear(latent, layout.dense * n), nn.BatchNorm1d(layout.dense * n), nn.ReLU()]  # (1024,)
        latent = layout.dense * n
    inner = layout.inner * n
    layers += [nn.Linear(latent, side * side * inner), nn.BatchNorm1d(side * side * inner), nn.ReLU()]
    layers.append(nn.Unflatten(1, (inner, side, side)))  # (128, 7, 7)
    for width, stride, batch_norm in layout.ups:  # (64, 14, 14)
        layers += [convolution(inner, width * n, stride, transposed=True)]
        layers += [nn.BatchNorm2d(width * n), nn.ReLU()] if batch_norm else [nn.ReLU()]
        inner = width * n
    end = nn.Sigmoid() if layout.image_range[0] == 0 else nn.Tanh()
    return nn.Sequential(*layers, convolution(inner, channels, layout.last_stride, transposed=True), end)


def trunk(layout: Layout, channels: int, side: int, n: int, leak: float) -> tuple[nn.Sequential, int]:
    """What D and Q share, images (N, channels, side, side) to features, and the number of these; shapes for MNIST."""
    layers: list[Any] = []
    for width, stride, batch_norm in layout.downs:  # (64, 14, 14), (128, 7, 7)
        layers.append(convolution(channels, width * n, stride))
        layers += [nn.BatchNorm2d(width * n), nn.LeakyReLU(leak)] if batch_norm else [nn.LeakyReLU(leak)]
        channels = width * n
        side //= stride
    features = side * side * channels
    layers.append(nn.Flatten())
    if layout.dense:
        layers += [nn.Linear(features, layout.dense * n), nn.BatchNorm1d(layout.dense * n), nn.LeakyReLU(leak)]
        features = layout.dense * n  # 1024
    return nn.Sequential(*layers), features


def recognition(features: int, outputs: int, n: int, leak: float) -> nn.Sequential:
    """Q's own layers: features to logits of categorical codes, means and log σ of continuous ones."""
    return nn.Sequential(
        nn.Linear(features, 2 * n), nn.BatchNorm1d(2 * n), nn.LeakyReLU(leak), nn.Linear(2 * n, outputs)
    )
