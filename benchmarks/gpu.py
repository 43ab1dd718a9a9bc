"""What one GPU does: is a step right on it, and how many steps a second do all ways of computing it reach.

    python benchmarks/gpu.py OUT [--minutes 3] [--device cuda|cpu] [--seconds 3] [--data-root DIR] [--only TEXT]

OUT is a folder. The command ends after `--minutes`, whatever it is doing then. It measures the most valuable first:
1. `data`: dSprites, drawn unless it is there. `step`: the gradients of a float32 step on the device against the CPU's.
   `apart`: the largest relative distance between the losses of a mode and of eager steps, over the first 20. `capture`:
   whether each built-in model's step can be a CUDA graph, or why not.
2. `peer`: the official code's order of updates as a plain eager loop (see train.py). `steps`: seed-steps a second of
   IB-GAN at its published dSprites configuration (batch 64), by precision, mode and how many seeds are packed.
3. `encode`: images a second of the whole grid. `tests`: those marked gpu, a file at a time.
One process measures everything, and another takes its place where it dies or hangs. What was found is in
OUT/results.json before the next measurement begins; the same command goes on where it was stopped, and tries again what
failed. The last lines are a table, and OUT.tar.gz holds the folder, with what the tests printed as OUT/NAME.log.

`--apart` is for a card of one's own: each measurement in a process of its own, with more precisions, modes and packs,
and no limit but `--limit` seconds each; `contiguous` is with the other memory format.

"share" is of the steps a second that an H200 can't pass in bfloat16, as counted for this configuration: 0.39 GB of
memory traffic a step where everything is fused, at 4.3 TB/s; its 19.8 GFLOP take less time. With --device cpu a small
configuration stands in, so that the script can be tried anywhere.

Where the package isn't installed, set PYTHONPATH to the repository. It needs neither Ray nor a network; beside torch,
numpy, scipy, scikit-learn, pandas, h5py, matplotlib, rich, PyYAML, filelock and threadpoolctl it needs pydantic, which
as wheels is pydantic, pydantic-core, annotated-types and typing-inspection; the tests need pytest, its timeout plugin
and hypothesis.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import gpu_measures
import torch
from common import Worker, machine, parser, print_header, print_table, require_device
from gpu_measures import MODEL, SUBJECT

from disentangle_bench import registry
from disentangle_bench.files import write_file

ROOT = Path(__file__).parents[1]
PRECISIONS = {"cuda": ("float32", "tf32", "bf16"), "cpu": ("float32", "bf16")}
MODES = {"cuda": ("eager", "compiled", "captured", "captured-compiled"), "cpu": ("eager", "compiled")}
PACKS = {"cuda": (4, 8, 16, 32), "cpu": (2,)}
FASTEST = {"cuda": "captured", "cpu": "eager"}  # the mode that is packed
CEILING = 4.3e12 / 0.39e9  # steps/s: bytes a second over bytes a step
TESTS = (
    "tests/training/test_engine.py", "tests/trials/test_pack.py",
    "tests/models/test_models.py", "tests/models/test_vae.py",
)  # fmt: skip
LIMIT = 16 << 20  # bytes of the archive
SECONDS, TESTS_SECONDS = 300.0, 540.0  # that one measurement, or file of tests, may take where there is time
QUICK = 45.0  # seconds that a measurement may take in a time box: one that hangs must not cost all others
LEAST = 2.0  # seconds under which none is begun

Measurement = tuple[str, *tuple[str | int, ...]]  # a function of gpu_measures and its arguments; or tests and a file


def in_a_box(device: str) -> dict[str, Measurement]:
    """What is measured in `--minutes`, by name, the most valuable first."""
    fastest = FASTEST[device]
    found: dict[str, Measurement] = {
        "data": ("prepare", device),
        "step float32": ("against_cpu", device),
        f"apart float32 {fastest}": ("compare", device, "float32", fastest),
    }
    for model in sorted(registry.names("model"), key=lambda name: name != MODEL):
        found[f"capture {model}"] = ("try_capture", device, model)
    found["peer float32"] = ("time_peer", device, "float32")
    for mode in dict.fromkeys(["eager", fastest]):
        found[f"steps float32 {mode}"] = ("time_steps", device, "float32", mode, 1)
    for precision in PRECISIONS[device][1:]:
        found[f"steps {precision} {fastest}"] = ("time_steps", device, precision, fastest, 1)
        for pack in gpu_measures.GROWTH[device]:
            found[f"steps {precision} {fastest}, {pack} packed"] = ("time_growing", device, precision, fastest, pack)
    if device == "cuda":
        found["peer tf32"] = ("time_peer", device, "tf32")
    found["encode float32"] = ("time_encoding", device, "float32")
    return found | {f"tests {Path(path).stem}": ("tests", path) for path in TESTS}


def apart(device: str) -> dict[str, Measurement]:
    """What is measured with `--apart`, by name, in this order."""
    found: dict[str, Measurement] = {f"tests {Path(path).stem}": ("tests", path) for path in TESTS}
    found["step float32"] = ("against_cpu", device)
    for precision in PRECISIONS[device]:
        for mode in MODES[device][1:]:
            found[f"apart {precision} {mode}"] = ("compare", device, precision, mode)
    for model in registry.names("model"):
        found[f"capture {model}"] = ("try_capture", device, model)
    for precision in ["float32", "tf32"][: 2 if device == "cuda" else 1]:
        found[f"peer {precision}"] = ("time_peer", device, precision)
    for precision in PRECISIONS[device]:
        for mode in MODES[device]:
            found[f"steps {precision} {mode}"] = ("time_steps", device, precision, mode, 1)
        for pack in PACKS[device]:
            name = f"steps {precision} {FASTEST[device]}, {pack} packed"
            found[name] = ("time_steps", device, precision, FASTEST[device], pack)
    if device == "cuda":
        for precision in PRECISIONS[device]:
            name = f"steps {precision} {FASTEST[device]}, contiguous"
            found[name] = ("time_contiguous", device, precision, FASTEST[device], 1)
        found["steps bf16 captured-compiled, 8 packed"] = ("time_steps", device, "bf16", "captured-compiled", 8)
    for precision in PRECISIONS[device]:
        found[f"encode {precision}"] = ("time_encoding", device, precision)
    return found


def run_tests(log: Path, path: str, limit: float) -> dict[str, Any]:
    """The tests of a file that touch the device, in a process of their own; all that they print is in the log."""
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    words = [sys.executable, "-m", "pytest", "-m", "gpu", "-rfEs", "--disable-warnings", "-p", "no:cacheprovider", path]
    with log.open("w") as output:
        run = subprocess.Popen(
            words, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONPATH": python_path},
            start_new_session=True,
        )  # fmt: skip
        try:
            status = run.wait(limit)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)  # with the processes that its tests started
                run.wait()
    lines = log.read_text().strip().splitlines()
    return {"engine": lines[-1] if lines else ""} | ({"failed": f"exit status {status}"} if status else {})


class Measurer:
    """The processes that measure: one for everything, or one each."""

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self.worker: Worker | None = None

    def measure(self, name: str, what: Measurement, limit: float) -> dict[str, Any]:
        """What was found in at most `limit` seconds; `RuntimeError` or `TimeoutExpired` where nothing was."""
        function, *arguments = what
        if function == "tests":
            self.close()  # its memory is theirs
            return run_tests(self.options.out / f"{name.split()[1]}.log", str(arguments[0]), limit)
        if self.options.apart:
            worker = Worker(getattr(gpu_measures, function), *arguments, self.options.data_root, limit=limit)
            asked: Any = self.options.seconds
        else:
            start = time.monotonic()
            worker = self.worker or Worker(gpu_measures.in_turn, self.options.data_root, limit=limit)
            asked = (function, tuple(arguments), self.options.seconds)
            limit -= time.monotonic() - start
        self.worker = worker
        try:
            worker.ask(asked)
            found: dict[str, Any] = worker.answer(max(limit, 0.0))
        except (RuntimeError, OSError):
            self.worker = None
            worker.kill()
            raise
        if self.options.apart:
            self.close()
        return found

    def close(self) -> None:
        """End the process that measures, if there is one."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None


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
    began = time.monotonic()
    arguments = parser(__doc__)
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder of the results")
    arguments.add_argument("--minutes", type=float, default=3.0, help="in which everything has to be done")
    arguments.add_argument(
        "--apart", action="store_true", help="each in its own process, and more of them; no --minutes"
    )
    arguments.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    arguments.add_argument("--seconds", type=float, default=3.0, help="of each rate")
    arguments.add_argument("--data-root", type=Path, help="prepared datasets (default: ./datasets)")
    arguments.add_argument("--only", default="", help="measurements whose name holds this text")
    options = arguments.parse_args()
    require_device(arguments, options.device)
    facts = machine("torch", **({"gpu": torch.cuda.get_device_name()} if options.device == "cuda" else {}))
    print_header(facts)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "results.json"
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    end = float("inf") if options.apart else began + 60 * options.minutes
    wanted = (apart if options.apart else in_a_box)(options.device)
    missing = {
        name: what
        for name, what in wanted.items()
        if options.only in name and (name == "data" or "failed" in results.get(name, {"failed": ""}))
    }
    measurer = Measurer(options)
    for number, (name, what) in enumerate(missing.items(), start=1):
        left = end - time.monotonic()
        if left < LEAST:
            print(f"# the time is up; not measured: {', '.join(list(missing)[number - 1 :])}", flush=True)
            break
        most = TESTS_SECONDS if what[0] == "tests" else SECONDS if options.apart or name == "data" else QUICK
        print(f"# {number} of {len(missing)}: {name}", flush=True)
        start = time.monotonic()
        try:
            results[name] = measurer.measure(name, what, min(left, most))
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:  # of one process; the others go on
            results[name] = {"failed": str(error)}
        print(f"#   {time.monotonic() - start:.1f} s: {results[name]}", flush=True)
        write_file(path, json.dumps({"machine": facts, "device": options.device, "results": results}, indent=1))
    measurer.close()
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
