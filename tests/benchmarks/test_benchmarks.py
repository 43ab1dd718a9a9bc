"""The benchmarks measure what they say: their parts. Whole scripts are run by `test_scripts.py`."""

from __future__ import annotations

import inspect
import mmap
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from disentangle_bench.training.process import threads
from tests.helpers import ROOT

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


def test_the_tests_that_a_gpu_runs_are_there() -> None:
    words = [sys.executable, "-c", "import gpu; print(*gpu.TESTS)"]
    named = subprocess.run(words, capture_output=True, text=True, cwd=SCRIPTS, check=True).stdout.split()
    assert named
    assert all((ROOT / path).is_file() for path in named)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_what_a_gpu_measures_is_callable_and_most_valuable_first(script: Any, device: str) -> None:
    gpu, measures = script("gpu"), script("gpu_measures")
    for wanted in (gpu.in_a_box(device), gpu.apart(device)):
        for function, *arguments in wanted.values():
            if function != "tests":
                inspect.signature(getattr(measures, function)).bind(*arguments, None)
    kinds = list(dict.fromkeys(name.split()[0] for name in gpu.in_a_box(device)))
    assert kinds == ["data", "step", "apart", "capture", "peer", "steps", "encode", "tests"]


def test_one_process_measures_on_after_a_failure_and_names_it(script: Any, data_root: Path) -> None:
    measure = script("gpu_measures").in_turn(data_root)
    assert measure(("time_growing", ("cpu", "float32", "eager", 3), 0.01)) == {
        "failed": "ValueError: no pack of 3 is measured on cpu"
    }
    assert measure(("against_cpu", ("cpu",), 0.01))["apart"] == 0
    assert measure(("try_capture", ("cpu", "vae"), 0.01))["engine"].startswith("small: no: NotCapturable: ")


def test_a_measuring_process_that_hangs_is_ended(script: Any) -> None:
    common = script("common")
    with pytest.raises(RuntimeError, match="a measuring process gave no answer in 0 s"):
        common.Worker(time.sleep, 600.0, limit=0.2)


def test_as_many_seeds_are_trained_as_end_in_time(script: Any) -> None:
    study = script("gpu_study")
    rates = {1: 100.0, 8: 400.0}
    assert study.training_seconds(8, 8, 1_000, rates) == 20.0
    assert study.training_seconds(10, 8, 1_000, rates) == 20.0 + 20.0, "the last two at the rate of one"
    assert study.fitting(32, 1_000, rates, 1.1 * 40.0 + 0.1) == (16, 8)
    assert study.fitting(10, 1_000, rates, 60.0) == (10, 8)
    assert study.fitting(32, 1_000, rates, 11.1) == (1, 1)
    assert study.fitting(32, 1_000, rates, 10.9) == (0, 1)


def test_what_comes_back_is_split_under_the_limit_and_what_has_no_place_is_named(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = script("gpu_study")
    monkeypatch.setattr(study, "LIMIT", 5_000)
    monkeypatch.setattr(study, "ARCHIVES", 2)
    out = tmp_path / "out"
    out.mkdir()
    for name, size in {
        "a.png": 3_000,
        "b.png": 3_000,
        "record.json": 2_500,
        "codes.npy": 9,
        "large.csv": 6_000,
    }.items():
        (out / name).write_bytes(bytes(size))
    study.pack(out, tmp_path / "back")
    held = {}
    for path in sorted((tmp_path / "back").iterdir()):
        with tarfile.open(path) as archive:
            held[path.name] = archive.getnames()
    assert held == {"out.tar.gz": ["out/record.json"], "out-2.tar.gz": ["out/a.png"]}
    assert "no room for 2 files" in capsys.readouterr().out


def test_without_a_gpu_its_benchmark_says_so(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPTS / "gpu.py"), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert "torch sees no CUDA device here; say --device cpu" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
