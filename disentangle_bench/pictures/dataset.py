"""What a dataset looks like, as one picture: samples, and a row of images for each factor or class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from disentangle_bench.contracts import Dataset
from disentangle_bench.pictures.tiles import GAP, show_tiles, tiled, write_png

COLUMNS = 10
SAMPLE_ROWS = 4
MOST_ROWS = 12  # of factors or classes


def write_dataset_picture(dataset: Dataset, path: Path) -> None:
    """Write samples and one traversal a factor as a PNG; the same picture each time.

    On a full grid a row sweeps one factor from its first value to its last and holds the others in their middle. Where
    images have values but no grid, a row shows one image each of the factor's values; and so for classes. Of many
    factors or classes the first `MOST_ROWS` are shown.
    """
    from matplotlib.figure import Figure

    rng = np.random.default_rng(0)
    size = len(dataset)
    samples = dataset.images(rng.integers(size, size=SAMPLE_ROWS * COLUMNS) if size > COLUMNS else np.arange(size))
    rows = factor_rows(dataset, rng)
    height = 1.0 + 0.62 * (SAMPLE_ROWS + len(rows))
    figure = Figure(figsize=(8, height), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[SAMPLE_ROWS + 1, max(1, len(rows))])
    axes = parts[0].subplots()
    show_tiles(axes, tiled(samples, COLUMNS), f"{dataset.name}: samples")
    if rows:
        axes = parts[1].subplots()
        blank = np.full(dataset.image_shape, 255, dtype=np.uint8)
        images = np.stack([image for _, row in rows for image in [*row, *[blank] * (COLUMNS - len(row))]])
        show_tiles(axes, tiled(images, COLUMNS, background=255), rows_title(dataset))
        side = dataset.image_shape[1] + GAP
        names = [name for name, _ in rows]
        axes.set_yticks([side * k + side / 2 for k in range(len(rows))], names, fontsize=8)
    else:
        parts[1].text(0.5, 0.5, f"no factors: {dataset.no_factors}", ha="center", fontsize=9)
    write_png(figure, path)


def factor_rows(dataset: Dataset, rng: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """(factor or class, images (n, C, H, W)) of each row: at most `MOST_ROWS` rows of at most `COLUMNS` images."""
    names = dataset.factor_names[:MOST_ROWS]
    if dataset.full_grid:
        middle = np.array(dataset.factor_sizes) // 2
        rows = []
        for k, name in enumerate(names):
            size = dataset.factor_sizes[k]
            values = np.unique(np.linspace(0, size - 1, COLUMNS).round().astype(np.int64))
            factors = np.repeat(middle[None], len(values), axis=0)
            factors[:, k] = values
            rows.append((f"{name} ({size})", dataset.images(dataset.index(factors))))
        return rows
    if names:
        table = dataset.factors(np.arange(len(dataset)))
        return [(name, of_each(dataset, table[:, k], rng)) for k, name in enumerate(names)]
    if dataset.classes():
        labels = dataset.labels(np.arange(len(dataset)))
        found = [(name, np.flatnonzero(labels == k)) for k, name in enumerate(dataset.class_names[:MOST_ROWS])]
        return [
            (name, dataset.images(rng.choice(rows, min(COLUMNS, len(rows)), replace=False))) for name, rows in found
        ]
    return []


def rows_title(dataset: Dataset) -> str:
    """What the rows of `factor_rows` are, and of how many factors or classes where not all are shown."""
    title = "each factor from its first value to its last" if dataset.full_grid else "by value"
    count, what = (len(dataset.factor_names), "factors") if dataset.factor_names else (dataset.classes(), "classes")
    return f"{title}: first {MOST_ROWS} of {count} {what}" if count > MOST_ROWS else title


def of_each(dataset: Dataset, column: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images of a factor's values in their order, as many of each as fit in a row."""
    values = np.unique(column)
    values = values[np.unique(np.linspace(0, len(values) - 1, COLUMNS).round().astype(np.int64))]
    each = max(1, COLUMNS // len(values))
    return dataset.images(np.concatenate([rng.choice(np.flatnonzero(column == value), each) for value in values]))
