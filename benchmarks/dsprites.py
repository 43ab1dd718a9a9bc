"""How long dSprites takes: to regenerate and to read, beside a plain loop that draws image by image.

    python benchmarks/dsprites.py [--root DIR] [--images N] [--batches N] [--json PATH]

The loop draws a random sample of the grid and is extrapolated to all of it; the rest is measured whole. The first line
says on what machine. Reads come from the page cache, as they do in training.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, parser, positive, print_header, print_table, seconds, write_json

from disentangle_bench.datasets.dsprites import DSprites, DSprites32
from disentangle_bench.datasets.dsprites_geometry import SIDE, inside

BATCH = 64


def naive_image(factors: np.ndarray) -> np.ndarray:
    """One image over all of its 64 × 64 pixels: bool (64, 64)."""
    shape, scale, orientation, i, j = (int(value) for value in factors)
    s, theta = 0.5 + 0.1 * scale, 2 * np.pi * orientation / 39
    row, column = np.mgrid[:SIDE, :SIDE] + 0.5
    dx, dy = (column - 16 - 32 * i / 31) / s, (row - 16 - 32 * j / 31) / s
    return inside(shape, np.cos(theta) * dx - np.sin(theta) * dy, np.sin(theta) * dx + np.cos(theta) * dy)


def read(dataset: DSprites, batches: np.ndarray) -> None:
    """Decode these batches one after the other, keeping none."""
    for index in batches:
        dataset.images(index)


def measure(root: Path, images: int, batches: int) -> dict[str, Any]:
    """All numbers, by name; `root` is an empty folder that takes 377 MB."""
    rng = np.random.default_rng(0)
    regenerate = seconds(lambda: DSprites.prepare(root))
    data, small = DSprites(root), DSprites32(root)

    sample = data.factors(rng.integers(len(data), size=images))
    drawn: list[np.ndarray] = []
    loop = seconds(lambda: drawn.extend(np.packbits(naive_image(factors), axis=-1) for factors in sample))
    differ = int(np.bitwise_count(np.stack(drawn) ^ data.rows[data.index(sample)]).sum())

    result = {
        "regenerate_s": regenerate,
        "naive_images": images,
        "naive_fraction": images / len(data),
        "naive_extrapolated_s": loop * len(data) / images,
        "naive_pixels_that_differ": differ,
        "verify_s": seconds(data.verify),
        "open_s": seconds(lambda: DSprites(root)),
    }
    result["ratio"] = result["naive_extrapolated_s"] / regenerate
    index = rng.integers(len(data), size=(batches, BATCH))
    for dataset in (data, small):
        result[f"{dataset.name}_images_per_s"] = index.size / seconds(partial(read, dataset, index))
    return result


def main() -> None:
    """Measure, print a table, and write the numbers where `--json` says."""
    arguments = parser(__doc__)
    arguments.add_argument("--root", type=Path, help="a folder on the disk to measure (default: the temporary one)")
    arguments.add_argument("--images", type=positive, default=7373, help="images that the plain loop draws (1 %%)")
    arguments.add_argument("--batches", type=positive, default=2000, help=f"batches of {BATCH} to read")
    options = arguments.parse_args()

    facts = machine("numpy", "h5py")
    print_header(facts)
    with tempfile.TemporaryDirectory(dir=options.root) as folder:
        result = measure(Path(folder), options.images, options.batches)
    rows = [
        ["regenerate all 737,280 images, hash, write", f"{result['regenerate_s']:.2f} s"],
        ["plain loop, drawing and packing only, extrapolated", f"{result['naive_extrapolated_s']:.2f} s"],
        ["ratio", f"{result['ratio']:.1f}"],
        ["pixels that differ between the two", f"{result['naive_pixels_that_differ']}"],
        ["verify the content", f"{result['verify_s']:.2f} s"],
        ["open a prepared file", f"{result['open_s'] * 1000:.1f} ms"],
    ]
    for name in ("dsprites", "dsprites-32"):
        rate = result[f"{name}_images_per_s"]
        rows.append([f"random batches of {BATCH}, {name}, decoded", f"{rate:,.0f} images/s"])
    drawn = f"{result['naive_images']:,} images ({result['naive_fraction']:.1%})"
    print_table(f"dSprites; the plain loop drew {drawn}", ["what", "measured"], rows)
    write_json(options.json, facts, **result)


if __name__ == "__main__":
    main()
