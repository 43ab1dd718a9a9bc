"""Twenty truncations and twenty flipped bits of each kind of file that the suite writes: all is told, or made anew.

Whatever the damage, no traceback reaches the user; where a command refuses, it names the file, and without that file
the same command goes on. At the end scores, codes and the leaderboard are an undisturbed study's, byte for byte.
"""

import random
import shutil

import pytest

from disentangle_bench.datasets import load
from tests.helpers import call_command

pytestmark = pytest.mark.slow

STUDY = (
    "run", "--models", "ib-gan,beta-vae", "--dataset", "dsprites-circular-draft", "--seeds", "0-1", "--name", "s",
    "--local", "--set", "steps=5", "--set", "batch_size=8", "--set", "metrics={mig: [robust]}",
    "--set", "comparisons={udr: [spearman]}",
)  # fmt: skip
FILES = {  # of the results root, and whether the trial's record is gone, too, so that the file is read again
    "record": ("runs/*/record.json", False),
    "codes": ("runs/*/codes.npy", False),
    "checkpoint": ("runs/*/checkpoint.pt", True),
    "curves": ("runs/*/curves.csv", False),
    "heartbeat": ("runs/*/progress.json", True),
    "lock": ("runs/*/lock", False),
    "calibration": ("runs/calibration/*.json", False),
    "comparison": ("runs/comparisons/*.json", False),
    "study": ("s/study.yaml", False),
    "data": ("../data/*.h5", False),
}
TIMES = 20
MORE = (*STUDY, "--set", "metrics={mig: [robust], sap: [robust]}")  # codes are read for a metric that comes later


def truncate(path, rng):
    """Cut a file at a random byte."""
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))] if data else data)


def flip(path, rng):
    """Turn one random bit."""
    data = bytearray(path.read_bytes() or b"\0")
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def call(root, *words):
    """A command in this process on the results and the data under `root`; never a traceback."""
    done = call_command(root, *words, plugins=False, DISENTANGLE_BENCH_DATA=str(root / "data"))
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode in (0, 2), done.stderr
    return done


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """The undisturbed study: finished, its leaderboard made."""
    root = tmp_path_factory.mktemp("pristine")
    load("dsprites-circular", root / "data")
    assert call(root, *STUDY).returncode == 0
    for folder in (root / "results" / "runs").glob("????????????"):  # as a killed process leaves it
        (folder / "progress.json").write_text(
            '{"phase": "train", "done": 3, "total": 5, "rate": 1.5, "time": 0.0, "unit": "steps", "scores": {}}'
        )
    return root


@pytest.fixture(scope="module")
def scored_later(pristine, tmp_path_factory):
    """The same with another metric."""
    root = tmp_path_factory.mktemp("later") / "root"
    shutil.copytree(pristine, root)
    assert call(root, *MORE).returncode == 0
    return root


def outcome(root):
    """What must be as in the undisturbed study: each trial's codes, and the tables with all scores."""
    runs = root / "results" / "runs"
    codes = {path.parent.name: path.read_bytes() for path in runs.glob("*/codes.npy")}
    return codes, *((root / "results" / "s" / name).read_bytes() for name in ("leaderboard.csv", "scores.csv"))


@pytest.mark.parametrize("damage", [truncate, flip])
@pytest.mark.parametrize("kind", FILES)
def test_damage_is_told_or_mended(pristine, scored_later, tmp_path, kind, damage, record_property):
    pattern, begun = FILES[kind]
    expected = outcome(scored_later if kind == "codes" else pristine)
    for time in range(TIMES):
        rng = random.Random(f"{kind} {damage.__name__} {time}")
        root = tmp_path / str(time)
        shutil.copytree(pristine, root)
        path = rng.choice(sorted((root / "results").glob(pattern)))
        if begun:
            (path.parent / "record.json").unlink()
        damage(path, rng)
        for words in (("status",), ("status", "s"), ("leaderboard", "s")):
            call(root, *words)
        go_on(root, path)
        if kind == "data":
            call(root, "datasets", "verify")
        assert outcome(root) == expected, (kind, damage.__name__, time)
        shutil.rmtree(root)
    record_property("campaign", f"{TIMES} files damaged")


def go_on(root, path):
    """Run the study to its end: where it refuses, it names the file; without that, the same command goes on."""
    study = MORE if path.name == "codes.npy" else STUDY
    if path.suffix == ".h5":  # data are read when there is something to train
        [victim, *_] = sorted((root / "results" / "runs").glob("*/record.json"))
        shutil.rmtree(victim.parent)
    for _ in range(2):
        done = call(root, *study)
        if done.returncode == 0:
            break
        assert path.name in done.stderr, done.stderr
        path.unlink()
    assert done.returncode == 0, done.stderr
