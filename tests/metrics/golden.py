"""Scores of the oracle encoders on a small grid; `python tests/metrics/golden.py` rewrites metrics/golden.csv.

Rewrite it when a change to a metric is meant to move its numbers, and say in that change why they moved.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from disentangle_bench import registry
from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.evaluation.oracles import ORACLES, oracle_codes
from disentangle_bench.metrics import score_table

PATH = Path(__file__).parents[2] / "metrics" / "golden.csv"
COLUMNS = ("metric", "protocol", "codes", "key", "value")
SIZES = {"shape": 3, "scale": 4, "orientation": 10, "x": 8, "y": 8}
SAME_IMAGE = {"orientation": {9: 0}}
METRICS = tuple(registry.metrics_of(Metric))
SLOW = {("downstream", "locatello"), ("dci", "locatello"), ("dci", "histogram-boosting"), ("dci-es", "original")}
"""Half a minute and more a table: checked on their own, in the slow tests."""
DIALECTS = {("infomec", name) for name in registry.get("metric", "infomec").protocols} - {
    ("infomec", "original"), ("infomec", "robust"),
}  # fmt: skip
"""Other thresholds of one computation, each of them tested by hand in test_infomec.py."""


def table(kind: str) -> CodeTable:
    """The codes of an oracle encoder on the small grid, for which orientations 0 and 9 are one image."""
    sizes = tuple(SIZES.values())
    factors = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
    seen = CodeTable(factors, factors, tuple(SIZES), SAME_IMAGE).merge_same_images().factors
    return CodeTable(oracle_codes(seen, kind, seed=0), factors, tuple(SIZES), SAME_IMAGE)


def protocols(metric: str) -> list[str]:
    """A metric's protocols that the golden file covers."""
    return [name for name in registry.get("metric", metric).protocols if (metric, name) not in SLOW | DIALECTS]


def measure() -> Iterator[tuple[str, str, str, str, float]]:
    """Every number that the built-in metrics give, as rows of the golden file."""
    for kind in ORACLES:
        codes = table(kind)
        for metric in METRICS:
            for protocol in protocols(metric):
                for key, value in score_table(metric, codes, protocol, seed=0).items():
                    if isinstance(value, int | float):
                        yield metric, protocol, kind, key, float(value)


def read() -> dict[tuple[str, str, str, str], float]:
    """The golden file: {(metric, protocol, codes, key): value}."""
    with PATH.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return {(row["metric"], row["protocol"], row["codes"], row["key"]): float(row["value"]) for row in rows}


def main() -> None:
    with PATH.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*names, f"{value:.17g}") for *names, value in measure())


if __name__ == "__main__":
    main()
