"""A small convolutional network with fixed random weights: features of images where nothing can be downloaded."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from disentangle_bench.contracts import Progress, silent
from disentangle_bench.errors import UserError

SEED = 20151205
CHANNELS = (16, 32, 64, 128)  # one convolution each, 3 × 3, stride 2
POOLED = 2  # the last map is averaged to 2 × 2, so that features know in which quarter a thing is
WIDTH = CHANNELS[-1] * POOLED**2
BATCH = 250


class RandomFeatures:
    """Images to 512 features: four convolutions of stride 2 with leaky ReLU, averaged to 2 × 2.

    Weights are normal with standard deviation √(2 / fan-in), from numpy's generator with a fixed seed, so that they are
    the same everywhere; one set for grey images, one for colours.
    """

    identity = f"random-convolutions-{SEED}-{CHANNELS}-{POOLED}"

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)

    @torch.inference_mode()
    def features(self, images: np.ndarray, progress: Progress = silent) -> np.ndarray:
        """Features, float32 (N, 512), of images, uint8 (N, C, H, W), which it sees in [-1, 1]."""
        if images.ndim != 4 or images.dtype != np.uint8:
            raise UserError(f"images must be uint8 (N, C, H, W), not {images.dtype} {images.shape}.")
        weights = [weight.to(self.device) for weight in _weights(images.shape[1])]
        result = np.empty((len(images), WIDTH), dtype=np.float32)
        for start in range(0, len(images), BATCH):
            x = torch.from_numpy(images[start : start + BATCH]).to(self.device).float() / 127.5 - 1
            for weight in weights:
                x = F.leaky_relu(F.conv2d(x, weight, stride=2, padding=1), 0.2)
            x = F.adaptive_avg_pool2d(x, POOLED)
            result[start : start + len(x)] = x.flatten(1).cpu().numpy()
            progress(start + len(x), len(images))
        return result


def _weights(channels: int) -> list[torch.Tensor]:
    """Each layer's, float32 (outputs, inputs, 3, 3), for images of so many channels."""
    rng = np.random.default_rng((SEED, channels))
    shapes = [(outputs, inputs, 3, 3) for inputs, outputs in zip((channels, *CHANNELS[:-1]), CHANNELS, strict=True)]
    return [
        torch.from_numpy(rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:]))))
        for shape in shapes
    ]
