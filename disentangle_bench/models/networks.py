"""Architectures that models share. Shapes stand beside each layer for the published image size.

"Architecture A" is that of IB-GAN's official code for dSprites (model.py). It is written for 64×64 images; for another
side s that 8 divides, its 8×8 inner maps become (s/8)×(s/8), and nothing else changes.
"""

from __future__ import annotations

from collections import OrderedDict

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


class Embedding(nn.Module):
    """e(r|z), a diagonal Gaussian: z (N, z_dim) to mean and log-variance, each (N, r_dim)."""

    def __init__(self, z_dim: int, r_dim: int, hidden: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(z_dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 2 * r_dim)
        )

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.layers(z).chunk(2, dim=1)
        return mean, log_variance


def generator_a(r_dim: int, channels: int, side: int, n: int) -> nn.Sequential:
    """Architecture A's G: r (N, r_dim) to images (N, channels, side, side) in [-1, 1]."""
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


def trunk_a(channels: int, side: int, n: int) -> nn.Sequential:
    """Architecture A's trunk: images (N, channels, side, side) to features (N, 16n, 1, 1)."""

    def down(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(LEAK),
        ]

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


def require_square(model: str, image_shape: tuple[int, int, int]) -> int:
    """The side of square images that architecture A can take; `UserError` for any other shape."""
    _, height, width = image_shape
    if height != width or height % 8:
        raise UserError(
            f"{model}: its networks take square images whose side 8 divides, the dataset's are {height}×{width}; "
            "choose another dataset."
        )
    return height
