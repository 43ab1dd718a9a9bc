"""Full disks, signals, two drivers, a folder that is deleted, a clock that jumps: the study goes on, or says why not.

At its end, when the trouble is over, scores and codes are an undisturbed run's, byte for byte.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.campaign.processes import descendants, gone, hit, of_kind
from tests.campaign.study import STUDY, outcome
from tests.helpers import command_line, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

WHERE = [pytest.param(["--local"], id="local"), pytest.param([], id="ray", marks=pytest.mark.ray)]


@contextlib.contextmanager
def disk(folder, kilobytes):
    """A file system of this size at `folder`, while the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a disk can't be mounted here: {made.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def enlarge(folder, kilobytes):
    """Make room on a disk."""
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(folder)], check=True)


def started(folder, *more, **changes):
    """The study's command, at work."""
    return subprocess.Popen(
        command_line(folder, *STUDY, *more), env=environment(folder) | changes, cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process, *statuses):
    """What it said; its status is one of these, and there is no traceback."""
    _, said = process.communicate(timeout=900)
    assert process.returncode in statuses, said
    assert "Traceback" not in said, said
    return said


def at_work(process, folder):
    """Wait until a trial trains."""
    end = time.monotonic() + 300
    while not list(folder.glob("results/runs/*/checkpoint.pt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("where", WHERE)
def test_a_full_results_disk(where, tmp_path, undisturbed, record_property):
    with disk(tmp_path / "results", 900):
        said = ended(started(tmp_path, *where), 1, 2)
        assert "No space left on device" in said
        enlarge(tmp_path / "results", 100_000)
        ended(started(tmp_path, *where), 0)
        assert outcome(tmp_path) == undisturbed
    record_property("campaign", "1 disks filled")


def test_a_full_data_disk(tmp_path, record_property):
    words = ["run", "--models", "gan", "--dataset", "dsprites-circular", "--set", "steps=5", "--name", "s", "--local"]
    with disk(tmp_path / "data", 100):
        for status in (2, 0):
            process = subprocess.Popen(
                command_line(tmp_path, *words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                cwd=tmp_path, env=environment(tmp_path) | {"DISENTANGLE_BENCH_DATA": str(tmp_path / "data")},
            )  # fmt: skip
            said = ended(process, status)
            assert status == 0 or "no space left on device" in said
            enlarge(tmp_path / "data", 100_000)
    record_property("campaign", "1 disks filled")


@pytest.mark.parametrize("where", WHERE)
def test_a_full_temporary_disk(where, tmp_path, undisturbed, record_property):
    with disk(tmp_path / "tmp", 40):
        (tmp_path / "tmp" / "full").write_bytes(b"\0" * 30_000)
        said = ended(started(tmp_path, *where, TMPDIR=str(tmp_path / "tmp")), 0, 1, 2)
        assert outcome(tmp_path) == undisturbed or said.strip()
        enlarge(tmp_path / "tmp", 100_000)
        ended(started(tmp_path, *where, TMPDIR=str(tmp_path / "tmp")), 0)
        assert outcome(tmp_path) == undisturbed
    record_property("campaign", "1 disks filled")


@pytest.mark.ray
def test_a_full_shared_memory(tmp_path, undisturbed, record_property):
    """A container's /dev/shm has 64 MB, of which little may be left."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be made here")
    small = 'mount -t tmpfs -o size=2m none /dev/shm && exec "$@"'
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", small, "sh", *command_line(tmp_path, *STUDY)], env=environment(tmp_path),
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = ended(process, 0, 2)
    assert process.returncode == 0 or "Ray can't start" in said
    ended(started(tmp_path), 0)
    assert outcome(tmp_path) == undisturbed
    record_property("campaign", "1 disks filled")


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("where", WHERE)
def test_a_signal_ends_it_and_it_goes_on(where, which, tmp_path, undisturbed, record_property):
    process = started(tmp_path, *where)
    at_work(process, tmp_path)
    family = descendants(process.pid)
    process.send_signal(which)
    said = ended(process, 128 + which, 130)  # 130 where Tune caught it first
    assert "The same command goes on from there" in said
    assert gone(family), "processes are left"
    ended(started(tmp_path, *where), 0)
    assert outcome(tmp_path) == undisturbed
    record_property("campaign", "1 signals")


@pytest.mark.parametrize("where", WHERE)
def test_stopped_and_continued(where, tmp_path, undisturbed, record_property):
    """As Ctrl-Z and `fg` do, or a laptop that sleeps: the driver, and on Ray a worker."""
    process = started(tmp_path, *where)
    at_work(process, tmp_path)
    stopped = [process.pid, *of_kind(descendants(process.pid), "worker")[:1]]
    for each in stopped:
        hit(each, signal.SIGSTOP)
    time.sleep(5)
    for each in stopped:
        hit(each, signal.SIGCONT)
    ended(process, 0)
    assert outcome(tmp_path) == undisturbed
    record_property("campaign", f"{2 * len(stopped)} signals")


@pytest.mark.parametrize("where", WHERE)
def test_two_drivers_on_one_study(where, tmp_path, undisturbed, record_property):
    for process in [started(tmp_path, *where) for _ in range(2)]:
        ended(process, 0)
    assert outcome(tmp_path) == undisturbed
    record_property("campaign", "1 pairs of drivers")


@pytest.mark.parametrize("where", WHERE)
def test_a_trials_folder_is_deleted_midway(where, tmp_path, undisturbed, record_property):
    process = started(tmp_path, *where)
    at_work(process, tmp_path)
    shutil.rmtree(next(tmp_path.glob("results/runs/*/checkpoint.pt")).parent, ignore_errors=True)
    ended(process, 0, 1, 2)
    ended(started(tmp_path, *where), 0)
    assert outcome(tmp_path) == undisturbed
    record_property("campaign", "1 folders deleted")


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_the_clock_jumps(jump, tmp_path, undisturbed, record_property):
    """By a day, after the first seconds, in each process: `time.time` is all of it that the suite reads."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\n"
        "real, begun = time.time, time.monotonic()\n"
        f"time.time = lambda: real() + ({jump} if time.monotonic() > begun + 4 else 0)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ended(started(tmp_path, "--local", PYTHONPATH=path), 0)
    assert outcome(tmp_path) == undisturbed
    record_property("campaign", "1 jumps of the clock")
