"""Scores of the oracle encoders on all of dSprites, as the Markdown table of docs/explanation/oracles.md."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator

import numpy as np

from disentangle_bench import registry
from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import score_table

SIZES = {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}
SAME_IMAGE = {"orientation": {39: 0}}
KINDS = {
    "ideal": "ideal",
    "rotated": "rotated",
    "duplicated": "each twice",
    "constant-added": "+ 5 constants",
    "random": "10 random",
}
ROTATIONS = 20
FEWER = {"dci": 4, "downstream": 4, "infomec": 4, "dci-es": 4, "snc": 4}  # seconds each
SKIPPED = "–"
MARKS = {1: " ¹", 4: " ⁴"}


def dsprites_factors() -> np.ndarray:
    """The factors of all dSprites images: int64 (737280, 5)."""
    sizes = tuple(SIZES.values())
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)


def table_of(codes: np.ndarray, factors: np.ndarray) -> CodeTable:
    """The codes of all dSprites images, with the orientations that are one image."""
    return CodeTable(codes, factors, tuple(SIZES), SAME_IMAGE)


def protocols(slow: bool) -> Iterator[tuple[Metric, str]]:
    """Every registered metric with each of its protocols, in order; those of minutes if `slow`."""
    for name in registry.metrics_of(Metric):
        metric: Metric = registry.get("metric", name)
        yield from ((metric, protocol) for protocol in metric.protocols if slow or protocol not in metric.slow)


def rotations(metric: Metric, protocol: str) -> int:
    """How many random rotations of the ideal codes a protocol is measured on."""
    return 1 if protocol in metric.slow else FEWER.get(metric.name, ROTATIONS)


def measure(chosen: Collection[tuple[Metric, str]]) -> dict[tuple[str, str], dict[str, list[list[float]]]]:
    """{(metric, protocol): {kind of codes: for each seed, the values of the metric's keys}}."""
    factors = dsprites_factors()
    # An encoder sees images, and orientations 0 and 39 are one image: the oracles see them as one value, too.
    seen = table_of(factors, factors).merge_same_images().factors
    values: dict[tuple[str, str], dict[str, list[list[float]]]] = {}
    for kind in KINDS:
        for seed in range(ROTATIONS if kind == "rotated" else 1):
            sys.stderr.write(f"{kind}, seed {seed}\n")
            table = table_of(oracle_codes(seen, kind, seed), factors)
            for metric, protocol in chosen:
                if seed < rotations(metric, protocol):
                    result = score_table(metric.name, table, protocol, seed)
                    row = values.setdefault((metric.name, protocol), {}).setdefault(kind, [])
                    row.append([result[key] for key in metric.keys] if "skip" not in result else [])
    return values


def cell(seeds: list[list[float]]) -> str:
    """The keys' values, each with its standard deviation over seeds where there are several; a dash where skipped."""
    texts = []
    if not seeds[0]:
        return SKIPPED
    for values in zip(*seeds, strict=True):
        spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
        texts.append(f"{np.mean(values):.2f}{spread}")
    return " / ".join(texts)


def print_oracles(slow: bool, only: Collection[str] | None = None) -> None:
    """Measure, and print one Markdown row a metric and protocol; of these metrics alone where some are named."""
    chosen = [pair for pair in protocols(slow) if not only or pair[0].name in only]
    measured = measure(chosen)
    print(f"| metric · protocol | {' | '.join(KINDS.values())} |")
    print("|---" * (len(KINDS) + 1) + "|")
    for metric, protocol in chosen:
        mark = MARKS.get(rotations(metric, protocol), "")
        cells = [cell(measured[metric.name, protocol][kind]) for kind in KINDS]
        print(f"| `{metric.name}` · `{protocol}`{mark} | {' | '.join(cells)} |")
