"""The networks of Lin et al.'s InfoGAN, with and without their contrastive regulariser; CelebA has its own."""

from __future__ import annotations

from typing import Any

from torch import nn

from disentangle_bench.models.adversarial import init_dcgan
from disentangle_bench.models.tensorflow1 import LeakyReLU, spectral_norm

LEAK = 0.2  # slope of all leaky ReLUs here


def initialise(module: nn.Module) -> None:
    """Weights N(0, 0.02²), convolutions' within two deviations, biases 0, batch norm's weights 1."""
    init_dcgan(module, truncated=True)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.ones_(layer.weight)


def normalised(module: nn.Module) -> nn.Module:
    """The module with its initial weights drawn, then spectral norm on each of its layers."""
    initialise(module)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spectral_norm(layer)
    return module


def generator(latent: int, channels: int, times: int, side: int, n: int) -> nn.Sequential:
    """G: latents (N, latent) to images (N, channels, H, W) in [0, 1]; batch norm comes last; shapes for 64×64."""
    inner = side * side * 2 * n
    layers: list[Any] = [
        *(nn.Linear(latent, 4 * n), nn.ReLU(), nn.BatchNorm1d(4 * n)),  # (128,)
        *(nn.Linear(4 * n, inner), nn.ReLU(), nn.BatchNorm1d(inner)),  # (1024,)
        nn.Unflatten(1, (2 * n, side, side)),  # (64, 4, 4)
    ]
    inputs = 2 * n
    for outputs in reversed(widths(times, n)[:-1]):  # (64, 8, 8), (32, 16, 16), (32, 32, 32)
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), LeakyReLU(LEAK), nn.BatchNorm2d(outputs)]
        inputs = outputs
    network = nn.Sequential(*layers, nn.ConvTranspose2d(inputs, channels, 4, 2, 1), nn.Sigmoid())
    initialise(network)
    return network


def trunk(channels: int, times: int, side: int, n: int) -> nn.Module:
    """What D and Q share, and H's body: images (N, channels, H, W) to features (N, 4n); shapes for 64×64."""
    layers: list[Any] = []
    for outputs in widths(times, n):  # (32, 32, 32), (32, 16, 16), (64, 8, 8), (64, 4, 4)
        layers += [nn.Conv2d(channels, outputs, 4, 2, 1), LeakyReLU(LEAK)]
        channels = outputs
    layers += [nn.Flatten(), nn.Linear(side * side * channels, 4 * n), LeakyReLU(LEAK)]  # (128,)
    return normalised(nn.Sequential(*layers))


def contrast_with_batch_norm(channels: int, times: int, side: int, n: int) -> nn.Module:
    """The teapots' body of H: as `trunk`, but batch norm comes after each layer but the first, and no spectral norm."""
    layers: list[Any] = []
    for i, outputs in enumerate(widths(times, n)):  # (32, 32, 32), (32, 16, 16), (64, 8, 8), (64, 4, 4)
        norm = [nn.BatchNorm2d(outputs)] if i else []
        layers += [nn.Conv2d(channels, outputs, 4, 2, 1), LeakyReLU(LEAK), *norm]
        channels = outputs
    dense = [nn.Linear(side * side * channels, 4 * n), LeakyReLU(LEAK), nn.BatchNorm1d(4 * n)]  # (128,)
    network = nn.Sequential(*layers, nn.Flatten(), *dense)
    initialise(network)
    return network


def widths(times: int, n: int) -> list[int]:
    """Channels of the convolutions from the image inwards: 32, 32, 64, 64 for four of them and n = 32."""
    return [n, n, *[2 * n] * times][:times]
