"""What the suite adds to training: Ray, starting, logs, checkpoints, memory. Each number stands beside its target.

    python benchmarks/ray_overhead.py [--only ray,workers,start,logging,checkpoint,memory] [--trials N] [--steps N]
                                      [--logged-steps N] [--rounds N] [--json PATH]

ray: `--trials` short trials on Ray with one worker, and the same with --local. workers: `--trials` trials of `--steps`
steps a worker, with one worker and with two, one thread each; trials a second from when each worker has finished one
until the last. start: from the command's start to the first step of IB-GAN's published dSprites trial. logging:
`--logged-steps` steps of the small IB-GAN as in a trial and without logs, diagnostics and heartbeat, by turns; beside
it one diagnosis timed alone, for two long times differ by more than that on a busy machine. checkpoint: one save of
the published trial, down to the disk. memory: a published trial from its start to its record, its peak resident
memory without the dataset's mapped pages, which all trials share (Linux only).

A part (see part.py) of dSprites at 32 × 32 serves ray and workers, so that encoding takes a moment.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commands import first_step, peak_memory, run_study
from common import machine, parser, positive, print_header, print_table, write_json
from upkeep import logging_share, save_seconds

from disentangle_bench import datasets
from disentangle_bench.training.trainer import Intervals

SHORT = 10  # steps of a trial that is almost nothing but overhead
MEMORY_STEPS = 20

Row = dict[str, Any]


def row(what: str, measured: float, unit: str, target: float | None = None, least: bool = False) -> Row:
    """One number, in `unit`; its target is what it may be at most, or at least."""
    met = None if target is None else measured >= target if least else measured <= target
    return {"what": what, "measured": measured, "unit": unit, "target": target, "least": least, "met": met}


def ray(options: argparse.Namespace) -> list[Row]:
    """What Ray adds to a study, to its start, and to each further trial."""
    count = options.trials
    on_ray, local = run_study(count, SHORT, "--concurrent", "1"), run_study(count, SHORT, "--local")
    return [
        row(f"Ray, {count} trials of {SHORT} steps: added to each, start and end included",
            (on_ray.end - local.end) / count, "s"),
        row("Ray: added before the first record", on_ray.recorded[0] - local.recorded[0], "s"),
        row("Ray: added to each further trial", 1 / on_ray.rate(1) - 1 / local.rate(1), "s"),
    ]  # fmt: skip


def workers(options: argparse.Namespace) -> list[Row]:
    """Two workers' throughput over twice one's."""
    rates = [run_study(n * options.trials, options.steps, "--concurrent", str(n)).rate(n) for n in (1, 2)]
    what = f"two workers' trials a second over twice one's, {options.steps} steps each"
    return [row(what, rates[1] / (2 * rates[0]), "", 0.9, least=True)]


def start(options: argparse.Namespace) -> list[Row]:
    """From the command to the first step."""
    found = []
    for what, arguments in (("on Ray", ()), ("--local", ("--local",))):
        times = [first_step(options.data_root, *arguments) for _ in range(options.rounds)]
        found.append(row(f"from the command to the first step, {what}", statistics.median(times), "s", 10))
    return found


def logging(options: argparse.Namespace) -> list[Row]:
    """The default logs' share of training time."""
    by_turns, alone = logging_share(options.data_root, options.logged_steps, options.rounds)
    return [
        row("logs at default intervals, share of training", 100 * by_turns, "%", 1),
        row(f"one diagnosis in {Intervals.diagnose:,} steps, share of training", 100 * alone, "%", 1),
    ]


def checkpoint(options: argparse.Namespace) -> list[Row]:
    """A save, and its share at the default interval."""
    taken, interval = save_seconds(options.data_root), Intervals.checkpoint_seconds
    return [
        row("one checkpoint", taken, "s"),
        row(f"checkpoints every {interval:.0f} s, share of training", 100 * taken / interval, "%", 1),
    ]


def memory(options: argparse.Namespace) -> list[Row]:
    """A trial's memory beyond the shared map."""
    return [
        row("memory of a trial beyond the shared map", peak_memory(options.data_root, MEMORY_STEPS) / 1e9, "GB", 1.5)
    ]


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "ray": ray,
    "workers": workers,
    "start": start,
    "logging": logging,
    "checkpoint": checkpoint,
    "memory": memory,
}


def cells(found: Row) -> list[str]:
    """A row of the table."""
    unit = f" {found['unit']}".rstrip()
    target = "" if found["target"] is None else f"{'≥' if found['least'] else '≤'} {found['target']:g}{unit}"
    met = {None: "", True: "yes", False: "no"}[found["met"]]
    return [found["what"], f"{found['measured']:.2f}{unit}", target, met]


def main() -> None:
    """Measure, and print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--only", type=lambda text: text.split(","), default=list(MEASUREMENTS), help="these alone")
    arguments.add_argument("--trials", type=positive, default=4, help="of a study, a worker; two or more")
    arguments.add_argument("--steps", type=positive, default=200, help="of each trial of `workers`")
    arguments.add_argument("--logged-steps", type=positive, default=1_000, help="of each round of `logging`")
    arguments.add_argument("--rounds", type=positive, default=3, help="of `start` and `logging`; the median counts")
    arguments.add_argument("--data-root", type=Path, help="prepared datasets (default: ./datasets)")
    options = arguments.parse_args()
    unknown = set(options.only) - set(MEASUREMENTS)
    if unknown or options.trials < 2:
        arguments.error(f"--only takes {', '.join(MEASUREMENTS)}" if unknown else "--trials must be 2 or more")

    options.data_root = datasets.data_root(options.data_root)
    datasets.load("dsprites", options.data_root)  # prepared, so that no measurement waits for it
    facts = machine("torch", "numpy", "ray")
    print_header(facts)
    rows: list[Row] = []
    for number, name in enumerate(options.only, start=1):
        print(f"# {number} of {len(options.only)}: {name}", flush=True)
        rows += MEASUREMENTS[name](options)
    print_table("What the suite adds to training", ["what", "measured", "target", "met"], map(cells, rows))
    settings = {name: getattr(options, name) for name in ("trials", "steps", "logged_steps", "rounds")}
    write_json(options.json, facts, **settings, rows=rows)


if __name__ == "__main__":
    main()
