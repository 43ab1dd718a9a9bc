"""A Fréchet distance that needs no download: the features are a fixed random network's. It is not FID."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import ImageMetric, ImageSamples
from disentangle_bench.features.image_features import features_of, too_few
from disentangle_bench.metrics.frechet import frechet_distance, statistics


@dataclass(frozen=True)
class Protocol:
    """images: how many real ones, and as many generated ones."""

    images: int


PROTOCOLS = {"conv-1k": Protocol(1_000), "conv-2k": Protocol(2_000), "conv-10k": Protocol(10_000)}


def frechet_random(samples: ImageSamples, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """The Fréchet distance between real and generated images in 512 features of a fixed random convolutional network.

    Ours: FID's formula (Heusel et al. 2017), with features that nothing was learned for. Returns `score`, 0 upwards,
    lower is better, in squared units of those features: numbers compare on one dataset only, and never with an FID.
    Skips datasets with fewer images than the protocol.
    """
    from disentangle_bench.features.random_network import RandomFeatures  # torch, which listing metrics does without

    if reason := too_few(samples, protocol.images):
        return {"skip": reason}
    real, fake = features_of(samples, RandomFeatures(samples.device), protocol.images, rng)
    return {"score": frechet_distance(*statistics(real), *statistics(fake))}


METRIC = ImageMetric(
    name="frechet-random",
    title="Fréchet distance of random features",
    cite="ours, after Heusel et al., NeurIPS 2017 (FID)",
    compute=frechet_random,
    protocols=PROTOCOLS,
    higher_is_better=False,
    range=(0.0, math.inf),
)
