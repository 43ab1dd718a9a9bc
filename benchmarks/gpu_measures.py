"""What gpu.py measures: each function makes, in the process that calls it, a function of seconds that measures once."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from train import Peer

from disentangle_bench import datasets, registry
from disentangle_bench.evaluation.codes import encode_grid
from disentangle_bench.models.base import Model
from disentangle_bench.training import engine
from disentangle_bench.training.images import DeviceImages, scale
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.trainer import Trainer, build_model
from disentangle_bench.trials import probe
from disentangle_bench.trials.probe import Rate, rates_of, synchronise
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec

MODEL = "ib-gan"
SUBJECT = {"cuda": ("dsprites", "dsprites"), "cpu": ("dsprites-32", "small")}  # dataset and configuration
GROWTH = {"cuda": (8, 16, 32), "cpu": (2,)}  # packs, of which each has the trials of the one before
COMPARED = 20  # steps
ENCODED = 4_096  # images, on a CPU
PEER_IMAGES = 16_384  # that the peer holds as floats


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


growing: dict[tuple[str, ...], Iterator[Rate]] = {}  # the pack of this process that can still grow, if there is one


def time_growing(device: str, precision: str, mode: str, pack: int, root: Path | None) -> Callable[[float], Any]:
    """As `time_steps`, but the pack that was measured last grows: its steps are not captured anew."""

    def measure(seconds: float) -> dict[str, Any]:
        key = (device, precision, mode)
        rates = growing.pop(key, None)
        growing.clear()  # another cell's pack gives its memory back
        if rates is None:
            sizes = tuple(size for size in GROWTH[device] if size >= pack)
            workspace = Workspace(Path(), datasets.data_root(root))
            rates = rates_of(specification(device, precision, mode, root), workspace, sizes, seconds)
        for rate in rates:
            if rate.size == pack:
                growing[key] = rates
                return asdict(rate)
        raise ValueError(f"no pack of {pack} is measured on {device}")

    return measure


def time_contiguous(device: str, precision: str, mode: str, pack: int, root: Path | None) -> Callable[[float], Any]:
    """As `time_steps`, with contiguous weights and images in place of channels last."""
    usual = probe.build_model

    def contiguous(*arguments: Any) -> Model:
        return usual(*arguments).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    probe.build_model = contiguous  # type: ignore[assignment]  # of this process
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


class DrawnOnHost(torch.overrides.TorchFunctionMode):
    """Random tensors that are asked for on a device are drawn on the CPU and copied."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.randn, torch.rand, torch.randint) and kwargs.get("generator") is not None:
            device = kwargs.pop("device", None)
            return func(*args, **kwargs, device="cpu").to(device or "cpu")
        return func(*args, **kwargs)


def make_trainer(
    model: str, configuration: str, dataset: str, device: str, root: Path | None, mode: str = "eager"
) -> Trainer:
    """A model of a configuration before its first step, in float32."""
    cls, data = registry.get("model", model), datasets.load(dataset, root)
    config = cls.configurations[configuration]
    built = build_model(cls, config, data.image_shape, 0, data.classes()).to(device)
    images = DeviceImages(data, built.device, built.image_range)
    built.train()
    return Trainer(built, images, config, 0, "benchmark", Path(tempfile.gettempdir()) / "never-written", mode=mode)


def against_cpu(device: str, root: Path | None) -> Callable[[float], Any]:
    """A function that takes one step on the CPU and one on the device from the same draws.

    apart: the largest distance of a player's gradients, of their norm.
    """

    def measure(seconds: float) -> dict[str, Any]:
        set_up_process("float32")  # no TF32
        dataset, configuration = SUBJECT[device]
        gradients = []
        for where in ("cpu", device):
            trainer = make_trainer(MODEL, configuration, dataset, where, root)
            trainer.state.rng = torch.Generator().manual_seed(0)
            trainer.step = 1
            with threads(torch.get_num_threads()), DrawnOnHost():
                trainer.update()
            gradients.append(
                [
                    torch.cat([parameter.grad.flatten().cpu() for parameter in player.parameters])
                    for player in trainer.players.values()
                ]
            )
        distances = [((a - b).norm() / a.norm()).item() for a, b in zip(*gradients, strict=True)]
        return {"apart": max(distances), "engine": f"gradients of one step, {device} against the CPU"}

    return measure


def try_capture(device: str, model: str, root: Path | None) -> Callable[[float], Any]:
    """A function that records one step of a model as a CUDA graph and replays it: yes, or why not."""

    def measure(seconds: float) -> dict[str, Any]:
        set_up_process("float32")
        cls = registry.get("model", model)
        dataset = "digits" if cls.conditional else SUBJECT[device][0]
        configuration = SUBJECT[device][1] if SUBJECT[device][1] in cls.configurations else "small"
        trainer = make_trainer(model, configuration, dataset, device, root, "captured")
        trainer.step = 1
        trainer.state.number.fill_(1)
        try:
            compute = engine.captured(trainer.state, "float32")
        except Exception as error:
            if engine.out_of_memory(error):
                raise
            return {"engine": f"{configuration}: no: {type(error).__name__}: {' '.join(str(error).split())[:200]}"}
        losses = {name: f"{loss.item():.4g}" for name, loss in compute(trainer.state).items()}
        return {"engine": f"{configuration}: yes; losses {losses}"}

    return measure


def time_encoding(device: str, precision: str, root: Path | None) -> Callable[[float], Any]:
    """A function that encodes the whole grid, as a finished trial does; on a CPU some images of it."""

    def measure(seconds: float) -> dict[str, Any]:
        set_up_process(precision)
        dataset, configuration = SUBJECT[device]
        trainer = make_trainer(MODEL, configuration, dataset, device, root)
        index = trainer.images.dataset.evaluation()
        some = index[:ENCODED] if device == "cpu" else index
        trainer.images.dataset.evaluation = lambda: some  # type: ignore[method-assign]
        times = []
        for _ in range(2):  # the first one chooses kernels
            start = time.perf_counter()
            encode_grid(trainer.model, trainer.images)
            times.append(time.perf_counter() - start)
        rate = len(some) / min(times)
        return {"images_per_s": rate, "engine": f"{rate:,.0f} images/s, of {len(some):,}"}

    return measure


def prepare(device: str, root: Path | None) -> Callable[[float], Any]:
    """A function that has the dataset drawn, if it isn't there yet."""

    def measure(seconds: float) -> dict[str, Any]:
        start = time.perf_counter()
        data = datasets.load(SUBJECT[device][0], root)
        return {"seconds": time.perf_counter() - start, "engine": f"{len(data):,} images"}

    return measure


def in_turn(root: Path | None) -> Callable[[Any], Any]:
    """For one process that measures everything: a function of (the name of a function here, its arguments, seconds).

    A failure is an answer, unless it has cost the process its device.
    """

    def measure(asked: tuple[str, tuple[Any, ...], float]) -> dict[str, Any]:
        name, arguments, seconds = asked
        if name != "time_growing":
            growing.clear()
        try:
            return globals()[name](*arguments, root)(seconds)
        except Exception as error:
            failed = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        finally:
            gc.collect()
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # raises where the device is lost: the process ends, and another goes on
            torch.cuda.empty_cache()
        return {"failed": failed}

    return measure
