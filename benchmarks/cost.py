"""How the cost of a trial grows: with steps, batch, image side, images and seeds.

    python benchmarks/cost.py [--steps 100,200,400] [--images 2880,46080,184320,737280] [--seeds 1,2,4]
                              [--repeats N] [--out FOLDER] [--json PATH]

Writes cost.csv and cost.png into `--out`, docs/explanation by default, and prints the tables of the page there.
All of it is the small IB-GAN on dSprites in one thread, at 32 × 32 where nothing else is said. Seconds a step are those
of the fastest of `--repeats`. Images are encoded and scored by the protocols of SCORED; fewer of them are the first
values of each factor. Seeds are a study of short trials on Ray, start and leaderboard included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from commands import run_study
from common import fastest, machine, parser, positive, print_header, write_json
from cost_tables import STUDY_STEPS, draw, markdown

from disentangle_bench import datasets, registry
from disentangle_bench.contracts import CodeTable, Dataset
from disentangle_bench.datasets.dsprites import DSprites, DSprites32, bits
from disentangle_bench.evaluation.codes import encode_grid
from disentangle_bench.metrics import score_table
from disentangle_bench.models.base import Model
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.trainer import Intervals, Trainer, build_model

BATCHES, SIDES, WORKERS = (16, 32, 64, 128), (16, 32, 64), (1, 2)
GRIDS = {2_880: (3, 6, 10, 4, 4), 46_080: (3, 6, 40, 8, 8), 184_320: (3, 6, 40, 16, 16), 737_280: (3, 6, 40, 32, 32)}
SCORED = {"factor-vae": "robust", "beta-vae": "robust", "mig": "robust"}


@dataclass(frozen=True)
class Point:
    """One measurement: seconds at `x` of a panel's axis, in one of its series."""

    panel: str
    series: str
    x: int
    seconds: float


def dataset_of(side: int, root: Path) -> Dataset:
    """dSprites with every second or fourth pixel, or as it is; side: 16, 32 or 64."""
    apart = 64 // side
    changes: dict[str, Any] = {
        "image_shape": (1, side, side),
        "decode": lambda self, rows: (bits(rows)[:, ::apart, ::apart] * 255)[:, None],
    }
    cls: type[DSprites] = type("Sampled", (DSprites,), changes)
    return cls(root)


def make_trainer(dataset: Dataset, batch: int) -> Trainer:
    """The small IB-GAN, before its first step."""
    cls: type[Model] = registry.get("model", "ib-gan")
    config = cls.configurations["small"].model_copy(update={"batch_size": batch})
    model = build_model(cls, config, dataset.image_shape, 0)
    images = DeviceImages(dataset, torch.device("cpu"), model.image_range)
    return Trainer(model, images, config, 0, "benchmark", Path(tempfile.gettempdir()) / "never-written")


def over_steps(root: Path, counts: list[int]) -> list[Point]:
    """Seconds of training until each of these steps, with a trial's logs."""
    trainer = make_trainer(datasets.load("dsprites-32", root), 64)
    points, start = [], time.perf_counter()

    def note(step: int) -> None:
        if step in counts:
            points.append(Point("steps", "batch 64", step, time.perf_counter() - start))

    with tempfile.TemporaryDirectory() as folder:
        trainer.checkpoint = Path(folder) / "checkpoint.pt"
        trainer.train(Intervals(), note, until=max(counts))
    return points


def over_batches(root: Path, repeats: int) -> list[Point]:
    """Seconds a step at each size of a batch and side of an image."""
    points = []
    for side in SIDES:
        dataset = dataset_of(side, root)
        for batch in BATCHES:
            trainer = make_trainer(dataset, batch)
            trainer.step = 1  # steps count from 1
            trainer.update()
            points.append(Point("batch", f"{side} × {side}", batch, fastest(trainer.update, repeats)))
    return points


def over_images(root: Path, counts: list[int]) -> list[Point]:
    """Seconds to encode and to score datasets of so many images."""
    points: list[Point] = []
    for count in [counts[0], *counts]:
        with tempfile.TemporaryDirectory() as folder:
            points += encode_and_score(dataset_with(count, root, Path(folder)), count)
    return points[2:]  # the first time loads what scoring needs


def dataset_with(count: int, root: Path, folder: Path) -> Dataset:
    """`dsprites-32` with so many images; all of it lies under `root`, a part is drawn into `folder`."""
    if GRIDS[count] == DSprites32.factor_sizes:
        return datasets.load("dsprites-32", root)
    part: type[DSprites] = type("Part", (DSprites32,), {"factor_sizes": GRIDS[count]})
    part.prepare(folder)
    return part(folder)


def encode_and_score(dataset: Dataset, count: int) -> list[Point]:
    """Two points, of one dataset."""
    trainer = make_trainer(dataset, 64)
    start = time.perf_counter()
    codes = encode_grid(trainer.model, trainer.images)
    encoded = time.perf_counter()
    table = CodeTable.of(dataset, codes)
    for metric, protocol in SCORED.items():
        score_table(metric, table, protocol)
    scored = time.perf_counter()
    return [Point("images", "encode", count, encoded - start), Point("images", "score", count, scored - encoded)]


def over_seeds(counts: list[int]) -> list[Point]:
    """Seconds of whole studies of so many seeds, by one worker and by two."""
    return [
        Point("seeds", f"{workers} worker{'s' * (workers > 1)}", count,
              run_study(count, STUDY_STEPS, "--concurrent", str(workers)).end)
        for workers in WORKERS
        for count in counts
    ]  # fmt: skip


def numbers(known: set[int] | None = None) -> Any:
    """A parser of whole numbers with commas between, all among `known` where that is given."""

    def parse(text: str) -> list[int]:
        found = sorted(positive(part) for part in text.split(","))
        if known is not None and not known.issuperset(found):
            raise argparse.ArgumentTypeError(f"{text} must be among {', '.join(map(str, sorted(known)))}")
        return found

    return parse


def main() -> None:
    """Measure, write the CSV and the picture, and print the tables."""
    arguments = parser(__doc__)
    arguments.add_argument("--steps", type=numbers(), default=[100, 200, 400], help="of training")
    arguments.add_argument("--images", type=numbers(set(GRIDS)), default=list(GRIDS), help="of the datasets")
    arguments.add_argument("--seeds", type=numbers(), default=[1, 2, 4], help="of the studies")
    arguments.add_argument("--repeats", type=positive, default=10, help="steps of which the fastest counts")
    arguments.add_argument("--out", type=Path, default=Path("docs/explanation"), help="folder of cost.csv and cost.png")
    arguments.add_argument("--data-root", type=Path, help="prepared datasets (default: ./datasets)")
    options = arguments.parse_args()

    root = datasets.data_root(options.data_root)
    datasets.load("dsprites", root)  # prepared, so that no measurement waits for it
    facts = machine("torch", "numpy", "ray")
    print_header(facts)
    set_up_process()
    with threads(1):
        print("# 1 of 4: steps", flush=True)
        points = over_steps(root, options.steps)
        print("# 2 of 4: batches and sides", flush=True)
        points += over_batches(root, options.repeats)
        print("# 3 of 4: images", flush=True)
        points += over_images(root, options.images)
    print("# 4 of 4: seeds", flush=True)
    points += over_seeds(options.seeds)
    table = pd.DataFrame([asdict(point) for point in points])
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "cost.csv", index=False, float_format="%.4g")
    draw(table, options.out / "cost.png")
    print(markdown(table))
    write_json(options.json, facts, points=[asdict(point) for point in points])


if __name__ == "__main__":
    main()
