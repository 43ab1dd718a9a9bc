"""FID: how far are the generated images from the real ones, as an ImageNet classifier sees them?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_bench.contracts import ImageMetric, ImageSamples, Progress
from disentangle_bench.features.image_features import features_of, too_few
from disentangle_bench.metrics.frechet import frechet_distance, statistics


@dataclass(frozen=True)
class Protocol:
    """images: how many real ones, and as many generated ones."""

    images: int


PROTOCOLS = {"inception-10k": Protocol(10_000), "inception-50k": Protocol(50_000)}
SLOW = {
    "inception-10k": "20,000 images go through Inception, two hours on one core, far less on a GPU",
    "inception-50k": "100,000 images go through Inception, ten hours on one core, far less on a GPU",
}


def fid(samples: ImageSamples, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """The Fréchet distance between the pool_3 features of real and of generated images (Heusel et al., NeurIPS 2017).

    Returns `score`, 0 upwards, lower is better, in squared units of the features; `inception`, the first 8 digits of
    the sha256 of the network's file, 6726825d for the published one. Skips datasets with too few images.

    The features are those of the 2015-12-05 network; the sample counts of both sides are equal and named by the
    protocol, because the score falls as they grow.
    """
    from disentangle_bench.features.inception_weights import (  # torch, which listing metrics does without
        InceptionFeatures,
        find,
    )

    if reason := too_few(samples, protocol.images):
        return {"skip": reason}
    network = InceptionFeatures(find(samples.root, samples.progress), samples.device)
    real, fake = features_of(samples, network, protocol.images, rng)
    return {"score": frechet_distance(*statistics(real), *statistics(fake)), "inception": network.identity[:8]}


def fetch_network(root: Path, progress: Progress) -> Path:
    """Have the network's weights at hand, downloaded where they are missing."""
    from disentangle_bench.features.inception_weights import find

    return find(root, progress)


METRIC = ImageMetric(
    name="fid",
    title="Fréchet Inception distance",
    cite="Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium, "
    "NeurIPS 2017",
    compute=fid,
    protocols=PROTOCOLS,
    higher_is_better=False,
    range=(0.0, math.inf),
    slow=SLOW,
    prepare=fetch_network,
)
