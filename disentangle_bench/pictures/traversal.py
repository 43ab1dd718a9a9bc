"""Traversal pictures: one row a code, one column a value; what each code changes in the image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from disentangle_bench.models.base import Model
from disentangle_bench.pictures.tiles import GAP, show_tiles, tiled, write_png
from disentangle_bench.training.images import as_bytes
from disentangle_bench.training.seeding import derive_seed

STEPS = 11
DRAWS = 1_000  # codes of the prior, by which it is known what values a code takes
FEW = 32  # a code that takes no more values among these is shown at each of them
TAILS = (0.023, 0.977)  # of a normal distribution: two standard deviations below the mean, and above


@dataclass(frozen=True)
class Sweep:
    """The values at which one code is shown.

    columns: which of the codes' columns are the code's. values: (V, len(columns)). label: the values, in words.
    """

    columns: list[int]
    values: np.ndarray
    label: str


def sweeps(model: Model) -> list[Sweep]:
    """What each code is swept over: a code of several columns, or of few values, over each of its values; else a range.

    The range is the model's `code_range`; where it has none, the middle 95 % of the codes that its prior draws.
    """
    rng = torch.Generator(model.device).manual_seed(derive_seed(0, "traversal/prior"))
    drawn = model.sample_codes(DRAWS, rng).cpu().numpy()
    groups = model.code_groups() or [[column] for column in range(drawn.shape[1])]
    return [sweep_of(columns, drawn, model.code_range) for columns in groups]


def sweep_of(columns: list[int], drawn: np.ndarray, code_range: tuple[float, float] | None) -> Sweep:
    """The values of one code, given codes of the prior, (N, D)."""
    if len(columns) > 1:
        return Sweep(columns, np.eye(len(columns)), f"each of {len(columns)} values")
    known = np.unique(drawn[:, columns])
    if len(known) > FEW:
        low, high = code_range or np.quantile(drawn[:, columns], TAILS)
        known = np.linspace(low, high, STEPS)
    return Sweep(columns, known[:, None], f"{known[0]:.1f} to {known[-1]:.1f}")


@torch.inference_mode()
def traverse(model: Model, seed: int, swept: list[Sweep]) -> list[np.ndarray]:
    """Images of one random code with each of its parts swept in turn: uint8 (V, C, H, W) a sweep.

    The starting code comes from the model's prior, by `seed`.
    """
    model.eval()
    rng = torch.Generator(model.device).manual_seed(derive_seed(seed, "traversal"))
    start = model.sample_codes(1, rng)  # (1, D)
    blocks = []
    for sweep in swept:
        block = start.repeat(len(sweep.values), 1)
        block[:, sweep.columns] = torch.as_tensor(sweep.values, dtype=block.dtype, device=block.device)
        blocks.append(block)
    pixels = as_bytes(model.generate(torch.cat(blocks)), model.image_range).cpu().numpy()
    return np.split(pixels, np.cumsum([len(block) for block in blocks])[:-1])


def write_traversal(model: Model, seed: int, path: Path, title: str) -> None:
    """Write a traversal of the model as a PNG with axis labels."""
    from matplotlib.figure import Figure

    swept = sweeps(model)
    rows = traverse(model, seed, swept)
    columns, (_, height, side) = max(map(len, rows)), rows[0].shape[1:]
    figure = Figure(figsize=(1.2 + 0.5 * columns, 1.1 + 0.5 * len(rows)), layout="constrained")
    axes = figure.subplots()
    show_tiles(axes, tiled(filled(rows, columns), columns), title)
    names = [str(k) for k in range(len(rows))]
    if all(np.array_equal(sweep.values, swept[0].values) for sweep in swept):
        ticks = [k * (side + GAP) + side / 2 for k in range(columns)]
        axes.set_xticks(ticks, [f"{value:.1f}" for value in swept[0].values[:, 0]])
    else:  # each row has values of its own, which stand beside it
        names = [f"{name}: {sweep.label}" for name, sweep in zip(names, swept, strict=True)]
    axes.set_yticks([k * (height + GAP) + height / 2 for k in range(len(rows))], names)
    axes.set_xlabel("value of the swept code")
    axes.set_ylabel("code")
    write_png(figure, path)


def filled(rows: list[np.ndarray], columns: int) -> np.ndarray:
    """The rows' images one after the other, each row filled up to `columns` with grey ones."""
    blank = np.full(rows[0].shape[1:], 128, dtype=np.uint8)
    return np.stack([image for row in rows for image in [*row, *[blank] * (columns - len(row))]])
