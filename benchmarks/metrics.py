"""Seconds and memory of every metric and protocol on the codes of all of dSprites, beside plain loops.

    python benchmarks/metrics.py [--codes random] [--slow] [--fraction 0.02] [--repeats 3] [--only NAME,...]
    python benchmarks/metrics.py --encoder      what an encoder's scores cost with encoding, beside a vote-wise peer
    python benchmarks/metrics.py --oracles      scores of the oracle encoders: the table of docs/explanation/oracles.md;
                                                with `--only`, too

A peer draws, gathers and reduces one vote, code or factor after the other, as the public implementations do (see
metric_peers.py). It runs once; what it runs only a part of is scaled up, as the table says. Each metric runs in a
forked process of its own; its memory is the peak of that process beyond the table of codes that it starts with. On a
busy machine read its processor time. Protocols that take minutes run with `--slow` alone, which `--oracles` heeds, too.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import metric_peers  # loads scikit-learn's estimators here, so that no metric's time includes that
import numpy as np
from common import fastest, machine, parser, positive, print_header, print_table, write_json
from metric_oracles import dsprites_factors, print_oracles, protocols, table_of

from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.evaluation.oracles import oracle_codes
from disentangle_bench.metrics import score_table

KIB_A_UNIT = 1 / 1024 if sys.platform == "darwin" else 1  # of ru_maxrss


def codes_of(kind: str, factors: np.ndarray) -> np.ndarray:
    """Ten codes: "random", or "entangled", the true factors and five of noise under one rotation."""
    if kind == "random":
        return oracle_codes(factors, "random")
    rng = np.random.default_rng(0)
    both = np.hstack([oracle_codes(factors, "ideal"), rng.standard_normal((len(factors), 5))])
    return both @ np.linalg.qr(rng.standard_normal((10, 10)))[0]


def serve(pipe: Connection, metric: str, table: CodeTable, protocol: str, repeats: int) -> None:
    """In a forked process: seconds, the least of `repeats`; processor time; MiB beyond those at its start."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results: list[dict[str, Any]] = []
    best = fastest(lambda: results.append(score_table(metric, table, protocol)), repeats)
    processor = time.process_time() / repeats
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mib = (after - before) * KIB_A_UNIT / 1024
    pipe.send({"seconds": best, "processor": processor, "mib": mib, "skipped": "skip" in results[-1]})


def measure_one(metric: Metric, table: CodeTable, protocol: str, repeats: int) -> dict[str, Any]:
    """What `serve` measures of one metric under one protocol."""
    context = get_context("fork")
    pipe, other = context.Pipe()
    process = context.Process(target=serve, args=(other, metric.name, table, protocol, repeats))
    process.start()
    other.close()
    result = pipe.recv()
    process.join()
    return result


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a metric and protocol: seconds, MiB, seconds of the plain loop, and their ratio."""
    factors = dsprites_factors()
    codes = codes_of(options.codes, factors)
    table = table_of(codes, factors)
    table._by_value  # noqa: B018  the index of factor values is built once a table, whatever the number of metrics
    build = fastest(lambda: table_of(codes, factors)._by_value, options.repeats)
    rows: list[dict[str, Any]] = [{"metric": "(the table)", "protocol": "", "seconds": build}]
    chosen = [pair for pair in protocols(options.slow) if not options.only or pair[0].name in options.only]
    for metric, protocol in chosen:
        sys.stderr.write(f"{metric.name}, {protocol}\n")
        # Before any peer: a child must not inherit OpenMP's threads.
        repeats = 1 if protocol in metric.slow else options.repeats
        rows.append({"metric": metric.name, "protocol": protocol, **measure_one(metric, table, protocol, repeats)})
    for row, (metric, protocol) in zip(rows[1:], chosen, strict=True):
        if row["skipped"]:
            row["loop_runs"] = "skipped"
        elif metric.name in metric_peers.PEERS:
            sys.stderr.write(f"plain loop of {metric.name}, {protocol}\n")
            settings = metric.protocols[protocol]
            row["loop"] = metric_peers.time_peer(metric.name, table, settings, options.fraction)
            row["loop_runs"] = metric_peers.share(metric.name, settings, options.fraction)
            row["ratio"] = row["loop"] / row["seconds"]
    return rows


def show(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """The table, and what the protocols `locatello` cost together."""
    print_table(
        f"737,280 x 10 codes, {options.codes}; best of {options.repeats}, slow protocols once",
        ["metric", "protocol", "loop runs", "seconds", "cpu s", "loop", "ratio", "MiB"],
        [
            [row["metric"], row["protocol"], row.get("loop_runs", ""), f"{row['seconds']:.3f}"]
            + [f"{row['processor']:.3f}" if "processor" in row else ""]
            + ([f"{row['loop']:.2f}", f"{row['ratio']:.1f}"] if "loop" in row else ["", ""])
            + [f"{row['mib']:.0f}" if "mib" in row else ""]
            for row in rows
        ],
        words=3,
    )
    usual = ("factor-vae", "beta-vae", "mig", "sap", "modularity-explicitness", "irs", "unsupervised")
    together = [row["seconds"] for row in rows if row["protocol"] == "locatello" and row["metric"] in usual]
    if len(together) == len(usual):
        print(f"{', '.join(usual)} under locatello: {sum(together):.2f} s together")


def main() -> None:
    """Measure, and print the table; or print the oracles' scores; or what an encoder's scores cost."""
    arguments = parser(__doc__)
    arguments.add_argument("--codes", choices=["random", "entangled"], default="random", help="which codes are scored")
    arguments.add_argument("--fraction", type=float, default=0.02, help="share of its votes that a loop runs")
    arguments.add_argument("--repeats", type=positive, default=3, help="runs of each metric; the fastest counts")
    arguments.add_argument("--only", type=lambda text: text.split(","), help="these metrics, by name")
    arguments.add_argument("--slow", action="store_true", help="protocols that take minutes, too")
    arguments.add_argument("--oracles", action="store_true", help="print scores of the oracle encoders instead")
    arguments.add_argument("--encoder", action="store_true", help="encode and score all of dSprites instead")
    arguments.add_argument("--draft", action="store_true", help="encode a sample of 10,000 alone, to try it")
    arguments.add_argument("--threads", type=positive, default=os.cpu_count(), help="of the encoder")
    arguments.add_argument("--data-root", type=Path, help="prepared datasets (default: ./datasets)")
    options = arguments.parse_args()
    if not 0 < options.fraction <= 1:
        arguments.error("--fraction must be in (0, 1]")
    if options.oracles:
        print_oracles(options.slow, options.only)
        return
    if options.encoder:
        from metric_encoder import main as encoder  # torch is loaded for this alone

        encoder(options)
        return
    blas = os.environ.get("OMP_NUM_THREADS", "not set")
    facts = machine("numpy", "scipy", "scikit-learn", OMP_NUM_THREADS=blas)
    print_header(facts)
    rows = measure(options)
    show(rows, options)
    write_json(options.json, facts, codes=options.codes, fraction=options.fraction, rows=rows)


if __name__ == "__main__":
    main()
