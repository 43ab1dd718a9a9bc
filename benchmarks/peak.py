"""The counted limit: how many GFLOP a second this machine reaches where little but arithmetic takes time."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from disentangle_bench.training.process import set_up_process, threads

CHANNELS, KERNEL, SIDE = 256, 4, 16  # a 4 × 4 kernel, as the models have: libraries know no way with fewer products
BATCH = {"cpu": 32, "cuda": 1024}


def time_peak(device: str, thread_count: int) -> Callable[[float], float]:
    """A function: convolve float32 images for some seconds and return GFLOP/s.

    A large convolution, not a product of matrices: torch's library for those is half as fast on some processors.
    """
    set_up_process()
    layer = nn.Conv2d(CHANNELS, CHANNELS, KERNEL, device=device).to(memory_format=torch.channels_last)
    images = torch.rand(BATCH[device], CHANNELS, SIDE + KERNEL - 1, SIDE + KERNEL - 1, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    gflop = 2 * BATCH[device] * SIDE**2 * CHANNELS**2 * KERNEL**2 / 1e9

    @torch.no_grad()
    def measure(duration: float) -> float:
        with threads(thread_count):
            calls, start = 0, time.perf_counter()
            while time.perf_counter() < start + duration:
                layer(images)
                if device == "cuda":
                    torch.cuda.synchronize()
                calls += 1
            return calls * gflop / (time.perf_counter() - start)

    measure(0.1)
    return measure
