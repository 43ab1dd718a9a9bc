"""The checks of a metric of images, on bars, noise and other bars."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_bench.conformance import Fault, Skip, require
from disentangle_bench.conformance.metrics import ROUNDING, declares
from disentangle_bench.contracts import Dataset, ImageMetric, ImageSamples
from disentangle_bench.evaluation.calibration import Noise, RealImages
from disentangle_bench.metrics import generator

SIDE = 16
SIZES = (4, 8, 8, 8)  # widths, columns, rows, brightnesses: 2,048 images, enough for the small protocols


class Bars(Dataset):
    """A bar of 4 widths and 8 brightnesses at 8 × 8 places; the width is its class."""

    name, description, image_shape = "bars", "bars for checks", (1, SIDE, SIDE)
    factor_names, factor_sizes, label_factor = ("width", "column", "row", "brightness"), SIZES, "width"

    def __init__(self) -> None:
        self.checksum = "bars of metrics"
        self.rows = np.zeros((math.prod(SIZES), 1, SIDE, SIDE), dtype=np.uint8)
        for i, (width, column, row, brightness) in enumerate(np.ndindex(*SIZES)):
            self.rows[i, 0, 2 * row : 2 * row + 2, column : column + 2 * width + 2] = 80 + 25 * brightness


def judged(metric: ImageMetric, samples: type[Noise], seed: int = 0) -> dict[str, Any]:
    """The result of its first protocol that takes no minutes and doesn't skip the bars; `Skip` where there is none."""
    reasons = ["all its protocols take minutes"]
    for protocol in (each for each in metric.protocols if each not in metric.slow):
        with tempfile.TemporaryDirectory() as folder:
            subject: ImageSamples = samples(Bars(), Path(folder))
            reason = metric.reason_to_skip(subject.dataset)
            rng = generator(seed, metric.name, protocol)
            found = {"skip": reason} if reason else metric.compute(subject, metric.protocols[protocol], rng)
        if set(found) != {"skip"}:
            return found
        reasons = [f"{protocol} skips the bars: {found['skip']}"]
    raise Skip(reasons[0])


def gives_scores(metric: ImageMetric) -> None:
    """Real images and noise have finite scores within the range."""
    for samples in (RealImages, Noise):
        found = judged(metric, samples)
        for key in metric.keys:
            value = found.get(key)
            numeric = isinstance(value, int | float | np.number) and math.isfinite(value)
            require(numeric, f"`{key}` of {samples.__name__} is {value!r}; it must be a finite number")
            low, high = metric.range
            inside = low - ROUNDING <= float(value) <= high + ROUNDING  # type: ignore[arg-type]
            require(inside, f"`{key}` of {samples.__name__} is {value}, outside `range` {low:g} to {high:g}")


def repeats(metric: ImageMetric) -> None:
    """The same samples and seed give the same bytes."""
    first, second = (json.dumps(judged(metric, RealImages, 3), sort_keys=True, default=repr) for _ in range(2))
    require(first == second, "the same samples and seed gave two results; draw from the generator that is passed")


def knows_its_direction(metric: ImageMetric) -> None:
    """Real images score better than noise, by the first of its keys."""
    key = metric.keys[0]
    real, noise = (float(judged(metric, samples)[key]) for samples in (RealImages, Noise))
    better = real > noise if metric.higher_is_better else real < noise
    if not better:
        direction = "higher" if metric.higher_is_better else "lower"
        raise Fault(f"real images have {real:g} and noise {noise:g}, yet {direction} is said to be better")


CHECKS: list[Callable[[Any], None]] = [declares, gives_scores, repeats, knows_its_direction]
