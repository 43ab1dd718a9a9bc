"""What one GPU does: is a step right on it, and how many steps a second do all ways of computing it reach.

    python benchmarks/gpu.py OUT [--device cuda|cpu] [--seconds 5] [--data-root DIR] [--only TEXT]

OUT is a folder. Each measurement has its own process and a limit of time, and what it found is in OUT/results.json
before the next begins, so that the same command goes on where it was stopped; one that failed is tried again. What
tests and programs print is in OUT/NAME.log. The last lines are a table, and OUT.tar.gz holds the folder. Where the
package isn't installed, set PYTHONPATH to the repository.

`tests`: those that touch the device (marked gpu). `apart`: the largest relative distance between the losses of a mode
and of eager steps, over the first 20 steps. `steps`: seed-steps a second of IB-GAN at its published dSprites
configuration (batch 64), by precision, mode and how many seeds are packed; `contiguous`: with the other memory format.
`peer`: the official code's order of updates as a plain eager loop (see train.py). `encode`: images a second (see
encode.py).

"share" is of the steps a second that an H200 can't pass in bfloat16, as counted for this configuration: 0.39 GB of
memory traffic a step where everything is fused, at 4.3 TB/s; its 19.8 GFLOP take less time. With --device cpu a small
configuration stands in, so that the script can be tried anywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from common import Worker, machine, parser, print_header, print_table, require_device
from train import Peer

from disentangle_bench import datasets, registry
from disentangle_bench.files import write_file
from disentangle_bench.models.base import Model
from disentangle_bench.training.images import DeviceImages, scale
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.trainer import Trainer, build_model
from disentangle_bench.trials import probe
from disentangle_bench.trials.probe import rates_of, synchronise
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec

ROOT = Path(__file__).parents[1]
MODEL = "ib-gan"
SUBJECT = {"cuda": ("dsprites", "dsprites"), "cpu": ("dsprites-32", "small")}  # dataset and configuration
PRECISIONS = {"cuda": ("float32", "tf32", "bf16"), "cpu": ("float32", "bf16")}
MODES = {"cuda": ("eager", "compiled", "captured", "captured-compiled"), "cpu": ("eager", "compiled")}
PACKS = {"cuda": (4, 8, 16, 32), "cpu": (2,)}
FASTEST = {"cuda": "captured", "cpu": "eager"}  # the mode that is packed
CEILING = 4.3e12 / 0.39e9  # steps/s: bytes a second over bytes a step
TESTS = (
    "tests/training/test_engine.py", "tests/trials/test_pack.py",
    "tests/models/test_models.py", "tests/models/test_vae.py",
)  # fmt: skip
COMPARED = 20  # steps
PEER_IMAGES = 16_384  # that the peer holds as floats
LIMIT = 16 << 20  # bytes of the archive
SECONDS, TESTS_SECONDS = 300.0, 540.0  # that one measurement, or file of tests, may take


def specification(device: str, precision: str, mode: str, root: Path | None) -> TrialSpec:
    """The trial that is measured."""
    dataset, configuration = SUBJECT[device]
    numerics = Numerics.model_validate({"device": device, "precision": precision, "mode": mode})
    config = registry.get("model", MODEL).configurations[configuration].model_dump(mode="json")
    checksum = datasets.load(dataset, root).checksum
    return TrialSpec(
        model=MODEL, configuration=configuration, config=config, dataset=dataset, dataset_checksum=checksum, seed=0,
        numerics=numerics,
    )  # fmt: skip


def time_steps(device: str, precision: str, mode: str, pack: int, root: Path | None) -> Callable[[float], Any]:
    """A function of seconds: the rate of a pack."""
    workspace = Workspace(Path(), datasets.data_root(root))
    trial = specification(device, precision, mode, root)
    return lambda seconds: asdict(next(rates_of(trial, workspace, (pack,), seconds)))


def time_contiguous(device: str, precision: str, mode: str, pack: int, root: Path | None) -> Callable[[float], Any]:
    """As `time_steps`, with contiguous weights and images in place of channels last."""
    usual = probe.build_model

    def contiguous(*arguments: Any) -> Model:
        return usual(*arguments).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    probe.build_model = contiguous  # of this process
    return time_steps(device, precision, mode, pack, root)


def some_images(device: str, root: Path | None) -> DeviceImages:
    """About `PEER_IMAGES` rows, spread over the dataset."""
    data = datasets.load(SUBJECT[device][0], root)
    images = DeviceImages(data, torch.device("cpu"), registry.get("model", MODEL).image_range)
    images.rows = images.rows[:: max(1, len(images) // PEER_IMAGES)].to(device)
    return images


def time_peer(device: str, precision: str, root: Path | None) -> Callable[[float], Any]:
    """A function of seconds: the rate of the official code's loop."""
    set_up_process(precision)
    images, cls = some_images(device, root), registry.get("model", MODEL)
    peer = Peer(cls, cls.configurations[SUBJECT[device][1]], scale(images.dataset.decode(images.rows), cls.image_range))

    def measure(seconds: float) -> dict[str, Any]:
        with threads(1):
            for _ in range(3):
                peer.update()
            synchronise(device)
            before, start = peer.step, time.perf_counter()
            while time.perf_counter() < start + seconds:
                peer.update()
            synchronise(device)
            return {"steps_per_s": (peer.step - before) / (time.perf_counter() - start), "engine": "plain loop"}

    return measure


