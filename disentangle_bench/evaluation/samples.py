"""A trained model's images, for metrics that judge them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from disentangle_bench.contracts import Dataset, ImageSamples, Progress, silent
from disentangle_bench.models.base import Model
from disentangle_bench.training.images import as_bytes

BATCH = 250


class ModelSamples(ImageSamples):
    """A model's images beside those that it was trained on."""

    def __init__(self, model: Model, dataset: Dataset, root: Path, progress: Progress = silent) -> None:
        self.model, self.dataset, self.root, self.progress = model, dataset, root, progress
        self.conditional, self.device = model.conditional, str(model.device)

    def fake(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` images of codes from the prior, with all else that they depend on drawn, too: uint8 (n, C, H, W)."""
        generator = torch.Generator(self.model.device).manual_seed(int(rng.integers(2**63)))
        return draw(self.model, n, generator)

    def fake_labelled(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """`n` images of classes that are drawn uniformly, and the classes: uint8 (n, C, H, W), int64 (n,).

        Raises `UserError` for a model that is given no labels.
        """
        if not self.conditional:
            return super().fake_labelled(n, rng)
        labels = rng.integers(self.dataset.classes(), size=n)
        generator = torch.Generator(self.model.device).manual_seed(int(rng.integers(2**63)))
        return draw(self.model, n, generator, torch.from_numpy(labels).to(self.model.device)), labels


@torch.inference_mode()
def draw(model: Model, count: int, rng: torch.Generator, labels: Tensor | None = None) -> np.ndarray:
    """Images, uint8 (count, C, H, W), of codes from the prior; of these classes, int64 (count,), where they are given.

    Evaluation mode, so that batch normalisation doesn't let one image depend on the others.
    """
    training = model.training
    model.eval()
    blocks = []
    for start in range(0, count, BATCH):
        codes = model.sample_codes(min(BATCH, count - start), rng)
        if labels is None:
            images = model.sample_images(codes, rng)
        else:
            images = model.generate_class(codes, labels[start : start + BATCH])
        blocks.append(as_bytes(images, model.image_range).cpu().numpy())
    model.train(training)
    return np.concatenate(blocks)
