"""A score's chance floor and oracle ceiling on a dataset: the two ends that make a number readable."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_bench import registry
from disentangle_bench.contracts import CodeTable, Dataset, ImageMetric, ImageSamples, Score
from disentangle_bench.errors import UserError
from disentangle_bench.files import read_checked, write_checked
from disentangle_bench.metrics import score_images, score_table
from disentangle_bench.metrics.cost import is_lifted

FORMAT = 1  # of the cached file; raise it when a change outside a metric's own file moves its numbers
FLOOR_SEEDS = range(5)

Calibration = dict[str, dict[str, float]]


def calibrate(dataset: Dataset, metric: str, protocol: str, width: int, cache: Path | None = None) -> Calibration:
    """{score key: {"floor": mean, "ceiling": value}} of a metric under a protocol, for codes of `width` dimensions.

    floor: the mean over 5 tables of independent standard normal codes, (N, width).
    ceiling: the true factors as codes, standardised. Factor values with identical images count as one, as no encoder
        can tell them apart.
    For a metric of images the floor is uniform noise, once, and the ceiling real images, drawn anew; a protocol that
    takes minutes has neither.
    cache: a folder for one JSON file a result, which is reused while the dataset's content and the metric's source are
        unchanged, and made again where it is damaged; None keeps nothing.

    Seeds are fixed, so the result is a function of the arguments. A metric that skips the dataset gives {}, and so does
    a dataset without factors, which has no ceiling.
    """
    if width < 1:
        raise UserError(f"width must be 1 or more code dimensions, not {width}.")
    chosen: Score = registry.get("metric", metric)
    if isinstance(chosen, ImageMetric):
        width = 1  # images have no codes: one result for all
    without = protocol in chosen.slow if isinstance(chosen, ImageMetric) else not dataset.factor_names
    if without or chosen.reason_to_skip(dataset) is not None:
        return {}
    if cache is not None:
        known = kept(dataset.checksum, metric, protocol, width, cache)
        if known is not None:
            return known
    if isinstance(chosen, ImageMetric):
        result = _measure_images(dataset, chosen, protocol, cache)
    else:
        result = _measure(dataset, chosen, protocol, width)
    if cache is not None:
        identity, path = _identity(dataset.checksum, chosen, protocol, width, cache)
        write_checked(path, {"identity": identity, "calibration": result})
    return result


def kept(checksum: str, metric: str, protocol: str, width: int, cache: Path) -> Calibration | None:
    """What `calibrate` keeps in a cache of a dataset with this checksum; None where it is not there or out of date."""
    chosen: Score = registry.get("metric", metric)
    identity, path = _identity(checksum, chosen, protocol, 1 if isinstance(chosen, ImageMetric) else width, cache)
    return _read(path, identity)


def _identity(checksum: str, metric: Score, protocol: str, width: int, cache: Path) -> tuple[dict[str, Any], Path]:
    """All that a calibration depends on, and its file in the cache."""
    source = inspect.getsourcefile(metric.compute)
    identity = {
        "format": FORMAT,
        "dataset": checksum,
        "metric": metric.name,
        "source": hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else None,
        "protocol": protocol,
        "width": width,
    }
    if is_lifted(f"{metric.name}/{protocol}"):
        identity["limit"] = "lifted"  # what was skipped for its cost is not now
    digest = hashlib.sha256(json.dumps([checksum, metric.name, protocol, width]).encode()).hexdigest()[:16]
    return identity, cache / f"{metric.name}-{protocol}-{width}-{digest}.json"


def _measure(dataset: Dataset, metric: Score, protocol: str, width: int) -> Calibration:
    floors = []
    for seed in FLOOR_SEEDS:
        rng = np.random.default_rng([seed, width])
        table = CodeTable.of(dataset, rng.standard_normal((len(dataset.evaluation()), width)))
        floors.append(score_table(metric.name, table, protocol, seed))
    factors = table.merge_same_images().factors.astype(np.float64)  # (N, K)
    spread = factors.std(axis=0)
    oracle = (factors - factors.mean(axis=0)) / np.where(spread == 0, 1, spread)
    ceiling = score_table(metric.name, CodeTable.of(dataset, oracle), protocol, seed=0)
    return _ends(metric.keys, floors, ceiling)


def _measure_images(dataset: Dataset, metric: ImageMetric, protocol: str, cache: Path | None) -> Calibration:
    with tempfile.TemporaryDirectory() as folder:
        root = cache if cache is not None else Path(folder)
        noise, real = Noise(dataset, root), RealImages(dataset, root)
        floor = score_images(metric.name, noise, protocol, 0)
        return _ends(metric.keys, [floor], score_images(metric.name, real, protocol, 0))


def _ends(keys: Sequence[str], floors: Sequence[dict[str, Any]], ceiling: dict[str, Any]) -> Calibration:
    if "skip" in ceiling or any("skip" in floor for floor in floors):
        return {}
    return {
        key: {"floor": float(np.mean([floor[key] for floor in floors])), "ceiling": float(ceiling[key])} for key in keys
    }


class Noise(ImageSamples):
    """A model that knows nothing: each pixel is a uniform byte, whatever class was asked for."""

    conditional = True

    def __init__(self, dataset: Dataset, root: Path) -> None:
        self.dataset, self.root = dataset, root

    def fake(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Uniform noise, uint8 (n, C, H, W)."""
        return rng.integers(256, size=(n, *self.dataset.image_shape), dtype=np.uint8)

    def fake_labelled(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Noise, and classes drawn uniformly."""
        return self.fake(n, rng), rng.integers(self.dataset.classes(), size=n)


class RealImages(Noise):
    """A model that can't be bettered: it draws from the dataset itself."""

    def fake(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Real images, uint8 (n, C, H, W), drawn with replacement."""
        return self.dataset.images(rng.integers(len(self.dataset), size=n))

    def fake_labelled(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Real images and their own classes."""
        index = rng.integers(len(self.dataset), size=n)
        return self.dataset.images(index), self.dataset.labels(index)


def _read(path: Path, identity: dict[str, Any]) -> Calibration | None:
    """The calibration in a cached file; None where the file is missing, damaged, or of another identity."""
    try:
        text, checked = read_checked(path)
        content = json.loads(text)
        if not checked or content["identity"] != identity:
            return None
        result = {
            str(key): {end: float(ends[end]) for end in ("floor", "ceiling")}
            for key, ends in content["calibration"].items()
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return result if all(math.isfinite(value) for ends in result.values() for value in ends.values()) else None
