"""The networks of Lin et al.'s InfoGAN for CelebA: DCGAN's order, batch norm before ReLU, and 5×5 kernels.

Where an even side is halved or doubled, TensorFlow pads one pixel less before than after, PyTorch one more: the
networks are the official ones for images that are turned by 180°. Shapes below are for 32×32 images and n = 64.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from disentangle_bench.models.infogan_cr_networks import LEAK, initialise, normalised
from disentangle_bench.models.tensorflow1 import LeakyReLU


def generator(latent: int, channels: int, times: int, side: int, n: int) -> nn.Sequential:
    """G: latents (N, latent) to images (N, channels, H, W) in [−1, 1]."""
    width = n * 2 ** (times - 1)
    inner = width * side * side
    layers: list[Any] = [
        *(nn.Linear(latent, 16 * n), nn.BatchNorm1d(16 * n), nn.ReLU()),  # (1024,)
        *(nn.Linear(16 * n, inner), nn.BatchNorm1d(inner), nn.ReLU()),  # (4096,)
        nn.Unflatten(1, (width, side, side)),  # (256, 4, 4)
    ]
    for _ in range(times - 1):  # (128, 8, 8), (64, 16, 16)
        layers += [nn.ConvTranspose2d(width, width // 2, 5, 2, 2, 1), nn.BatchNorm2d(width // 2), nn.ReLU()]
        width //= 2
    network = nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 5, 2, 2, 1), nn.Tanh())
    initialise(network)
    return network


def trunk(channels: int, times: int, n: int) -> nn.Module:
    """What D and Q share: images (N, channels, H, W) to features, see `features`; spectral norm, no batch norm."""
    layers: list[Any] = []
    for outputs in widths(times, n):
        layers += [nn.Conv2d(channels, outputs, 5, 2, 2), LeakyReLU(LEAK)]
        channels = outputs
    return normalised(nn.Sequential(*layers, nn.Flatten()))


def contrast(channels: int, times: int, n: int) -> nn.Module:
    """H's body: as `trunk`, but batch norm in each layer but the first, and no spectral norm."""
    layers: list[Any] = []
    for i, outputs in enumerate(widths(times, n)):
        norm = [nn.BatchNorm2d(outputs)] if i else []
        layers += [nn.Conv2d(channels, outputs, 5, 2, 2), *norm, LeakyReLU(LEAK)]
        channels = outputs
    network = nn.Sequential(*layers, nn.Flatten())
    initialise(network)
    return network


def features(times: int, side: int, n: int) -> int:
    """How many features `trunk` and `contrast` give: 2·2·512 = 2048."""
    return ((side + 1) // 2) ** 2 * widths(times, n)[-1]


def widths(times: int, n: int) -> list[int]:
    """Channels of the convolutions, one more than G has: (64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)."""
    return [n * 2**i for i in range(times + 1)]
