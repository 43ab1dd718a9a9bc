"""A hundred random kills over studies of three kinds of model: on Ray and without, packed and not.

At the end nothing is lost, no trial went back behind a checkpoint that it had, scores and codes equal an undisturbed
run's to the byte, and no traceback was shown.
"""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.campaign.processes import descendants, gone, hit, of_kind
from tests.campaign.study import STUDY, outcome
from tests.helpers import command_line, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

KILLS = 25  # of each kind of run
RUNS = {
    "local": ["--local"],
    "local-packed": ["--local", "--pack", "2"],
    "ray": ["--concurrent", "2"],
    "ray-packed": ["--pack", "2"],
}


def steps(folder):
    """The step of each trial's checkpoint."""
    paths = (folder / "results" / "runs").glob("*/checkpoint.pt")
    return {path.parent.name: int(torch.load(path, weights_only=True)["step"]) for path in paths}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.ray] * ("ray" in kind)) for kind in RUNS])
def test_kills(kind, tmp_path, undisturbed, record_property):
    rng, kills, round = random.Random(kind), 0, 0
    while kills < KILLS:
        folder = tmp_path / str(round)
        folder.mkdir()
        round += 1
        begun, completed = {}, False
        while not completed:
            killed, completed = disturbed(folder, RUNS[kind], rng if kills < KILLS else None)
            kills += killed
            reached = steps(folder)
            behind = {
                trial: (begun[trial], reached.get(trial)) for trial in begun if reached.get(trial, -1) < begun[trial]
            }
            assert not behind, f"went back behind a checkpoint: {behind}"
            begun = reached
        assert outcome(folder) == undisturbed
    record_property("campaign", f"{kills} kills")


def disturbed(folder, where, rng):
    """Run the study, and kill one of its processes at a random moment; (how many were killed, whether it completed)."""
    with (folder / "errors").open("w+") as errors:
        driver = subprocess.Popen(
            command_line(folder, *STUDY, *where), env=environment(folder), cwd=folder, stdout=subprocess.DEVNULL,
            stderr=errors,
        )  # fmt: skip
        killed, family = 0, set()
        if rng is not None:
            target = rng.choice(["driver"] if "--local" in where else ["driver", "worker", "worker", "raylet", "gcs"])
            killed, family = kill(driver, target, folder, rng)
        code = driver.wait(600)
    assert gone(family), "processes are left"
    said = Path(folder / "errors").read_text()
    assert "Traceback" not in said, said
    assert code in (0, 1, 2, -signal.SIGKILL), said
    if code in (1, 2):
        assert said.strip(), "a command that fails says why"
    return killed, code == 0


def kill(driver, target, folder, rng):
    """Wait until the study is at work, and a little longer; then kill the target: how many were, and all that ran."""
    end = time.monotonic() + 300
    while driver.poll() is None and not list(folder.glob("results/runs/*/progress.json")):
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 1.5))
    if driver.poll() is not None:
        return 0, set()
    family = descendants(driver.pid)
    victims = [driver.pid] if target == "driver" else of_kind(family, target)
    killed = hit(rng.choice(victims)) if victims else False
    return int(killed), family