def compare(device: str, precision: str, mode: str, root: Path | None) -> Callable[[float], Any]:
    """A function that says how far a mode's losses lie from the eager ones."""

    def measure(seconds: float) -> dict[str, Any]:
        losses, engine = [], ""
        for each in ("eager", mode):
            spec = specification(device, precision, each, root)
            set_up_process(precision)
            data, config = datasets.load(spec.dataset, root), spec.typed_config()
            model = build_model(registry.get("model", MODEL), config, data.image_shape, 0).to(device)
            images = DeviceImages(data, model.device, model.image_range)
            trainer = Trainer(model, images, config, 0, "benchmark", Path("never-written"), precision, each)
            model.train()
            rows = []
            with threads(1):
                for trainer.step in range(1, COMPARED + 1):
                    rows.append([loss.item() for loss in trainer.update().values()])
            losses.append(torch.tensor(rows, dtype=torch.float64))
            engine = trainer.history.engine
        return {"apart": ((losses[0] - losses[1]).abs() / losses[0].abs()).max().item(), "engine": engine}

    return measure


def command(log: Path, limit: float, *words: str) -> dict[str, Any]:
    """Run one of the project's own programs; its last line. All that it prints is in the log."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, timeout=limit,
            env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
    lines = log.read_text().strip().splitlines()
    return {"engine": lines[-1] if lines else ""} | ({"failed": done.returncode} if done.returncode else {})


def encoding(out: Path, *words: str) -> dict[str, Any]:
    """Images a second of encode.py."""
    path = out / "encode.json"
    found = command(out / "encode.log", SECONDS, "benchmarks/encode.py", *words, "--json", str(path))
    if "failed" not in found:
        rates = [f"{row['images_per_s']:,.0f}" for row in json.loads(path.read_text())["rows"] if row["threads"] == 1]
        found["engine"] = f"images/s: plain loop {rates[0]}, suite {rates[1]}"
    return found


def measurements(options: Namespace) -> dict[str, Callable[[], dict[str, Any]]]:
    """All of them by name, in their order."""
    device, root = options.device, options.data_root

    def apart(make: Callable[..., Any], *arguments: Any) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            worker = Worker(make, *arguments, root)
            worker.ask(options.seconds)
            found = worker.answer(SECONDS)
            worker.close()
            return found

        return run

    found: dict[str, Callable[[], dict[str, Any]]] = {
        f"tests {Path(path).stem}": lambda path=path: command(
            options.out / f"{Path(path).stem}.log",
            TESTS_SECONDS,
            "-m",
            "pytest",
            "-m",
            "gpu",
            "-rfEs",
            "--disable-warnings",
            path,
        )
        for path in TESTS
    }
    for precision in PRECISIONS[device]:
        for mode in MODES[device][1:]:
            found[f"apart {precision} {mode}"] = apart(compare, device, precision, mode)
    found["peer float32"] = apart(time_peer, device, "float32")
    if device == "cuda":
        found["peer tf32"] = apart(time_peer, device, "tf32")
    for precision in PRECISIONS[device]:
        for mode in MODES[device]:
            found[f"steps {precision} {mode}"] = apart(time_steps, device, precision, mode, 1)
        for pack in PACKS[device]:
            name = f"steps {precision} {FASTEST[device]}, {pack} packed"
            found[name] = apart(time_steps, device, precision, FASTEST[device], pack)
    if device == "cuda":
        for precision in PRECISIONS[device]:
            name = f"steps {precision} {FASTEST[device]}, contiguous"
            found[name] = apart(time_contiguous, device, precision, FASTEST[device], 1)
        found["steps bf16 captured-compiled, 8 packed"] = apart(time_steps, device, "bf16", "captured-compiled", 8)
    where = ["--data-root", str(root)] if root else []
    few = ["--images", "16384" if device == "cpu" else "131072", "--rounds", "2"]
    found["encode"] = lambda: encoding(options.out.absolute(), "--device", device, *few, *where)
    return found


def row(name: str, result: dict[str, Any], peer: float | None, device: str) -> list[str]:
    """A line of the table."""
    rate = result.get("steps_per_s")
    return [
        name,
        "" if rate is None else f"{rate:,.1f}",
        "" if rate is None or not peer else f"{rate / peer:.2f}",
        "" if rate is None or device == "cpu" else f"{rate / CEILING:.1%}",
        f"{result['memory'] / 2**30:.2f}" if result.get("memory") else "",
        f"{result['apart']:.1e}" if "apart" in result else "",
        ("FAILED: " if "failed" in result else "") + str(result.get("engine", result.get("failed", "")))[:60],
    ]


def main() -> None:
    """Measure what is missing, then print and pack everything."""
    arguments = parser(__doc__)
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder of the results")
    arguments.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    arguments.add_argument("--seconds", type=float, default=5.0, help="of each rate")
    arguments.add_argument("--data-root", type=Path, help="prepared datasets (default: ./datasets)")
    arguments.add_argument("--only", default="", help="measurements whose name holds this text")
    options = arguments.parse_args()
    require_device(arguments, options.device)
    facts = machine("torch", **({"gpu": torch.cuda.get_device_name()} if options.device == "cuda" else {}))
    print_header(facts)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "results.json"
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    datasets.load(SUBJECT[options.device][0], options.data_root)  # prepared before the first process needs it
    missing = {
        name: measure
        for name, measure in measurements(options).items()
        if options.only in name and "failed" in results.get(name, {"failed": ""})
    }
    for number, (name, measure) in enumerate(missing.items(), start=1):
        print(f"# {number} of {len(missing)}: {name}", flush=True)
        start = time.perf_counter()
        try:
            results[name] = measure()
        except (RuntimeError, subprocess.TimeoutExpired) as error:  # of a measuring process; the others go on
            results[name] = {"failed": str(error)}
        print(f"#   {time.perf_counter() - start:.0f} s: {results[name]}", flush=True)
        write_file(path, json.dumps({"machine": facts, "device": options.device, "results": results}, indent=1))
    peer = results.get("peer float32", {}).get("steps_per_s")
    print_table(
        f"{MODEL} {' '.join(SUBJECT[options.device])}, seed-steps/s on {options.device}",
        ["measurement", "steps/s", "of peer", "share", "GiB", "apart", "how"],
        [row(name, result, peer, options.device) for name, result in results.items()],
    )
    archive = options.out.with_name(options.out.name + ".tar.gz")
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(options.out, arcname=options.out.name)
    print(f"{archive}: {archive.stat().st_size:,} bytes" + (", too large" if archive.stat().st_size > LIMIT else ""))


if __name__ == "__main__":
    main()
