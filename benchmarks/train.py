"""Training steps a second at the published dSprites configuration (batch 64), beside the reference's eager loop.

    python benchmarks/train.py [--model ib-gan|infogan|gan] [--device cpu|cuda] [--seconds 6] [--rounds 3] [--json PATH]

The suite trains with 1 thread, with 2 threads, and in `--trials` processes of one thread each at the same time, whose
rates are summed. The peer does the same arithmetic in the order of IB-GAN's official code, as far as torch >= 1.5
allows it: D and q forward on noisy fakes and noisy reals, all of it in the graph; each loss backward() through
everything that it depends on, not detached, the other player's gradients dropped; then the optimisers. Its tensors
are contiguous and its images (`--images` of them) lie in memory as floats. Before anything is timed, the peer's first
gradients are compared with the suite's in the same format.

Each variant has its own process. They take turns in short rounds and the median counts. "ratio" is to the peer with as
many threads and processes; "best ratio" is that of the fastest rounds, which other processes on the machine disturb
least. (They disturb two threads of one process most: each waits for the other at every layer.) "needed" is the FLOPs
of a step that no order of computation can avoid, counted on the suite's step; "GFLOP/s" is that need times steps/s,
for the peer too. "limit" is a large float32 convolution with as many threads and processes, in the same rounds; its
fastest round is what this machine can reach, and "share" is of that.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
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
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from disentangle_bench import datasets, registry
from disentangle_bench.display import Bar
from disentangle_bench.models.base import Batch, Model, ModelConfig
from disentangle_bench.models.ib_gan_framework import Framework, Round
from disentangle_bench.training.images import DeviceImages, scale
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.trainer import Intervals, Trainer, build_model

DATASET = "dsprites"
SEED = 0
WARM_UP = 5  # steps before the first round
TOLERANCE = 5e-3  # of the gradients' norms, both in contiguous format: equal on a CPU, TF32 on a GPU rounds


class RoundOver(Exception):
    """Leaves the trainer's loop when the time is up."""


class ReferenceForward(Framework):
    """The forward pass of the official code: q on the reals is part of the graph, though no loss needs it."""

    def play(self, reals: Tensor, rng: torch.Generator, step: Tensor, detach: bool = False) -> Round:
        """As `Framework.play`."""
        z, mean, log_variance, fakes = self.imagine(len(reals), rng)
        fakes, reals = self.corrupt(fakes, rng, step), self.corrupt(reals, rng, step)
        fake_logits, z_hat = self.discriminator(fakes), self.reconstructor(fakes.detach() if detach else fakes)
        real_logits, _ = self.discriminator(reals), self.reconstructor(reals)
        return Round(z, mean, log_variance, z_hat, fake_logits, real_logits)


class Peer:
    """The reference's training loop."""

    def __init__(self, cls: type[Model], config: ModelConfig, images: Tensor) -> None:
        """images: float32 (N, C, H, W) in [-1, 1], on the device that trains."""
        peer = type("Reference", (ReferenceForward, cls), {})
        shape: Any = tuple(images.shape[1:])
        self.model: Any = build_model(peer, config, shape, SEED).to(images.device)
        self.model.to(memory_format=torch.contiguous_format).train()
        self.images, self.batch_size, self.step = images, config.batch_size, 0
        self.players = self.model.players()
        self.optimisers = {name: player.optimiser(player.parameters) for name, player in self.players.items()}
        self.rng, self.device_step = (
            torch.Generator(images.device),
            torch.zeros((), dtype=torch.int64).to(images.device),
        )

    def update(self) -> None:
        """One step of all players."""
        self.step += 1
        index = torch.randint(len(self.images), (self.batch_size,), generator=self.rng, device=self.images.device)
        self.device_step.fill_(self.step)  # a copy from the host would have it wait
        losses = self.model.losses(Batch(self.images[index]), self.rng, self.device_step)
        gradients, last = {}, list(self.players)[-1]
        for name, player in self.players.items():
            self.model.zero_grad()
            losses[name].backward(retain_graph=name != last)
            gradients[name] = [parameter.grad for parameter in player.parameters]
        for name, player in self.players.items():
            for parameter, gradient in zip(player.parameters, gradients[name], strict=True):
                parameter.grad = gradient
            self.optimisers[name].step()


