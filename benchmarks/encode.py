"""Images a second through the published IB-GAN encoder, beside the loop of a paper's script.

    python benchmarks/encode.py [--device cpu|cuda] [--images N] [--rounds 5] [--json PATH]

The suite encodes as a trial does: stored bits are decoded on the device in batches of `codes.ENCODE_BATCH`, through
convolutions with channels last. The plain loop reads 64 images at a time with `dataset.images`, makes them floats on
the host, and encodes them in contiguous format. Both end with codes in memory, which are compared first. Each variant
has its own process; they take turns in short rounds and the fastest counts, as the one that other processes disturbed
least. The time for all 737,280 images is extrapolated. "GFLOP/s" is what an image's codes need, counted on the encoder,
times images/s; "share" is of what a large float32 convolution reaches with as many threads in the same rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import (
    Worker,
    ask_together,
    machine,
    parser,
    positive,
    print_header,
    print_table,
    require_device,
    write_json,
)
from peak import time_peak
from torch.utils.flop_counter import FlopCounterMode

from disentangle_bench import datasets, registry
from disentangle_bench.contracts import Dataset
from disentangle_bench.display import Bar
from disentangle_bench.evaluation.codes import ENCODE_BATCH, encode_grid
from disentangle_bench.models.base import Model
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.trainer import build_model

DATASET, MODEL = "dsprites", "ib-gan"
PLAIN_BATCH = 64
TOLERANCE = 1e-2  # between the variants' codes: other memory formats, and TF32 on a GPU, round otherwise
WARM_UP = 512  # images
LIMIT_SECONDS = 1.0  # of convolutions a round


def build(dataset: Dataset, device: str) -> Model:
    """The published model, with its initial weights."""
    cls: type[Model] = registry.get("model", MODEL)
    return build_model(cls, cls.configurations[DATASET], dataset.image_shape, seed=0).to(device)


def suite(root: Path | None, device: str) -> Callable[[int], np.ndarray]:
    """A function: the codes of the first N images, by the suite, in a process set up as a trial's is."""
    set_up_process()
    dataset = datasets.load(DATASET, root)
    model = build(dataset, device)
    images = DeviceImages(dataset, model.device, model.image_range)

    def encode(count: int) -> np.ndarray:
        dataset.evaluation = lambda: np.arange(count)  # type: ignore[method-assign]
        return encode_grid(model, images)

    return encode


def plain(root: Path | None, device: str) -> Callable[[int], np.ndarray]:
    """A function: the codes of the first N images, by the plain loop."""
    dataset = datasets.load(DATASET, root)
    model = build(dataset, device).eval()
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stubs

    def encode(count: int) -> np.ndarray:
        codes = []
        with torch.no_grad():
            for start in range(0, count, PLAIN_BATCH):
                batch = dataset.images(np.arange(start, min(start + PLAIN_BATCH, count)))
                images = torch.from_numpy(batch.astype(np.float32) / 127.5 - 1).to(device)
                codes.append(model.encode(images).cpu().numpy())
        return np.concatenate(codes)

    return encode


VARIANTS = {"plain loop": plain, "suite": suite}


def time_variant(variant: str, root: Path | None, device: str, thread_count: int) -> Callable[[float], float]:
    """A function: encode some images and return images a second."""
    encode = VARIANTS[variant](root, device)

    def measure(count: float) -> float:
        with threads(thread_count):
            start = time.perf_counter()
            encode(int(count))  # the codes come back to the host, which waits for the device
            return count / (time.perf_counter() - start)

    measure(WARM_UP)
    return measure


def needed_gflop(root: Path | None, device: str) -> float:
    """GFLOP of one image's codes."""
    dataset = datasets.load(DATASET, root)
    model = build(dataset, device).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as needed:
        model.encode(torch.zeros(1, *dataset.image_shape, device=device))
    return needed.get_total_flops() / 1e9


def main() -> None:
    """Compare, measure, and print the table."""
    cuda = torch.cuda.is_available()
    arguments = parser(__doc__)
    arguments.add_argument("--device", default="cuda" if cuda else "cpu", choices=["cpu", "cuda"])
    arguments.add_argument("--images", type=positive, help="of each round (default: 8,192; all of them on a GPU)")
    arguments.add_argument("--rounds", type=positive, default=5, help="how often the variants take turns")
    arguments.add_argument("--data-root", type=Path, help="prepared datasets (default: ./datasets)")
    options = arguments.parse_args()
    require_device(arguments, options.device)

    gpu = {"gpu": torch.cuda.get_device_name()} if options.device == "cuda" else {}
    facts = machine("torch", "numpy", **gpu)
    print_header(facts)
    total = len(datasets.load(DATASET, options.data_root))
    count = min(total, options.images or (total if options.device == "cuda" else 8_192))
    with threads(1):
        first, second = (make(options.data_root, options.device)(WARM_UP) for make in VARIANTS.values())
    apart = float(np.linalg.norm(first - second) / np.linalg.norm(first))
    if not apart < TOLERANCE:
        raise RuntimeError(f"the variants' codes are {apart:.2g} of their norm apart: they do other work")

    rows: list[dict[str, Any]] = [
        {"variant": variant, "threads": thread_count, "rounds": []} for thread_count in (1, 2) for variant in VARIANTS
    ]
    workers = [Worker(time_variant, row["variant"], options.data_root, options.device, row["threads"]) for row in rows]
    limits = {thread_count: Worker(time_peak, options.device, thread_count) for thread_count in (1, 2)}
    peaks: dict[int, list[float]] = {thread_count: [] for thread_count in limits}
    with Bar("rounds") as progress:
        for done in range(options.rounds):
            progress(done, options.rounds)
            for row, worker in zip(rows, workers, strict=True):
                row["rounds"] += ask_together([worker], count)
            for thread_count, limit in limits.items():
                peaks[thread_count] += ask_together([limit], LIMIT_SECONDS)
    for worker in [*workers, *limits.values()]:
        worker.close()

    for row in rows:
        row["images_per_s"] = max(row["rounds"])
        row["all_s"] = total / row["images_per_s"]
    loops = {row["threads"]: row["images_per_s"] for row in rows if row["variant"] == "plain loop"}
    gflop = needed_gflop(options.data_root, options.device)
    for row in rows:
        row["gflop_per_s"] = row["images_per_s"] * gflop
        row["limit_gflop_per_s"] = max(peaks[row["threads"]])
        row["share"] = row["gflop_per_s"] / row["limit_gflop_per_s"]
        row["ratio"] = row["images_per_s"] / loops[row["threads"]]
    batch = ENCODE_BATCH[options.device]
    print_table(
        f"encoder of {MODEL}, {DATASET}, {options.device}, batches of {batch} (plain: {PLAIN_BATCH}); "
        f"best of {options.rounds} rounds of {count:,} images; {1000 * gflop:.1f} MFLOP an image",
        ["variant", "threads", "images/s", "slowest round", "ratio", f"all {total:,}", "GFLOP/s", "share"],
        [
            [
                row["variant"],
                str(row["threads"]),
                f"{row['images_per_s']:,.0f}",
                f"{min(row['rounds']):,.0f}",
                f"{row['ratio']:.2f}",
                f"{row['all_s']:.0f} s",
                f"{row['gflop_per_s']:.0f}",
                f"{row['share']:.0%}",
            ]
            for row in rows
        ],
    )
    settings = {"device": options.device, "images": count, "batch": batch, "gflop_an_image": gflop}
    write_json(options.json, facts, **settings, codes_apart=apart, rows=rows)


if __name__ == "__main__":
    main()
