"""Train as many seeds of a study to their end as fit into the minutes that there is a GPU, and pack what they gave.

    python benchmarks/gpu_study.py OUT PRESET --minutes 8 --models ib-gan --seeds 32-95 [--archives DIR]

OUT is a folder. First the rate of packs is measured for a few seconds. It says how many of `--seeds` fit to their end,
with `--scoring` seconds for the scores of the last ones and a tenth for what can't be foreseen, and how that was
computed; exactly those are trained: `disentangle-bench run PRESET --local --pack SIZE`, while other processes score
what is trained. All else that is given is given to `run`. An unfinished seed would be lost with the machine: where not
one fits, none is begun.

When the time is up the study is interrupted as by Ctrl-C, and whatever happened, records, curves, pictures and
leaderboards are packed into at most 8 archives under 16 MiB, in DIR (default: beside OUT), without checkpoints and
codes. The same command goes on where it stopped. Unpacked into one results folder, several archives are one study.
`--device cpu` tries it anywhere, with a preset that is small enough.

Where the package isn't installed, set PYTHONPATH to the repository. What it needs beside torch is listed in gpu.py.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from disentangle_bench import registry
from disentangle_bench.datasets import data_root
from disentangle_bench.errors import UserError
from disentangle_bench.studies.config import load_study, resolve_trials
from disentangle_bench.studies.plan import load_datasets
from disentangle_bench.trials.pack import cell_of
from disentangle_bench.trials.probe import choose, measure
from disentangle_bench.trials.records import Workspace, results_root
from disentangle_bench.trials.spec import TrialSpec

ROOT = Path(__file__).parents[1]
LEFT_OUT = (".pt", ".npy", ".lock", "lock", ".partial", "progress.json")  # by how a file's name ends
LIMIT = 15 << 20  # bytes of files in an archive, before they are compressed
ARCHIVES = 8
SIZES = (1, 8, 16, 32)  # packs that are measured
PROBE = 3.0  # seconds at each size
START = 15.0  # seconds until the study's process trains
MARGIN = 1.1  # of the time that training is expected to take
PACKING = 10.0  # seconds
GRACE = 15.0  # seconds that an interrupted study has to end


def training_seconds(seeds: int, size: int, steps: int, rates: dict[int, float]) -> float:
    """How long so many seeds train, in packs of `size`, the last of which may be smaller.

    rates: steps a second of all of a pack's trials together, by size; of another size, that of the next smaller one.
    """
    packs = [size] * (seeds // size) + [seeds % size] * (seeds % size > 0)
    return sum(pack * steps / rates[max(known for known in rates if known <= pack)] for pack in packs)


def fitting(most: int, steps: int, rates: dict[int, float], seconds: float) -> tuple[int, int]:
    """How many of `most` seeds are trained to their end in so many seconds, and in packs of what size."""
    best = choose(rates)
    for seeds in range(most, 0, -1):
        size = min(seeds, best)
        if MARGIN * training_seconds(seeds, size, steps, rates) <= seconds:
            return seeds, size
    return 0, 1


def plan(options: argparse.Namespace) -> tuple[list[TrialSpec], Workspace]:
    """The trials that have no record yet, of one cell; `UserError` where the study has several."""
    place = Workspace(results_root(options.out), data_root(options.data_root), tuple(options.plugin))
    for plugin in options.plugin:
        registry.load_plugin(plugin)
    changes = {"models": options.models, "datasets": options.dataset, "seeds": options.seeds, "name": options.name}
    config = load_study(options.preset, changes, options.set)
    trials = resolve_trials(config, load_datasets(config.datasets, place))
    if len({cell_of(trial) for trial in trials}) > 1:
        raise UserError("the study has several models or settings; choose one with --models, and --set.")
    return [trial for trial in trials if not place.record(trial.id).exists()], place


def run(command: list[str], seconds: float) -> int:
    """The exit status of a command that is interrupted after so many seconds."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path})
    try:
        return process.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        print("# the time is up: the study is interrupted", flush=True)
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return 130
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def pack(out: Path, folder: Path) -> None:
    """What OUT holds in archives, records first; names what has no place in them."""
    files = [path for path in out.rglob("*") if path.is_file() and not path.name.endswith(LEFT_OUT)]
    files.sort(key=lambda path: (path.suffix == ".png", path.name != "record.json", str(path)))
    groups: list[list[Path]] = [[]]
    room, left_out = LIMIT, []
    for file in files:
        size = file.stat().st_size + 1024  # and its header
        if size > LIMIT or (size > room and len(groups) == ARCHIVES):
            left_out.append(file)
            continue
        if size > room:
            groups.append([])
            room = LIMIT
        groups[-1].append(file)
        room -= size
    folder.mkdir(parents=True, exist_ok=True)
    for number, group in enumerate(groups, start=1):
        archive = folder / (f"{out.name}.tar.gz" if number == 1 else f"{out.name}-{number}.tar.gz")
        with tarfile.open(archive, "w:gz") as packed:
            for file in group:
                packed.add(file, arcname=str(Path(out.name) / file.relative_to(out)))
        print(f"{archive}: {len(group)} files, {archive.stat().st_size:,} bytes")
    if left_out:
        print(f"no room for {len(left_out)} files, from {left_out[0]} on")


