"""Where a Ray of our own puts its sockets: a short, private folder, whatever the temporary folder is."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from disentangle_bench.errors import UserError
from disentangle_bench.studies import ray_folder as module
from disentangle_bench.studies.ray_folder import LONGEST, SOCKET, ray_folder
from tests.helpers import run_command

SCRATCH = "scratch/departments/vision/slurm_jobdir/1000001/node/tmp.t0001"


def test_it_is_short_private_and_gone_at_the_end(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "places", lambda: [Path("/tmp")])
    with ray_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(f"{folder}{SOCKET}".encode()) <= LONGEST
        (folder / "session").mkdir()
    assert not folder.exists()


def test_a_long_or_unwritable_place_is_passed_over(monkeypatch, tmp_path):
    long = tmp_path / SCRATCH
    long.mkdir(parents=True)
    monkeypatch.setattr(module, "places", lambda: [long, Path("/proc"), Path("/nowhere/at/all"), Path("/dev/shm")])
    with ray_folder() as folder:
        assert folder.parent == Path("/dev/shm")
    monkeypatch.setattr(module, "places", lambda: [long, Path("/nowhere")])
    with (
        pytest.raises(UserError, match=r"too long for sockets.*/nowhere \(No such file.*RAY_TMPDIR.*--local"),
        ray_folder(),
    ):
        pass


def test_a_killed_commands_folder_is_removed_and_a_living_ones_stays(monkeypatch):
    monkeypatch.setattr(module, "places", lambda: [Path("/tmp")])
    code = "from disentangle_bench.studies.ray_folder import *\nwith ray_folder() as f: print(f, flush=True); input()"
    killed, living = (
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                         env=os.environ | {"TMPDIR": "/tmp", "RAY_TMPDIR": "/tmp"})
        for _ in range(2)
    )  # fmt: skip
    left, held = (Path(process.stdout.readline().strip()) for process in (killed, living))
    killed.kill()
    killed.wait()
    assert left.exists()
    with ray_folder():
        assert (left.exists(), held.exists()) == (False, True)
    living.communicate("\n")
    assert not held.exists()


@pytest.mark.ray
def test_run_starts_ray_under_a_long_tmpdir_and_a_home_that_cannot_be_written(tmp_path):
    scratch, home = tmp_path / SCRATCH, tmp_path / "home"
    scratch.mkdir(parents=True)
    home.write_text("a file, so that nothing can be made in it, by root neither")
    done = run_command(
        tmp_path, "run", "--models", "gan", "--dataset", "tiny", "--name", "s", "--set", "steps=5", "--set",
        "metrics={mig: [robust]}", TMPDIR=str(scratch), HOME=str(home),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert home.is_file()


@pytest.mark.slow
@pytest.mark.ray
def test_a_ray_that_cannot_start_is_one_sentence(tmp_path):
    """A limit on open files leaves none for its processes."""
    code = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); "
    code += "sys.argv[0] = 'disentangle-bench'; runpy.run_module('disentangle_bench', run_name='__main__')"
    words = ["run", "--models", "gan", "--dataset", "dsprites-circular", "--name", "s", "--set", "steps=5"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 2, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "Ray can't start on this machine" in line
    assert "--local" in line
    assert "Traceback" not in done.stderr
