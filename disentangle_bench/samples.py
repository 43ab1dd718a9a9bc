"""A trained model's images: for metrics that judge them, and as a picture for people."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from disentangle_bench.contracts import Dataset, ImageSamples, Progress, silent
from disentangle_bench.files import write_file
from disentangle_bench.models.base import Model
from disentangle_bench.seeding import derive_seed
from disentangle_bench.traverse import GAP, as_bytes, tiled

BATCH = 250
COLUMNS = 10
ROWS = 8  # of a picture, unless there is one for each class


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


def write_samples(model: Model, seed: int, classes: int, names: tuple[str, ...], path: Path, title: str) -> None:
    """Write samples as a PNG: for a conditional model a row of ten for each class, else eight rows.

    In a conditional model's picture a column has the same code in all its rows. names: of the classes, where known.
    """
    from matplotlib.figure import Figure

    rng = torch.Generator(model.device).manual_seed(derive_seed(seed, "samples"))
    if model.conditional:
        rows = classes
        with torch.inference_mode():
            model.eval()
            codes = model.sample_codes(COLUMNS, rng).repeat(rows, 1)  # (rows · 10, D), row after row
            labels = torch.arange(rows, device=model.device).repeat_interleave(COLUMNS)
            images = as_bytes(model.generate_class(codes, labels), model.image_range).cpu().numpy()
    else:
        rows = ROWS
        images = draw(model, rows * COLUMNS, rng)
    figure = Figure(figsize=(6, 0.6 + 0.55 * rows), layout="constrained")
    axes = figure.subplots()
    axes.imshow(tiled(images, COLUMNS), interpolation="nearest")
    side = images.shape[2] + GAP
    ticks = [row * side + side / 2 for row in range(rows)]
    if model.conditional:
        axes.set_yticks(ticks, names or [str(k) for k in range(rows)])
        axes.set_ylabel("class that was asked for")
    else:
        axes.set_yticks([])
    axes.set_xticks([])
    axes.set_title(title, fontsize=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    write_file(path, buffer.getvalue())