def train(options: argparse.Namespace, words: list[str], end: float) -> int:
    """Choose the seeds, say why, and train them until `end`, as time.monotonic() tells it; an exit status."""
    trials, place = plan(options)
    if not trials:
        print("# all seeds have their records")
        return 0
    steps, device = trials[0].typed_config().steps, trials[0].numerics.device
    sizes = SIZES if device == "cuda" else SIZES[:1]
    rates = measure(trials[0], place, tuple(size for size in sizes if size <= len(trials)), PROBE)
    if not rates:
        print("# no pack could be measured", file=sys.stderr)
        return 1
    print("# measured: " + ", ".join(f"pack of {size}: {rate:,.1f} seed-steps/s" for size, rate in rates.items()))
    seconds = end - time.monotonic() - START - options.scoring
    seeds, size = fitting(len(trials), steps, rates, seconds)
    need = training_seconds(max(seeds, 1), size, steps, rates)
    print(
        f"# {seeds} of {len(trials)} seeds fit, in packs of {size}: {max(seeds, 1)} × {steps:,} steps take "
        f"{need:,.0f} s and a margin of {(MARGIN - 1) * need:,.0f} s; of the time, {max(seconds, 0):,.0f} s are for "
        f"training, after {START:.0f} s to start and before {options.scoring:.0f} s of scoring",
        flush=True,
    )
    if seeds == 0:
        return 1
    command = [
        sys.executable, "-m", "disentangle_bench", "run", *([options.preset] if options.preset else []), *words,
        "--seeds", ",".join(str(trial.seed) for trial in trials[:seeds]),
        "--local", "--pack", str(size), "--results", str(options.out),
    ]  # fmt: skip
    return run(command, end - time.monotonic())


def main() -> int:
    """Train what fits, and pack what there is whatever happened; the exit status of `run`, 1 where no seed fits."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the results")
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="as of `run`")
    parser.add_argument("--minutes", type=float, default=8.0, help="in which everything has to be done")
    parser.add_argument("--scoring", type=float, default=90.0, help="seconds that the last trials' scores may take")
    parser.add_argument("--archives", type=Path, metavar="DIR", help="folder of the archives (default: beside OUT)")
    parser.add_argument("--device", choices=["cuda", "cpu"], help="as --set numerics.device=")
    for name in ("models", "dataset", "seeds", "name", "data-root"):
        parser.add_argument(f"--{name}", help="as of `run`")
    for name in ("set", "plugin"):
        parser.add_argument(f"--{name}", action="append", default=[], help="as of `run`")
    options, more = parser.parse_known_args()
    if options.device:
        options.set.append(f"numerics.device={options.device}")
    given = {"--models": options.models, "--dataset": options.dataset, "--name": options.name}
    given |= {"--data-root": options.data_root}
    words = [word for name, value in given.items() if value is not None for word in (name, value)]
    words += [word for value in options.set for word in ("--set", value)]
    words += [word for value in options.plugin for word in ("--plugin", value)] + more
    options.out.mkdir(parents=True, exist_ok=True)
    status = 1
    try:
        status = train(options, words, began + 60 * options.minutes - PACKING)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        status = 2
    finally:
        records = len(list(options.out.glob("runs/*/record.json")))
        pack(options.out, options.archives or options.out.parent)
        print(f"{records} records, {time.monotonic() - began:.0f} s; exit status {status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
