"""What an encoder's scores cost in all: encode the grid once and score, or encode each vote's images anew.

The encoder is the published IB-GAN's with its initial weights, which are as fast as trained ones. The suite encodes all
of dSprites as a trial does, then scores SUITE. The peer gathers and encodes the images of one vote, or of one batch of
a sample, after the other, plain and eager, as the public implementations do; it runs on a fraction of those images,
evenly over the metrics, and is scaled up. Its time includes no metric.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import machine, print_header, print_table, seconds, write_json
from encode import DATASET, MODEL, build

from disentangle_bench import datasets, registry
from disentangle_bench.contracts import CodeTable, Dataset
from disentangle_bench.datasets.draft import SUFFIX
from disentangle_bench.evaluation.codes import encode_grid
from disentangle_bench.metrics import score_table
from disentangle_bench.models.base import Model
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.process import set_up_process, threads

VOTING = ("factor-vae", "beta-vae")
SAMPLED = ("mig", "sap", "modularity-explicitness", "irs", "unsupervised")
SUITE = dict.fromkeys(VOTING + SAMPLED, "locatello") | {"dci": "ib-gan"}
BATCH = 64  # images of a sample that the peer encodes at a time, as in a vote


def images_encoded(metric: str) -> list[tuple[int, int]]:
    """What the peer encodes for a metric: pairs of a number of batches and the images in each."""
    settings = registry.get("metric", metric).protocols[SUITE[metric]]
    if metric == "factor-vae":  # and a sample for the global variance
        return [(settings.train_votes + settings.eval_votes, settings.group), (10_000 // BATCH, BATCH)]
    if metric == "beta-vae":
        return [(2 * (settings.train_points + settings.eval_points), settings.pairs)]
    held_out = 5_000 if metric in ("sap", "modularity-explicitness", "dci") else 0
    return [((10_000 + held_out) // BATCH, BATCH)]


def peer(model: Model, dataset: Dataset, batches: int, size: int) -> None:
    """Gather and encode so many batches of random images, and reduce the codes of each."""
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for _ in range(batches):
            images = dataset.images(rng.integers(len(dataset), size=size)).astype(np.float32) / 127.5 - 1
            model.encode(torch.from_numpy(images)).numpy().var(axis=0, ddof=1)


def main(options: argparse.Namespace) -> None:
    """Measure both, and print the table."""
    set_up_process()
    facts = machine("torch", "numpy", "scikit-learn", threads=str(options.threads))
    print_header(facts)
    name = DATASET + (SUFFIX if options.draft else "")
    dataset = datasets.load(name, options.data_root)
    model = build(dataset, "cpu")
    with threads(options.threads):
        images = DeviceImages(dataset, model.device, model.image_range)
        start, processor = time.perf_counter(), time.process_time()
        codes = encode_grid(model, images)
        encoded = time.perf_counter() - start
        table = CodeTable.of(dataset, codes)
        for metric, protocol in SUITE.items():
            score_table(metric, table, protocol)
        suite, suite_processor = time.perf_counter() - start, time.process_time() - processor
        model.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]  # missing in its stubs
        peer(model, dataset, 4, BATCH)
        spent, peer_processor, count = 0.0, 0.0, 0
        for metric in SUITE:
            for batches, size in images_encoded(metric):
                part = max(1, round(options.fraction * batches))
                processor = time.process_time()
                spent += seconds(lambda part=part, size=size: peer(model, dataset, part, size)) * batches / part
                peer_processor += (time.process_time() - processor) * batches / part
                count += batches * size
    rows = [
        {
            "variant": "suite: the grid once",
            "images": len(codes),
            "encoding": encoded,
            "seconds": suite,
            "processor": suite_processor,
        },
        {
            "variant": "peer: vote by vote",
            "images": count,
            "encoding": spent,
            "seconds": spent,
            "processor": peer_processor,
        },
    ]
    print_table(
        f"{', '.join(f'{metric} {protocol}' for metric, protocol in SUITE.items())}; encoder of {MODEL}, {name}; "
        f"the peer runs {options.fraction:.1%}, scaled up, and computes no score",
        ["variant", "images encoded", "encoding s", "with scores s", "cpu s", "ratio"],
        [
            [
                row["variant"],
                f"{row['images']:,}",
                f"{row['encoding']:.1f}",
                f"{row['seconds']:.1f}",
                f"{row['processor']:.1f}",
                f"{row['seconds'] / suite:.1f}",
            ]
            for row in rows
        ],
    )
    write_json(options.json, facts, fraction=options.fraction, suite=SUITE, rows=rows)
