"""Architectures of the VAEs. Shapes stand beside each layer for the published image size, 64×64.

Every convolutional pair halves the image four times (`small` three times). For another side s that 16 divides, the 4×4
inner maps become (s/16)×(s/16), layers that span one shrink with it, and nothing else changes.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from disentangle_bench.errors import UserError

Architecture = Literal["locatello", "kim", "kim-256", "burgess", "mlp", "small"]
Initialisation = Literal["glorot", "normal", "kaiming", "torch"]
Shape = tuple[int, int, int]  # (C, H, W)

LEAK = 0.2  # slope of the leaky ReLU in the TC discriminator


class Encoder(nn.Module):
    """q(z|x), a diagonal Gaussian: images (N, C, H, W) to its mean and log-variance, each (N, z_dim)."""

    def __init__(self, features: int, z_dim: int, *trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*trunk)
        self.mean = nn.Linear(features, z_dim)
        self.log_variance = nn.Linear(features, z_dim)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)
        return self.mean(features), self.log_variance(features)


def networks(architecture: Architecture, image_shape: Shape, z_dim: int) -> tuple[Encoder, nn.Sequential]:
    """The encoder of an architecture and its decoder, z (N, z_dim) to logits (N, C, H, W).

    locatello: disentanglement_lib's, whose third and fourth kernels are 2×2. burgess: Burgess et al. 2018. small: ours,
    for studies on a CPU. kim, kim-256, mlp: see below.
    """
    if architecture == "mlp":
        return mlp(image_shape, z_dim)
    channels, height, width = image_shape
    if height != width or height % 16:
        raise UserError(
            f"architecture = '{architecture}': it takes square images whose side 16 divides, the dataset's are "
            f"{height}×{width}; choose architecture = 'mlp' or another dataset."
        )
    if architecture == "locatello":
        return convolutional(channels, height, z_dim, widths=(32, 32, 64, 64), kernels=(4, 4, 2, 2), hidden=(256,))
    if architecture == "burgess":
        return convolutional(channels, height, z_dim, widths=(32, 32, 32, 32), kernels=(4, 4, 4, 4), hidden=(256, 256))
    if architecture == "small":
        return convolutional(channels, height, z_dim, widths=(16, 32, 32), kernels=(4, 4, 4), hidden=(128,))
    return kim(channels, height, z_dim, hidden=128 if architecture == "kim" else 256)


def down(inputs: int, outputs: int, kernel: int = 4) -> list[nn.Module]:
    """C(outputs, kernel, 2) R: half the side."""
    return [nn.Conv2d(inputs, outputs, kernel, 2, padding=kernel // 2 - 1), nn.ReLU()]


def up(inputs: int, outputs: int) -> list[nn.Module]:
    """T(outputs, 4, 2) R: twice the side."""
    return [nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1), nn.ReLU()]


def dense(*sizes: int) -> list[nn.Module]:
    """F(b) R for each b after the first of the sizes."""
    return [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]


def convolutional(
    channels: int, side: int, z_dim: int, widths: tuple[int, ...], kernels: tuple[int, ...], hidden: tuple[int, ...]
) -> tuple[Encoder, nn.Sequential]:
    """Convolutions of these widths and kernels, dense layers of the hidden sizes, and their mirror image.

    The decoder's kernels are 4×4 in all of these architectures.
    """
    inner = side // 2 ** len(widths)
    top = (widths[-1], inner, inner)  # locatello: (64, 4, 4)
    size = math.prod(top)  # locatello: 1,024
    downs = [
        layer
        for inputs, outputs, kernel in zip((channels, *widths), widths, kernels, strict=False)
        for layer in down(inputs, outputs, kernel)
    ]
    encoder = Encoder(hidden[-1], z_dim, *downs, nn.Flatten(), *dense(size, *hidden))
    back = widths[::-1]
    ups = [layer for inputs, outputs in pairwise(back) for layer in up(inputs, outputs)]
    decoder = nn.Sequential(
        *dense(z_dim, *hidden[::-1], size),
        nn.Unflatten(1, top),
        *ups,  # locatello: (64, 8, 8), (32, 16, 16), (32, 32, 32)
        nn.ConvTranspose2d(back[-1], channels, 4, 2, padding=1),  # (channels, side, side)
    )
    return encoder, decoder


def kim(channels: int, side: int, z_dim: int, hidden: int) -> tuple[Encoder, nn.Sequential]:
    """Kim & Mnih 2018 as 1Konny's FactorVAE has it (hidden 128 for dSprites, else 256); his β-VAE "H" too (256)."""
    inner = side // 16
    encoder = Encoder(
        hidden,
        z_dim,
        *down(channels, 32),  # (32, 32, 32)
        *down(32, 32),  # (32, 16, 16)
        *down(32, 64),  # (64, 8, 8)
        *down(64, 64),  # (64, 4, 4)
        nn.Conv2d(64, hidden, inner),  # (hidden, 1, 1)
        nn.ReLU(),
        nn.Flatten(),
    )
    decoder = nn.Sequential(
        *dense(z_dim, hidden),
        nn.Unflatten(1, (hidden, 1, 1)),
        nn.ConvTranspose2d(hidden, 64, inner),  # (64, 4, 4)
        nn.ReLU(),
        *up(64, 64),  # (64, 8, 8)
        *up(64, 32),  # (32, 16, 16)
        *up(32, 32),  # (32, 32, 32)
        nn.ConvTranspose2d(32, channels, 4, 2, padding=1),  # (channels, 64, 64)
    )
    return encoder, decoder


def mlp(image_shape: Shape, z_dim: int, width: int = 1200) -> tuple[Encoder, nn.Sequential]:
    """Higgins et al. 2017 for dSprites, and Chen et al. 2018: 1200 ReLU units twice, 1200 tanh units three times."""
    pixels = math.prod(image_shape)
    encoder = Encoder(width, z_dim, nn.Flatten(), *dense(pixels, width, width))
    decoder = nn.Sequential(
        nn.Linear(z_dim, width),
        nn.Tanh(),
        nn.Linear(width, width),
        nn.Tanh(),
        nn.Linear(width, width),
        nn.Tanh(),
        nn.Linear(width, pixels),
        nn.Unflatten(1, image_shape),
    )
    return encoder, decoder


def tc_discriminator(z_dim: int, layers: int, width: int) -> nn.Sequential:
    """FactorVAE's D: z (N, z_dim) to two logits (N, 2), "drawn jointly" and "permuted"."""
    sizes = [z_dim, *[width] * layers]
    hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU(LEAK))]
    return nn.Sequential(*hidden, nn.Linear(width, 2))


def initialise(module: nn.Module, how: Initialisation) -> None:
    """Draw the weights anew; biases become 0.

    glorot: uniform, TensorFlow's default, in all layers. normal, N(0, 0.02²), and kaiming, N(0, 2/inputs): as in
    1Konny's code, which leaves transposed convolutions as PyTorch makes them. torch: everything as PyTorch makes it.
    """
    if how == "torch":
        return
    for layer in module.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        if how == "glorot":
            nn.init.xavier_uniform_(layer.weight)
        elif isinstance(layer, nn.ConvTranspose2d):
            continue
        elif how == "normal":
            nn.init.normal_(layer.weight, 0.0, 0.02)
        else:
            nn.init.kaiming_normal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
