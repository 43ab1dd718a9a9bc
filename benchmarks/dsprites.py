"""How long dSprites takes: to regenerate and to read, beside a plain loop that draws image by image.

    python benchmarks/dsprites.py [--root DIR] [--images N] [--batches N] [--json PATH]

The loop draws a random sample of the grid and is extrapolated to all of it; the rest is measured whole. The first line
says on what machine. Reads come from the page cache, as they do in training.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

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


def seconds(work: Callable[[], Any]) -> float:
    """The wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--root", type=Path, help="a folder on the disk to measure (default: the system's temporary one)"
    )
    parser.add_argument("--images", type=int, default=7373, help="images that the plain loop draws (default: 1 %%)")
    parser.add_argument("--batches", type=int, default=2000, help=f"batches of {BATCH} to read")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    options = parser.parse_args()

    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "h5py": h5py.__version__,
    }
    print("# " + ", ".join(f"{key} {value}" for key, value in machine.items()))
    with tempfile.TemporaryDirectory(dir=options.root) as folder:
        result = measure(Path(folder), options.images, options.batches)
    print(f"regenerate all 737,280 images, hash, write   {result['regenerate_s']:10.2f} s")
    print(
        f"plain loop, drawing and packing only         {result['naive_extrapolated_s']:10.2f} s, extrapolated from "
        f"{result['naive_images']:,} images ({result['naive_fraction']:.1%}); {result['naive_pixels_that_differ']} "
        "pixels differ"
    )
    print(f"ratio                                        {result['ratio']:10.1f}")
    print(f"verify the content                           {result['verify_s']:10.2f} s")
    print(f"open a prepared file                         {result['open_s'] * 1000:10.1f} ms")
    for name in ("dsprites", "dsprites-32"):
        rate = result[f"{name}_images_per_s"]
        print(f"random batches of {BATCH}, {name:<12} decoded       {rate:10,.0f} images/s")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