def some_images(root: Path | None, device: str, count: int) -> DeviceImages:
    """About `count` rows, spread over the dataset, as the trainer holds them."""
    dataset = datasets.load(DATASET, root)
    dataset.rows = np.ascontiguousarray(dataset.rows[:: max(1, len(dataset) // count)])
    return DeviceImages(dataset, torch.device(device), (-1.0, 1.0))


def make_suite(name: str, root: Path | None, device: str, images: DeviceImages | None = None) -> Trainer:
    """The suite's trainer with the published configuration, on the whole dataset unless images are given."""
    cls: type[Model] = registry.get("model", name)
    config = cls.configurations[DATASET]
    data = datasets.load(DATASET, root)
    model = build_model(cls, config, data.image_shape, SEED).to(device)
    images = images or DeviceImages(data, model.device, model.image_range)
    return Trainer(model, images, config, SEED, "benchmark", Path(tempfile.gettempdir()) / "never-written")


def make_peer(name: str, root: Path | None, device: str, count: int) -> Peer:
    """The peer with the published configuration, on `count` images held as floats."""
    cls: type[Model] = registry.get("model", name)
    images = some_images(root, device, count)
    floats = scale(images.dataset.decode(images.rows), cls.image_range)
    return Peer(cls, cls.configurations[DATASET], floats)


def synchronise(device: str) -> None:
    """Wait for the device's queue, where it has one."""
    if device == "cuda":
        torch.cuda.synchronize()


def time_suite(name: str, root: Path | None, device: str, thread_count: int) -> Callable[[float], float]:
    """A function: train for some seconds, with the logs and diagnostics of a trial, and return steps a second."""
    set_up_process()
    trainer = make_suite(name, root, device)

    def run(until: Callable[[int], bool]) -> float:
        def stop(step: int) -> None:
            if until(step):
                raise RoundOver

        before, start = trainer.step, time.perf_counter()
        with threads(thread_count):
            with suppress(RoundOver):
                trainer.train(Intervals(checkpoint_seconds=float("inf")), on_step=stop)
            synchronise(device)
        return (trainer.step - before) / (time.perf_counter() - start)

    def measure(duration: float) -> float:
        end = time.perf_counter() + duration
        return run(lambda step: time.perf_counter() >= end)

    run(lambda step: step >= WARM_UP)
    return measure


def time_peer(name: str, root: Path | None, device: str, thread_count: int, count: int) -> Callable[[float], float]:
    """A function: train the peer for some seconds and return steps a second."""
    peer = make_peer(name, root, device, count)

    def measure(duration: float) -> float:
        with threads(thread_count):
            before, start = peer.step, time.perf_counter()
            while time.perf_counter() < start + duration:
                peer.update()
            synchronise(device)
            return (peer.step - before) / (time.perf_counter() - start)

    with threads(thread_count):
        for _ in range(WARM_UP):
            peer.update()
        synchronise(device)
    return measure


def compare(model: str, root: Path | None, device: str, count: int) -> dict[str, float]:
    """GFLOP of one step of the suite and of the peer, and how far their first gradients lie apart.

    Raises `RuntimeError` where that is more than rounding can explain: the two would not do the same work.
    """
    suite = make_suite(model, root, device, some_images(root, device, count))
    peer = make_peer(model, root, device, count)
    suite.model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stubs
    peer.rng.set_state(suite.state.rng.get_state())
    suite.step = 1
    with FlopCounterMode(display=False) as needed:
        suite.update()
    with FlopCounterMode(display=False) as done:
        peer.update()
    apart = 0.0
    for name in suite.players:
        ours, theirs = (
            torch.cat([parameter.grad.flatten() for parameter in side.players[name].parameters])
            for side in (suite, peer)
        )
        apart = max(apart, ((ours - theirs).norm() / ours.norm()).item())
    if not apart < TOLERANCE:
        raise RuntimeError(f"the peer's gradients are {apart:.2g} away from the suite's: it does other work")
    return {
        "needed_gflop": needed.get_total_flops() / 1e9,
        "peer_gflop": done.get_total_flops() / 1e9,
        "gradients_apart": apart,
    }


def measure(options: Any) -> list[dict[str, Any]]:
    """One row a variant and layout: steps a second of each round; for the limit, GFLOP/s."""
    layouts = list(dict.fromkeys([(1, 1), (1, 2), (options.trials, 1)]))  # (processes, threads each)
    common = (options.model, options.data_root, options.device)
    workers: dict[tuple[str, int], list[Worker]] = {}
    rows: list[dict[str, Any]] = []
    for processes, thread_count in layouts:
        makers: dict[str, tuple[Any, ...]] = {
            "peer": (time_peer, *common, thread_count, options.images),
            "suite": (time_suite, *common, thread_count),
            "limit": (time_peak, options.device, thread_count),
        }
        for variant, maker in makers.items():
            pool = workers.setdefault((variant, thread_count), [])
            while len(pool) < processes:
                pool.append(Worker(*maker))
            rows.append({"variant": variant, "processes": processes, "threads": thread_count, "rounds": []})
    turns = options.rounds * rows
    with Bar("rounds") as progress:
        for done, row in enumerate(turns):
            progress(done, len(turns))
            pool = workers[row["variant"], row["threads"]][: row["processes"]]
            row["rounds"].append(sum(ask_together(pool, options.seconds)))
    for pool in workers.values():
        for worker in pool:
            worker.close()
    return rows


def compute_ratios(rows: list[dict[str, Any]], needed_gflop: float) -> None:
    """Add to each row its median, its ratio to the peer and its share of the limit of its own layout."""
    layouts: dict[tuple[int, int], dict[str, dict[str, Any]]] = {}
    for row in rows:
        layouts.setdefault((row["processes"], row["threads"]), {})[row["variant"]] = row
    for variants in layouts.values():
        limit, peer = variants["limit"], variants["peer"]
        limit["gflop_per_s"], limit["share"] = max(limit["rounds"]), 1.0
        for row in (peer, variants["suite"]):
            row["steps_per_s"] = statistics.median(row["rounds"])
            row["ratio"] = row["steps_per_s"] / statistics.median(peer["rounds"])
            row["best_ratio"] = max(row["rounds"]) / max(peer["rounds"])
            row["gflop_per_s"] = row["steps_per_s"] * needed_gflop
            row["share"] = row["gflop_per_s"] / limit["gflop_per_s"]


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table; the limit takes no steps."""
    steps = [""] * 5
    if row["variant"] != "limit":
        steps = [f"{value:.2f}" for value in (row["steps_per_s"], min(row["rounds"]), max(row["rounds"]))]
        steps += [f"{row['ratio']:.2f}", f"{row['best_ratio']:.2f}"]
    layout = [row["variant"], str(row["processes"]), str(row["threads"])]
    return [*layout, *steps, f"{row['gflop_per_s']:.0f}", f"{row['share']:.0%}"]


def main() -> None:
    """Compare, measure, and print the table."""
    cuda = torch.cuda.is_available()
    arguments = parser(__doc__)
    arguments.add_argument("--model", default="ib-gan", choices=["ib-gan", "infogan", "gan"])
    arguments.add_argument("--device", default="cuda" if cuda else "cpu", choices=["cpu", "cuda"])
    arguments.add_argument("--seconds", type=float, default=6.0, help="of each round of each variant")
    arguments.add_argument("--rounds", type=positive, default=3, help="how often the variants take turns")
    arguments.add_argument("--trials", type=positive, default=2, help="processes side by side")
    arguments.add_argument("--images", type=positive, default=16_384, help="float images that the peer holds")
    arguments.add_argument("--data-root", type=Path, help="prepared datasets (default: ./datasets)")
    options = arguments.parse_args()
    require_device(arguments, options.device)

    gpu = {"gpu": torch.cuda.get_device_name()} if options.device == "cuda" else {}
    facts = machine("torch", **gpu)
    print_header(facts)
    with threads(1):
        work = compare(options.model, options.data_root, options.device, options.images)
    print(f"# the peer's first gradients lie {work['gradients_apart']:.1e} of their norm from the suite's", flush=True)
    rows = measure(options)

    compute_ratios(rows, work["needed_gflop"])
    print_table(
        f"{options.model}, {DATASET}, batch 64, {options.device}: {work['needed_gflop']:.1f} GFLOP a step needed, "
        f"the peer does {work['peer_gflop']:.1f}; median of {options.rounds} rounds of {options.seconds:g} s",
        ["variant", "trials", "threads", "steps/s", "lowest", "highest", "ratio", "best ratio", "GFLOP/s", "share"],
        [cells(row) for row in rows],
    )
    settings = {name: getattr(options, name) for name in ("model", "device", "seconds", "images")}
    write_json(options.json, facts, **settings, **work, rows=rows)


if __name__ == "__main__":
    main()
