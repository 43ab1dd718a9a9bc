"""The benchmarks measure what they say: their parts, and among the slow tests whole scripts with tiny settings."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from disentangle_bench.training.process import threads
from tests.helpers import ROOT, TESTS

SCRIPTS = ROOT / "benchmarks"
MIB = 1 << 20


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As a trial has: two on a busy machine wait for each other."""
    with threads(1):
        yield


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a benchmark by name."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module


def test_the_peer_takes_the_same_step_and_all_variants_run(
    script: Any, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, peak = script("train"), script("peak")
    monkeypatch.setattr(train, "WARM_UP", 1)
    work = train.compare("ib-gan", data_root, "cpu", 64)
    assert work["needed_gflop"] == pytest.approx(19.8, abs=0.05)
    assert work["peer_gflop"] > work["needed_gflop"]
    assert train.time_suite("ib-gan", data_root, "cpu", 1)(0.01) > 0
    assert train.time_peer("ib-gan", data_root, "cpu", 1, 64)(0.01) > 0
    assert peak.time_peak("cpu", 1)(0.01) > 0


def test_ratio_and_share_are_within_one_layout(script: Any) -> None:
    rows = [
        {"variant": variant, "processes": 1, "threads": threads, "rounds": rounds}
        for threads, variant, rounds in (
            (1, "peer", [1.0, 2.0, 2.0]), (1, "suite", [3.0, 5.0, 4.0]), (1, "limit", [80.0, 100.0]),
            (2, "peer", [4.0]), (2, "suite", [5.0]), (2, "limit", [200.0]),
        )
    ]  # fmt: skip
    script("train").compute_ratios(rows, needed_gflop=10.0)
    one, two = rows[1], rows[4]
    assert (one["steps_per_s"], one["ratio"], one["best_ratio"], one["share"]) == (4.0, 2.0, 2.5, 0.4)
    assert (two["ratio"], two["share"]) == (1.25, 0.25)


def test_both_ways_to_encode_give_the_codes_of_the_first_images(script: Any, data_root: Path) -> None:
    encode = script("encode")
    plain, suite = (encode.VARIANTS[name](data_root, "cpu")(80) for name in ("plain loop", "suite"))
    assert plain.shape == suite.shape == (80, 10)
    np.testing.assert_allclose(suite, plain, atol=1e-4)
    assert encode.needed_gflop(data_root, "cpu") == pytest.approx(0.0227, abs=1e-4)


def test_logs_and_checkpoints_are_timed_on_a_trial_in_training(script: Any, data_root: Path) -> None:
    upkeep = script("upkeep")
    assert upkeep.time_save(data_root)(0) > 0
    measure = upkeep.time_logging(data_root, 2)
    assert measure(0) > 0
    assert measure(1) > 0


def test_throughput_leaves_the_start_out(script: Any) -> None:
    times = script("commands").Times([3.0, 4.0, 5.0, 6.0], 9.0)
    assert (times.rate(1), times.rate(2)) == (1.0, 1.0)  # 3 more trials in 3 s; 2 more in 2 s


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not tell of maps")
def test_memory_does_not_count_the_mapped_dataset(script: Any, tmp_path: Path) -> None:
    commands = script("commands")
    grown = {}
    for name in (commands.KEPT, "other.h5"):
        path = tmp_path / name
        path.write_bytes(bytes(64 * MIB))
        before = commands.resident_without_map(os.getpid())
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
            assert max(pages[i] for i in range(0, len(pages), 4096)) == 0
            grown[name] = (commands.resident_without_map(os.getpid()) - before) / MIB
    assert grown[commands.KEPT] < 16
    assert grown["other.h5"] > 48


def test_cost_of_a_part_of_the_dataset(script: Any, data_root: Path, tmp_path: Path) -> None:
    cost = script("cost")
    dataset = cost.dataset_with(2_880, data_root, tmp_path)
    assert len(dataset) == 2_880
    points = cost.encode_and_score(dataset, 2_880)
    assert [(p.panel, p.series, p.x) for p in points] == [("images", "encode", 2_880), ("images", "score", 2_880)]
    assert all(point.seconds > 0 for point in points)


def test_costs_as_tables_and_picture(script: Any, tmp_path: Path) -> None:
    tables = script("cost_tables")
    rows = [(panel, series, x, x / 8) for panel in tables.PANELS for series in ("a", "b") for x in (1, 2_000)]
    points = pd.DataFrame(rows, columns=["panel", "series", "x", "seconds"])
    assert tables.markdown(points).split("\n\n")[1].splitlines() == [
        "| seconds a step, by images a batch | 1 | 2,000 |",
        "| --- | ---: | ---: |",
        "| a | 0.125 | 250 |",
        "| b | 0.125 | 250 |",
    ]
    tables.draw(points, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def run_script(name: str, folder: Path, data_root: Path, *arguments: str) -> dict[str, Any]:
    """The JSON of `python benchmarks/NAME.py ARGUMENTS`."""
    command = [sys.executable, str(SCRIPTS / name), *arguments, "--data-root", str(data_root)]
    done = subprocess.run(
        [*command, "--json", str(folder / "b.json")], capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "b.json").read_text())


@pytest.mark.slow
def test_training_and_encoding_beside_their_peers(tmp_path: Path, data_root: Path) -> None:
    tiny = ("--seconds", "0.1", "--rounds", "1", "--trials", "1", "--images", "64")
    trained = run_script("train.py", tmp_path, data_root, *tiny)
    assert [row["variant"] for row in trained["rows"]] == 2 * ["peer", "suite", "limit"]
    encoded = run_script("encode.py", tmp_path, data_root, "--images", "64", "--rounds", "1")
    assert all(row["ratio"] > 0 and row["share"] > 0 for row in [*trained["rows"][:2], *encoded["rows"]])
    assert {"processor", "cores", "python", "torch"} <= set(encoded["machine"])


@pytest.mark.slow
def test_overheads_stand_beside_their_targets(tmp_path: Path, data_root: Path) -> None:
    tiny = ("--trials", "2", "--steps", "2", "--logged-steps", "2", "--rounds", "1")
    only = ("--only", "ray,workers,start,logging,checkpoint")  # memory takes minutes
    rows = run_script("ray_overhead.py", tmp_path, data_root, *tiny, *only)["rows"]
    assert [row["target"] for row in rows] == [None, None, None, 0.9, 10, 10, 1, 1, None, 1]
    assert all((row["met"] is None) == (row["target"] is None) for row in rows)


@pytest.mark.slow
def test_costs_are_written(tmp_path: Path, data_root: Path) -> None:
    tiny = ("--steps", "1,2", "--images", "2880", "--seeds", "1", "--repeats", "1", "--out", str(tmp_path))
    points = run_script("cost.py", tmp_path, data_root, *tiny)["points"]
    written = pd.read_csv(tmp_path / "cost.csv")
    assert list(written["seconds"]) == pytest.approx([point["seconds"] for point in points], rel=1e-3)
    assert set(written["panel"]) == {"steps", "batch", "images", "seeds"}


def test_the_tests_that_a_gpu_runs_are_there() -> None:
    words = [sys.executable, "-c", "import gpu; print(*gpu.TESTS)"]
    named = subprocess.run(words, capture_output=True, text=True, cwd=SCRIPTS, check=True).stdout.split()
    assert named
    assert all((ROOT / path).is_file() for path in named)


def test_without_a_gpu_its_benchmark_says_so(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPTS / "gpu.py"), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert "torch sees no CUDA device here; say --device cpu" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_a_gpu_does_is_measured_once_and_packed(tmp_path: Path, data_root: Path) -> None:
    """On the CPU, by the small configuration that stands in."""
    out = tmp_path / "gpu"
    words = [sys.executable, str(SCRIPTS / "gpu.py"), str(out), "--device", "cpu", "--seconds", "0.2",
             "--only", "float32", "--data-root", str(data_root)]  # fmt: skip
    first = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "float32 eager, 2 packed" in first.stdout
    results = json.loads((out / "results.json").read_text())["results"]
    assert results["apart float32 compiled"]["apart"] < 1e-5
    assert all(result["steps_per_s"] > 0 for name, result in results.items() if name.startswith(("steps", "peer")))
    again = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "# 1 of" in first.stdout
    assert "# 1 of" not in again.stdout, "nothing is measured twice"
    with tarfile.open(tmp_path / "gpu.tar.gz") as archive:
        assert "gpu/results.json" in archive.getnames()


@pytest.mark.slow
def test_a_study_is_stopped_in_time_goes_on_and_its_archive_makes_a_leaderboard(tmp_path: Path) -> None:
    tiny, faulty = (str(TESTS / "plugins" / name) for name in ("tiny.py", "faulty.py"))
    study = ["--models", "faulty", "--dataset", "tiny", "--name", "s", "--set", "faulty.pause=0.1",
             "--set", "steps=80", "--set", "metrics={factor-vae: [robust]}", "--plugin", tiny,
             "--plugin", faulty]  # fmt: skip
    merged = tmp_path / "merged"
    for seed in ("0", "1"):
        out = tmp_path / f"out{seed}"
        words = [sys.executable, str(SCRIPTS / "gpu_study.py"), str(out), *study, "--seeds", seed]
        stopped = subprocess.run([*words, "--seconds", "9"], capture_output=True, text=True, cwd=tmp_path)
        assert stopped.returncode == 130, stopped.stdout + stopped.stderr
        assert "0 records" in stopped.stdout
        done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "1 records" in done.stdout
        with tarfile.open(tmp_path / f"out{seed}.tar.gz") as archive:
            assert not [name for name in archive.getnames() if name.endswith((".pt", ".npy", "lock"))]
            for member in archive.getmembers():
                member.name = member.name.split("/", 1)[1]
            archive.extractall(merged, filter="data")
    both = [sys.executable, "-m", "disentangle_bench", "run", *study, "--seeds", "0,1", "--local",
            "--results", str(merged)]  # fmt: skip
    done = subprocess.run(both, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 trials, 2 done, 0 to run" in done.stdout
    assert "2" in pd.read_csv(merged / "s" / "leaderboard.csv", dtype=str)["seeds"].tolist()
