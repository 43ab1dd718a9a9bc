"""Grid quality: how near are samples to true images, and how much of the factor grid do they reach?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import Dataset, ImageMetric, ImageSamples
from disentangle_bench.features.nearest import nearest

LARGEST = 2_000_000  # images of a grid that are searched


@dataclass(frozen=True)
class Protocol:
    """images: how many samples, and as many real images beside them."""

    images: int


PROTOCOLS = {"1k": Protocol(1_000), "200": Protocol(200)}


def grid_quality(samples: ImageSamples, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """How near samples are to the nearest of all true images, and the share of factor values that those show.

    Ours; for datasets that are a full grid of factor values, so that every possible true image is known.

    closeness: 1 − the mean distance of a sample to the nearest true image; a distance is the root mean square
        difference of pixels, in [0, 1].
    coverage: for each factor the share of its values that the nearest images show, the mean over factors.

    Both are in [0, 1], higher is better. Beside them: `distance`, that mean distance; `coverage_real`, the coverage of
    as many real images, which is what a perfect model scores; `coverage_of`, that of each factor. Factor values whose
    images are identical count as one. Skips datasets with fewer images than the protocol.
    """
    dataset = samples.dataset
    if len(dataset) < protocol.images:
        return {"skip": f"{dataset.name} has {len(dataset)} images, and the protocol draws {protocol.images}"}
    fakes = samples.fake(protocol.images, rng)
    both = np.concatenate([fakes, samples.real(protocol.images, rng)])
    rows, distances = nearest(both, dataset, samples.progress)
    shown, shown_real = (_coverage(dataset, part) for part in np.split(rows, 2))
    distance = float(distances[: len(fakes)].mean())
    return {
        "closeness": 1 - distance,
        "coverage": float(np.mean(list(shown.values()))),
        "coverage_real": float(np.mean(list(shown_real.values()))),
        "coverage_of": shown,
        "distance": distance,
    }


def _coverage(dataset: Dataset, rows: np.ndarray) -> dict[str, float]:
    """The share of each factor's values among rows (N,), those with identical images counted as one."""
    result = {}
    for k, (name, size) in enumerate(zip(dataset.factor_names, dataset.factor_sizes, strict=True)):
        same = dataset.same_image.get(name, {})
        values = {same.get(value, value) for value in dataset.factors(rows)[:, k].tolist()}
        result[name] = len(values) / (size - len(same))
    return result


def _skip(dataset: Dataset) -> str | None:
    if not dataset.full_grid:
        return f"{dataset.name} is no full grid of factor values, so that its true images are not all known"
    if dataset.nuisance:
        return f"in {dataset.name} more than the factors varies ({dataset.nuisance}), so that no true image is exact"
    if len(dataset) > LARGEST:
        return f"{dataset.name} has {len(dataset)} images, too many to search; up to {LARGEST} are"
    return None


METRIC = ImageMetric(
    name="grid-quality",
    title="Nearness to the grid of true images, and how much of it is reached",
    cite="ours",
    compute=grid_quality,
    protocols=PROTOCOLS,
    keys=("closeness", "coverage"),
    skip=_skip,
    slow={"1k": "2,000 images are sought among all of the grid, a minute, for noise three"},
)
