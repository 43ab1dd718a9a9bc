"""Label accuracy: does a conditional model draw what it was asked for, by a classifier trained on real images?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_bench.contracts import Dataset, ImageMetric, ImageSamples

COMPONENTS = 100  # principal ones of the features
PENALTY = 10.0  # C of the support vector machine


@dataclass(frozen=True)
class Protocol:
    """train: real images that the classifier learns from. judged: generated ones, and as many real ones to check it."""

    train: int
    judged: int


PROTOCOLS = {"2k": Protocol(train=5_000, judged=2_000), "700": Protocol(train=1_000, judged=700)}


def label_accuracy(samples: ImageSamples, protocol: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    """The share of labelled samples whose label a classifier of real images recognises.

    Ours, after the accuracy of Shmelkov et al. (ECCV 2018). The classifier is a support vector machine with an RBF
    kernel, on 100 principal components of the pixels, or of their Fourier amplitudes, which don't change as a sprite
    moves: whichever recognises more of the real images that it was not trained on.

    Returns `score`, 0 to 1, higher is better; `real`, the classifier's accuracy on those real images, which is what a
    perfect model scores; `classifier`, "pixels" or "amplitudes"; `accuracy_of`, the share of each label. Skips models
    without labels, and datasets with fewer images than the protocol.
    """
    dataset, total = samples.dataset, protocol.train + protocol.judged
    if not samples.conditional:
        return {"skip": "the model is given no labels"}
    if len(dataset) < total:
        return {"skip": f"{dataset.name} has {len(dataset)} images, and the protocol takes {total}"}
    index = rng.choice(len(dataset), total, replace=False)
    images, labels = dataset.images(index), dataset.labels(index)
    if len(np.unique(labels[: protocol.train])) < 2:
        return {"skip": f"{dataset.name} has a single label among the images drawn"}
    fakes, asked = samples.fake_labelled(protocol.judged, rng)

    train, held_out = slice(protocol.train), slice(protocol.train, None)
    accuracies, classifiers = {}, {}
    for name, features in FEATURES.items():
        seen = features(images)  # (train + judged, d)
        classifiers[name] = _classifier(min(COMPONENTS, *seen[train].shape)).fit(seen[train], labels[train])
        accuracies[name] = float((classifiers[name].predict(seen[held_out]) == labels[held_out]).mean())
    best = max(accuracies, key=lambda name: accuracies[name])
    right = classifiers[best].predict(FEATURES[best](fakes)) == asked  # (judged,)
    return {
        "score": float(right.mean()),
        "real": accuracies[best],
        "classifier": best,
        "accuracy_of": {str(label): float(right[asked == label].mean()) for label in np.unique(asked)},
    }


def _pixels(images: np.ndarray) -> np.ndarray:
    """Float32 (N, C·H·W), 0 to 1, of images, uint8 (N, C, H, W)."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def _amplitudes(images: np.ndarray) -> np.ndarray:
    """Float32 (N, C·H·(W/2 + 1)), of the two-dimensional Fourier transform of images, uint8 (N, C, H, W)."""
    spectrum = np.fft.rfft2(images.astype(np.float32) / 255)
    return np.abs(spectrum).reshape(len(images), -1).astype(np.float32)


FEATURES = {"pixels": _pixels, "amplitudes": _amplitudes}


def _classifier(components: int) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    return make_pipeline(PCA(components, random_state=0), SVC(C=PENALTY))


def _skip(dataset: Dataset) -> str | None:
    return None if dataset.classes() else f"{dataset.name} has no labels"


METRIC = ImageMetric(
    name="label-accuracy",
    title="Label accuracy",
    cite="ours, after Shmelkov et al., How Good Is My GAN?, ECCV 2018",
    compute=label_accuracy,
    protocols=PROTOCOLS,
    skip=_skip,
)
