"""The package as a stranger gets it: `python tests/installed.py` builds it, installs the wheel elsewhere, and tries it.

The wheel is built from the source archive, so both are complete. It is installed in a new environment and used from an
empty folder, where nothing of the checkout can be found: all that the package needs, it must have brought along.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUDY = "--models gan,beta-vae --dataset dsprites-circular --seeds 0-1 --set steps=20 --name tried"
COMMANDS = [  # and a text that each must print
    ("--version", "disentangle-bench "),
    ("models", "ib-gan"),
    ("metrics factor-vae", "Kim & Mnih"),
    ("datasets dsprites", "737,280"),
    ("run ib-gan-dsprites --dry-run --set seeds=[0]", "ib-gan"),
    (f"run {STUDY}", "oracle codes"),
    ("leaderboard tried", "leaderboard.csv"),
    ("report tried", "report.html"),
]
WHOLE = """
from pathlib import Path
from disentangle_bench import registry
from disentangle_bench.boards.published import published_folder, read_published
from disentangle_bench.metrics import score
from disentangle_bench.resources import shipped
assert "site-packages" in str(shipped("metrics")), shipped("metrics")
assert len(read_published(published_folder(Path("results")))) > 50
assert (shipped("metrics") / "golden.csv").stat().st_size > 10_000
cards = {kind: {path.stem for path in shipped(kind).glob("*.md")} for kind in ("metrics", "datasets")}
assert cards["datasets"] == {*registry.BUILT_IN["dataset"], "correlated"}, cards["datasets"]
assert cards["metrics"] == {*registry.BUILT_IN["metric"], *registry.BUILT_IN["comparison"]}, cards["metrics"]
assert len(list(shipped("presets").glob("*.yaml"))) > 10
assert score("mig", [[0.0], [0.0], [1.0], [1.0]], [[0], [0], [1], [1]], protocol="robust")
"""


def main() -> None:
    """Build, install, try; the first failure ends it with its output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the new environment")
    options = parser.parse_args()
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        said("build", [sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(ROOT)], ROOT, clean)
        (wheel,) = (folder / "dist").glob("*.whl")
        said("environment", [options.python, "-m", "venv", str(folder / "venv")], folder, clean)
        here, empty = folder / "venv" / "bin", folder / "empty"
        empty.mkdir()
        also = ["--disable-pip-version-check", "--constraint", str(ROOT / "constraints.txt")]
        more = shlex.split(os.environ.get("PIP_ARGS", ""))
        said(f"install {wheel.name}", [str(here / "pip"), "install", *also, *more, str(wheel)], empty, clean)
        said("all files are there", [str(here / "python"), "-c", WHOLE], empty, clean)
        for arguments, expected in COMMANDS:
            command = [str(here / "disentangle-bench"), *shlex.split(arguments)]
            output = said(f"disentangle-bench {arguments}", command, empty, clean)
            if expected not in output:
                sys.exit(f"`disentangle-bench {arguments}` did not print '{expected}':\n{output}")
    sys.stdout.write("installed elsewhere and used from an empty folder: all there\n")


def said(title: str, command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """A command's output; where it fails, that ends the program."""
    sys.stdout.write(f"{title}\n")
    sys.stdout.flush()
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"`{title}` ended with status {done.returncode}:\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main()
