"""A trained model's images as a picture for people."""

from __future__ import annotations

from pathlib import Path

import torch

from disentangle_bench.evaluation.samples import draw
from disentangle_bench.models.base import Model
from disentangle_bench.pictures.tiles import GAP, show_tiles, tiled, write_png
from disentangle_bench.training.images import as_bytes
from disentangle_bench.training.seeding import derive_seed

COLUMNS = 10
ROWS = 8  # unless there is one for each class


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
    show_tiles(axes, tiled(images, COLUMNS), title)
    side = images.shape[2] + GAP
    ticks = [row * side + side / 2 for row in range(rows)]
    if model.conditional:
        axes.set_yticks(ticks, names or [str(k) for k in range(rows)])
        axes.set_ylabel("class that was asked for")
    write_png(figure, path)
