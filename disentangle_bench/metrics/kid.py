"""KID: FID's question, answered by a kernel distance, whose estimate has no bias."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import ImageMetric, ImageSamples
from disentangle_bench.features.image_features import features_of, too_few
from disentangle_bench.metrics.fid import SLOW, fetch_network
from disentangle_bench.metrics.frechet import kernel_distance


@dataclass(frozen=True)
class Protocol:
    """images: how many real ones, and as many generated ones. subsets, size: as `kernel_distance` draws them."""

    images: int
    subsets: int = 100
    size: int = 1_000


PROTOCOLS = {"inception-10k": Protocol(10_000), "inception-50k": Protocol(50_000)}


def kid(samples: ImageSamples, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """The unbiased squared MMD between pool_3 features of real and generated images under the kernel (x·y / d + 1)³,
    the mean over random subsets (Bińkowski et al., ICLR 2018).

    Returns `score`, about 0 for equal distributions and lower is better; `subset_sd`, its standard deviation over the
    subsets; `inception`, as `fid` has it. Skips datasets with fewer images than the protocol.
    """
    from disentangle_bench.features.inception_weights import (  # torch, which listing metrics does without
        InceptionFeatures,
        find,
    )

    if reason := too_few(samples, protocol.images):
        return {"skip": reason}
    network = InceptionFeatures(find(samples.root, samples.progress), samples.device)
    real, fake = features_of(samples, network, protocol.images, rng)
    score, spread = kernel_distance(real, fake, rng, protocol.subsets, protocol.size)
    return {"score": score, "subset_sd": spread, "inception": network.identity[:8]}


METRIC = ImageMetric(
    name="kid",
    title="Kernel Inception distance",
    cite="Bińkowski et al., Demystifying MMD GANs, ICLR 2018",
    compute=kid,
    protocols=PROTOCOLS,
    higher_is_better=False,
    range=(-math.inf, math.inf),
    slow=SLOW,
    prepare=fetch_network,
)
