"""Every script under benchmarks/ and examples/ runs, at its smallest, and measures what it says.

A new file fails here until `RUNS` says how it is run, or `PARTS` that others import it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from disentangle_bench import registry
from tests.helpers import ROOT, TESTS, run_command

FOLDERS = ("benchmarks", "examples")
PARTS = {
    "commands.py", "common.py", "cost_tables.py", "gpu_measures.py", "metric_encoder.py", "metric_oracles.py",
    "metric_peers.py", "part.py", "peak.py", "upkeep.py",
}  # fmt: skip
WITH_RAY = {"cost.py", "ray_overhead.py"}


def run(script: str, folder: Path, *arguments: str) -> str:
    """What `python benchmarks/SCRIPT ARGUMENTS` prints."""
    words = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    done = subprocess.run(words, capture_output=True, text=True, timeout=500, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def numbers(script: str, folder: Path, *arguments: str) -> Any:
    """What it writes with `--json`."""
    run(script, folder, *arguments, "--json", "b.json")
    return json.loads((folder / "b.json").read_text())


def cost(folder: Path, root: Path) -> None:
    tiny = ("--steps", "1,2", "--images", "2880", "--seeds", "1", "--repeats", "1", "--out", str(folder))
    points = numbers("cost.py", folder, *tiny, "--data-root", str(root))["points"]
    written = pd.read_csv(folder / "cost.csv")
    assert list(written["seconds"]) == pytest.approx([point["seconds"] for point in points], rel=1e-3)
    assert set(written["panel"]) == {"steps", "batch", "images", "seeds"}


def data(folder: Path, root: Path) -> None:
    tiny = ("--images", "128", "--batches", "3", "--threads", "1", "--root", str(folder), "--data-root", str(root))
    rows = numbers("data.py", folder, *tiny)["rows"]
    assert len(rows) == 8, "five that are drawn, and one stored file in three states"
    assert all(row["mean_ms"] > 0 for row in rows)


def dsprites(folder: Path, root: Path) -> None:
    found = numbers("dsprites.py", folder, "--images", "20", "--batches", "2", "--root", str(folder))
    assert found["naive_pixels_that_differ"] == 0
    assert found["ratio"] > 1


def encode(folder: Path, root: Path) -> None:
    found = numbers("encode.py", folder, "--images", "64", "--rounds", "1", "--data-root", str(root))
    assert all(row["ratio"] > 0 and row["share"] > 0 for row in found["rows"])
    assert {"processor", "cores", "python", "torch"} <= set(found["machine"])


def gpu(folder: Path, root: Path) -> None:
    """On the CPU, by the small configuration that stands in."""
    words = ("out", "--device", "cpu", "--seconds", "0.2", "--only", "float32", "--data-root", str(root))
    first = run("gpu.py", folder, *words)
    assert "steps float32 eager" in first
    results = json.loads((folder / "out" / "results.json").read_text())["results"]
    assert results["step float32"]["apart"] == results["apart float32 eager"]["apart"] == 0, (
        "both are the CPU, and eager"
    )
    assert results["encode float32"]["images_per_s"] > 0
    assert all(result["steps_per_s"] > 0 for name, result in results.items() if name.startswith(("steps", "peer")))
    assert "# 1 of" in first
    assert "# 1 of" not in run("gpu.py", folder, *words), "nothing is measured twice"
    with tarfile.open(folder / "out.tar.gz") as archive:
        assert "out/results.json" in archive.getnames()
    start = time.monotonic()
    late = run(
        "gpu.py",
        folder,
        "late",
        "--device",
        "cpu",
        "--minutes",
        "0.2",
        "--seconds",
        "30",
        "--only",
        "steps",
        *words[-2:],
    )
    assert time.monotonic() - start < 12 + 20, "the box, and the start and end of the programs on a busy machine"
    assert "{'failed': 'a measuring process gave no answer" in late
    assert "the time is up; not measured: steps bf16 eager" in late
    slow = run("gpu.py", folder, "out", *words[1:-4], "--apart", "--only", "float32 eager, 2 packed", *words[-2:])
    assert "# 1 of 1: steps float32 eager, 2 packed" in slow


def gpu_study(folder: Path, root: Path) -> None:
    """It begins no seed that can't end, trains those that can, and its archives together make a leaderboard."""
    tiny, faulty = (str(TESTS / "plugins" / name) for name in ("tiny.py", "faulty.py"))
    study = ["--models", "faulty", "--dataset", "tiny", "--name", "s", "--set", "faulty.pause=0.1",
             "--set", "steps=40", "--set", "metrics={factor-vae: [robust]}", "--plugin", tiny,
             "--plugin", faulty]  # fmt: skip
    short = [sys.executable, str(ROOT / "benchmarks" / "gpu_study.py"), "none", *study, "--minutes", "0.5"]
    none = subprocess.run(short, capture_output=True, text=True, cwd=folder)
    assert none.returncode == 1, none.stdout + none.stderr
    assert "# 0 of 1 seeds fit" in none.stdout
    assert "0 records" in none.stdout
    for seed in ("0", "1"):
        words = (f"out{seed}", *study, "--device", "cpu", "--seeds", seed, "--minutes", "4")
        found = run("gpu_study.py", folder, *words)
        assert "# 1 of 1 seeds fit" in found
        assert "1 records" in found
        with tarfile.open(folder / f"out{seed}.tar.gz") as archive:
            assert not [name for name in archive.getnames() if name.endswith((".pt", ".npy", "lock"))]
            for member in archive.getmembers():
                member.name = member.name.split("/", 1)[1]
            archive.extractall(folder / "merged", filter="data")
    done = run_command(folder, "run", *study, "--set", "numerics.device=cpu", "--seeds", "0,1", "--local",
                       "--results", "merged", plugins=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 trials, 2 done, 0 to run" in done.stdout
    assert "2" in pd.read_csv(folder / "merged" / "s" / "leaderboard.csv", dtype=str)["seeds"].tolist()


def leaderboard(folder: Path, root: Path) -> None:
    (found,) = numbers("leaderboard.py", folder, "--records", "500", "--root", str(folder))["sizes"]
    assert found["records"] == 500
    assert found["rows"] > 0
    assert found["rows"] % (10 * 3) == 0, "ten datasets × a model, a ceiling and a floor"


def metrics(folder: Path, root: Path) -> None:
    names = ("factor-vae", "sap")
    only = ("--only", ",".join(names), "--repeats", "1", "--fraction", "0.001")
    rows = numbers("metrics.py", folder, *only)["rows"][1:]
    wanted = {(name, protocol) for name in names for protocol in registry.get("metric", name).protocols}
    assert {(row["metric"], row["protocol"]) for row in rows} == wanted
    assert all(row["seconds"] > 0 and row["loop"] > 0 and 0 < row["mib"] < 1024 for row in rows)
    draft = ("--encoder", "--draft", "--threads", "1", "--fraction", "0.001", "--data-root", str(root))
    suite, peer = numbers("metrics.py", folder, *draft)["rows"]
    assert suite["images"] == 10_000
    assert suite["seconds"] > suite["encoding"] > 0
    assert peer["seconds"] > 0


def ray_overhead(folder: Path, root: Path) -> None:
    tiny = ("--trials", "2", "--steps", "2", "--logged-steps", "2", "--rounds", "1", "--data-root", str(root))
    only = ("--only", "ray,workers,start,logging,checkpoint")  # memory takes minutes
    rows = numbers("ray_overhead.py", folder, *tiny, *only)["rows"]
    assert [row["target"] for row in rows] == [None, None, None, 0.9, 10, 10, 1, 1, None, 1]
    assert all((row["met"] is None) == (row["target"] is None) for row in rows)


def train(folder: Path, root: Path) -> None:
    tiny = ("--seconds", "0.1", "--rounds", "1", "--trials", "1", "--images", "64", "--data-root", str(root))
    rows = numbers("train.py", folder, *tiny)["rows"]
    assert [row["variant"] for row in rows] == 2 * ["peer", "suite", "limit"]
    assert all(row["ratio"] > 0 and row["share"] > 0 for row in rows[:2])


def plugin(file: str) -> Callable[[Path, Path], None]:
    """An example that offers a model: it keeps the contract, and trains."""

    def runs(folder: Path, root: Path) -> None:
        path = str(ROOT / "examples" / file)
        checked = run_command(folder, "check", path, plugins=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr

    return runs


RUNS: dict[str, Callable[[Path, Path], None]] = {
    "cost.py": cost, "data.py": data, "dsprites.py": dsprites, "encode.py": encode, "gpu.py": gpu,
    "gpu_study.py": gpu_study, "leaderboard.py": leaderboard, "metrics.py": metrics, "ray_overhead.py": ray_overhead,
    "train.py": train, "my_vae.py": plugin("my_vae.py"),
}  # fmt: skip


def files() -> list[Any]:
    """A case a file that isn't a part of others."""
    found = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.py") if path.name not in PARTS)
    return [
        pytest.param(path.name, id=path.name, marks=pytest.mark.ray if path.name in WITH_RAY else ()) for path in found
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", files())
def test_a_script_runs_at_its_smallest(name: str, tmp_path: Path, data_root: Path) -> None:
    assert name in RUNS, "a new script: RUNS says how it is run at its smallest"
    RUNS[name](tmp_path, data_root)


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_part_is_no_script(part: str) -> None:
    assert "__main__" not in (ROOT / "benchmarks" / part).read_text()
