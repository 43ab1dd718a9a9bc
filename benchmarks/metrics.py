"""Seconds that each metric takes on the codes of all of dSprites, beside a plain vote-by-vote numpy loop.

    python benchmarks/metrics.py [--json PATH] [--fraction 0.02] [--repeats 3]
    python benchmarks/metrics.py --oracles      scores of the oracle encoders, as in the metrics' cards

The loop draws, gathers and reduces one vote (or one point) at a time, as the public implementations do, and includes
no classifier. It runs on `--fraction` of a protocol's votes, and its time is scaled up.
"""

from __future__ import annotations

import os

import numpy as np
import sklearn.linear_model  # loaded here, so that no metric's time includes it
import sklearn.multiclass  # noqa: F401
from common import fastest, machine, parser, positive, print_header, print_table, write_json

from disentangle_bench import registry
from disentangle_bench.contracts import CodeTable
from disentangle_bench.metrics import score_table
from disentangle_bench.testing import ORACLES, oracle_codes

SIZES = {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}
SAME_IMAGE = {"orientation": {39: 0}}
ROTATIONS = 20


def dsprites_factors() -> np.ndarray:
    """The factors of all dSprites images: int64 (737280, 5)."""
    sizes = tuple(SIZES.values())
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)


def one_vote_loop(codes: np.ndarray, group: int, votes: int, rng: np.random.Generator) -> None:
    """FactorVAE votes, one after the other: draw the factors of L images, find their rows, take their variances."""
    sizes = np.array(list(SIZES.values()))
    spread = codes[rng.integers(len(codes), size=10_000)].var(axis=0, ddof=1)
    table = np.zeros((codes.shape[1], len(sizes)), dtype=int)
    for _ in range(votes):
        k = rng.integers(len(sizes))
        factors = rng.integers(sizes, size=(group, len(sizes)))
        factors[:, k] = factors[0, k]
        rows = np.ravel_multi_index(tuple(factors.T), tuple(sizes))
        table[np.argmin(codes[rows].var(axis=0, ddof=1) / spread), k] += 1


def one_point_loop(codes: np.ndarray, pairs: int, points: int, rng: np.random.Generator) -> None:
    """BetaVAE features, one point after the other."""
    sizes = np.array(list(SIZES.values()))
    for _ in range(points):
        k = rng.integers(len(sizes))
        first, second = rng.integers(sizes, size=(2, pairs, len(sizes)))
        second[:, k] = first[:, k]
        rows = [np.ravel_multi_index(tuple(side.T), tuple(sizes)) for side in (first, second)]
        np.abs(codes[rows[0]] - codes[rows[1]]).mean(axis=0)


def measure(fraction: float, repeats: int) -> list[dict[str, float | str]]:
    """One row a metric and protocol: seconds, seconds of the loop scaled up, and their ratio."""
    factors = dsprites_factors()
    codes = oracle_codes(factors, "random")
    table = CodeTable(codes, factors, tuple(SIZES), SAME_IMAGE)
    table._by_value  # noqa: B018  the index of factor values is built once a table, whatever the number of metrics
    build = fastest(lambda: CodeTable(codes, factors, tuple(SIZES))._by_value, repeats)
    rows: list[dict[str, float | str]] = [{"metric": "(the table)", "protocol": "", "seconds": build}]
    for name in ("factor-vae", "beta-vae"):
        for protocol, settings in registry.get("metric", name).protocols.items():
            seconds = fastest(lambda name=name, protocol=protocol: score_table(name, table, protocol, 0), repeats)
            if name == "factor-vae":
                total, size, loop = settings.train_votes + settings.eval_votes, settings.group, one_vote_loop
            else:
                total, size, loop = settings.train_points + settings.eval_points, settings.pairs, one_point_loop
            part = max(1, round(fraction * total))
            rng = np.random.default_rng(0)
            slow = (
                fastest(lambda loop=loop, size=size, part=part, rng=rng: loop(codes, size, part, rng), 1) * total / part
            )
            rows.append(
                {"metric": name, "protocol": protocol, "seconds": seconds, "loop": slow, "ratio": slow / seconds}
            )
    return rows


def print_oracles() -> None:
    """Scores of the oracle encoders on the dSprites grid, one Markdown row a metric and protocol."""
    factors = dsprites_factors()
    # An encoder sees images, and orientations 0 and 39 are one image: the oracles see them as one value, too.
    seen = CodeTable(factors, factors, tuple(SIZES), SAME_IMAGE).merge_same_images().factors
    scores: dict[tuple[str, str], dict[str, list[float]]] = {}
    for kind in ORACLES:
        for seed in range(ROTATIONS if kind == "rotated" else 1):
            table = CodeTable(oracle_codes(seen, kind, seed), factors, tuple(SIZES), SAME_IMAGE)
            for name in ("factor-vae", "beta-vae"):
                for protocol in registry.get("metric", name).protocols:
                    value = score_table(name, table, protocol, seed)["score"]
                    scores.setdefault((name, protocol), {}).setdefault(kind, []).append(value)
    print(f"| metric | protocol | {' | '.join(ORACLES)} |")
    print("|---" * (len(ORACLES) + 2) + "|")
    for (name, protocol), kinds in scores.items():
        cells = [
            f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")
            for values in kinds.values()
        ]
        print(f"| {name} | {protocol} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Measure, and print the table; or print the oracles' scores."""
    arguments = parser(__doc__)
    arguments.add_argument("--fraction", type=float, default=0.02, help="share of the votes that the loop runs")
    arguments.add_argument("--repeats", type=positive, default=3, help="runs of each metric; the fastest counts")
    arguments.add_argument(
        "--oracles", action="store_true", help="print scores of the oracle encoders instead of times"
    )
    options = arguments.parse_args()
    if not 0 < options.fraction <= 1:
        arguments.error("--fraction must be in (0, 1]")
    if options.oracles:
        print_oracles()
        return
    blas = os.environ.get("OMP_NUM_THREADS", "not set")
    facts = machine("numpy", "scipy", "scikit-learn", OMP_NUM_THREADS=blas)
    print_header(facts)
    rows = measure(options.fraction, options.repeats)
    print_table(
        f"737,280 x 10 codes; the loop runs {options.fraction:.1%} of the votes, scaled up; best of {options.repeats}",
        ["metric", "protocol", "seconds", "loop", "ratio"],
        [
            [str(row["metric"]), str(row["protocol"]), f"{row['seconds']:.3f}"]
            + ([f"{row['loop']:.2f}", f"{row['ratio']:.1f}"] if "loop" in row else ["", ""])
            for row in rows
        ],
        words=2,
    )
    write_json(options.json, facts, fraction=options.fraction, rows=rows)


if __name__ == "__main__":
    main()
