"""Architectures that models share. Shapes stand beside each layer for the published image size.

"Architecture A" is that of IB-GAN's official code for dSprites (model.py), "architecture B" that for CelebA and 3D
Chairs (model2.py). Both are written for 64×64 images; for another side s that 8 divides, their 8×8 inner maps become
(s/8)×(s/8), and nothing else changes. They share the generator.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

from disentangle_bench.errors import UserError

LEAK = 0.2  # slope of the leaky ReLU in all networks here


def init_normal(module: nn.Module) -> None:
    """Weights N(0, 0.02²), biases 0, batch-norm weights 1: DCGAN's initialisation as IB-GAN's code uses it."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def init_orthogonal(module: nn.Module) -> None:
    """Orthogonal weights, biases 0, batch-norm weights 1: as IB-GAN's code initialises architecture B."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.orthogonal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class Embedding(nn.Module):
    """e(r|z), a diagonal Gaussian: z (N, z_dim) to mean and log-variance, each (N, r_dim).

    hidden: the layers' widths, 32 and 32 in architecture A; 64, 64 and 32 with batch norm in B.
    """

    def __init__(self, z_dim: int, r_dim: int, hidden: tuple[int, ...] = (32, 32), batch_norm: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for inputs, outputs in pairwise((z_dim, *hidden)):
            self.layers.append(nn.Linear(inputs, outputs))
            if batch_norm:
                self.layers.append(nn.BatchNorm1d(outputs))
            self.layers.append(nn.ReLU())
        self.layers.append(nn.Linear(hidden[-1], 2 * r_dim))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.layers(z).chunk(2, dim=1)
        return mean, log_variance


def generator_ab(r_dim: int, channels: int, side: int, n: int) -> nn.Sequential:
    """G of architectures A and B: r (N, r_dim) to images (N, channels, side, side) in [-1, 1]."""
    inner = side // 8

    def up(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
        return [
            nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]

    dense = nn.Sequential(
        nn.Linear(r_dim, 16 * n),
        nn.BatchNorm1d(16 * n),
        nn.ReLU(),
        nn.Linear(16 * n, inner * inner * 4 * n),
        nn.BatchNorm1d(inner * inner * 4 * n),
        nn.ReLU(),
        nn.Unflatten(1, (4 * n, inner, inner)),
    )
    convolutions = nn.Sequential(
        *up(4 * n, 4 * n, 3, 1),  # (4n, 8, 8)
        *up(4 * n, 4 * n, 3, 1),  # (4n, 8, 8)
        *up(4 * n, 2 * n, 4, 2),  # (2n, 16, 16)
        *up(2 * n, n, 4, 2),  # (n, 32, 32)
        nn.ConvTranspose2d(n, channels, 4, 2, padding=1),  # (channels, 64, 64)
        nn.Tanh(),
    )
    return nn.Sequential(OrderedDict(dense=dense, convolutions=convolutions))


def down(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> list[nn.Module]:
    """A convolution with batch norm and leaky ReLU."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(LEAK),
    ]


def trunk_a(channels: int, side: int, n: int) -> nn.Sequential:
    """Architecture A's trunk: images (N, channels, side, side) to features (N, 16n, 1, 1)."""
    return nn.Sequential(
        nn.Conv2d(channels, n, 4, 2, 1),  # (n, 32, 32)
        nn.LeakyReLU(LEAK),
        *down(n, 2 * n, 4, 2, 1),  # (2n, 16, 16)
        *down(2 * n, 4 * n, 4, 2, 1),  # (4n, 8, 8)
        *down(4 * n, 8 * n, 3, 1, 1),  # (8n, 8, 8)
        *down(8 * n, 16 * n, side // 8, 1, 0),  # (16n, 1, 1)
    )


def reconstructor_a(channels: int, side: int, n: int, z_dim: int) -> nn.Sequential:
    """Architecture A's q: images (N, channels, side, side) to ẑ (N, z_dim)."""
    head = nn.Sequential(
        nn.Conv2d(16 * n, 16 * n, 1),
        nn.BatchNorm2d(16 * n),
        nn.LeakyReLU(LEAK),
        nn.Conv2d(16 * n, z_dim, 1),
        nn.Flatten(),
    )
    return nn.Sequential(OrderedDict(trunk=trunk_a(channels, side, n), head=head))


def discriminator_a(channels: int, side: int, n: int) -> nn.Sequential:
    """Architecture A's D: images (N, channels, side, side) to logits (N, 1)."""
    head = nn.Sequential(nn.Conv2d(16 * n, 1, 1), nn.Flatten())
    return nn.Sequential(OrderedDict(trunk=trunk_a(channels, side, n), head=head))


def front_b(channels: int, n: int) -> nn.Sequential:
    """The front that architecture B's D and q share: images (N, channels, 64, 64) to features (N, 4n, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(channels, n, 4, 2, 1),  # (n, 32, 32)
        nn.LeakyReLU(LEAK),
        *down(n, 2 * n, 4, 2, 1),  # (2n, 16, 16)
        *down(2 * n, 4 * n, 4, 2, 1),  # (4n, 8, 8)
    )


def head_b(side: int, n: int, outputs: int) -> nn.Sequential:
    """Architecture B's head, of D with one output and of q with z_dim: features (N, 4n, 8, 8) to (N, outputs)."""
    return nn.Sequential(
        *down(4 * n, 4 * n, 3, 1, 1),  # (4n, 8, 8)
        *down(4 * n, 4 * n, 3, 1, 1),  # (4n, 8, 8)
        *down(4 * n, 16 * n, side // 8, 1, 0),  # (16n, 1, 1)
        nn.Conv2d(16 * n, outputs, 1),
        nn.Flatten(),
    )


def require_square(model: str, image_shape: tuple[int, int, int]) -> int:
    """The side of square images that architectures A and B can take; `UserError` for any other shape."""
    _, height, width = image_shape
    if height != width or height % 8:
        raise UserError(
            f"{model}: its networks take square images whose side 8 divides, the dataset's are {height}×{width}; "
            "choose another dataset."
        )
    return height
