"""Features of real and generated images, by a network that both are seen through; those of the real ones are kept."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from disentangle_bench.contracts import ImageSamples, Progress
from disentangle_bench.errors import UserError
from disentangle_bench.files import write_file
from disentangle_bench.training.seeding import derive_seed

BLOCK = 5000  # images in memory at a time; a multiple of the networks' batches, so that it changes none of them
FORMAT = 1  # of the kept file; raise it when a change to the code moves the features


class Network(Protocol):
    """What turns images into features."""

    identity: str
    """A hash of the weights, or the name of what makes them."""

    def features(self, images: np.ndarray, progress: Progress) -> np.ndarray:
        """Images, uint8 (N, C, H, W), to features, float32 (N, d)."""


def features_of(
    samples: ImageSamples, network: Network, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Features of `count` real and of `count` generated images, float32 (count, d) each.

    The real images are the same for every model and seed, drawn without replacement by a seed of the dataset's content
    and `count` alone; their features are kept under the data root, and made anew where that file is damaged. The
    generated ones are asked for in blocks of `BLOCK`, which follow each other in `rng`.
    """
    real = _real_features(samples, network, count)
    return real, _in_blocks(network, lambda start, end: samples.fake(end - start, rng), count, samples.progress)


def too_few(samples: ImageSamples, count: int) -> str | None:
    """The reason to skip where the dataset has not `count` real images."""
    have = len(samples.dataset)
    return f"{samples.dataset.name} has {have} images, and the protocol compares {count}" if have < count else None


def _real_features(samples: ImageSamples, network: Network, count: int) -> np.ndarray:
    checksum = samples.dataset.checksum
    identity = json.dumps([FORMAT, checksum, count, network.identity])
    name = f"{samples.dataset.name}-{count}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.npz"
    path = samples.root / "features" / name
    kept = _read(path, count)
    if kept is not None:
        return kept
    rng = np.random.default_rng(derive_seed(0, "real images", checksum, count))
    rows = rng.choice(len(samples.dataset), count, replace=False)
    features = _in_blocks(network, lambda start, end: samples.dataset.images(rows[start:end]), count, samples.progress)
    buffer = io.BytesIO()
    np.savez(buffer, features=features)
    try:
        write_file(path, buffer.getvalue())
    except UserError as error:  # a data root that can't be written costs time, not the score
        sys.stderr.write(f"features of the real images are not kept: {error}\n")
    return features


def _in_blocks(
    network: Network, images: Callable[[int, int], np.ndarray], count: int, progress: Progress
) -> np.ndarray:
    """Features, float32 (count, d), of what `images` gives from a start to an end, uint8 (end - start, C, H, W)."""
    blocks = [
        network.features(
            images(start, min(start + BLOCK, count)),
            lambda done, total, start=start: progress(start + done, count),  # type: ignore[misc]
        )
        for start in range(0, count, BLOCK)
    ]
    return np.concatenate(blocks)


def _read(path: Path, count: int) -> np.ndarray | None:
    """The kept features, (count, d); None where there are none, or the file is damaged, which is said on stderr."""
    if not path.exists():
        return None
    try:
        with np.load(path) as file:  # zip checks each array's checksum as it is read
            features = file["features"]
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        sys.stderr.write(f"{path} is damaged ({error}); it is made anew\n")
        return None
    return features if len(features) == count else None
