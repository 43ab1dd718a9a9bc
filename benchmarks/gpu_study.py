"""Train a study on one GPU in the minutes that there are, and pack what it found.

    python benchmarks/gpu_study.py OUT ib-gan-dsprites --models ib-gan --seeds 0-7 [--seconds 480] [--set repeats=1]

OUT is a folder. It is `disentangle-bench run PRESET --local --pack auto` and all else that is given, interrupted as by
Ctrl-C after `--seconds`; the same command goes on where it stopped. OUT.tar.gz holds the records, curves, pictures and
leaderboards of all that OUT has so far, but neither checkpoints nor codes. Where the next machine begins without them,
name other seeds. Unpacked into one results folder, several archives are one study: `run` with all their seeds makes its
leaderboard and trains none of them again.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_OUT = (".pt", ".npy", ".lock", "lock")  # by how a file's name ends
LIMIT = 16 << 20  # bytes of the archive
GRACE = 60  # seconds that an interrupted study has for its checkpoints


def main() -> int:
    """Run the study, stop it in time, pack; the exit status of `run`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the results")
    parser.add_argument("--seconds", type=float, default=480.0, help="after which the study is interrupted")
    options, words = parser.parse_known_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [
        sys.executable,
        "-m",
        "disentangle_bench.cli.app",
        "run",
        *words,
        "--local",
        "--results",
        str(options.out),
    ]
    if not any(word.startswith("--pack") for word in words):
        command += ["--pack", "auto"]
    start = time.monotonic()
    run = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path})
    try:
        status = run.wait(options.seconds)
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGINT)
        try:
            status = run.wait(GRACE)
        except subprocess.TimeoutExpired:
            run.kill()
            status = run.wait()
    records = len(list(options.out.glob("runs/*/record.json")))
    archive = options.out.with_name(options.out.name + ".tar.gz")
    with tarfile.open(archive, "w:gz") as packed:
        for file in sorted(options.out.rglob("*")):
            if file.is_file() and not file.name.endswith(LEFT_OUT):
                packed.add(file, arcname=str(Path(options.out.name) / file.relative_to(options.out)))
    size = archive.stat().st_size
    print(f"{records} records, {time.monotonic() - start:.0f} s; exit status {status}")
    print(f"{archive}: {size:,} bytes" + (", too large" if size > LIMIT else ""))
    return status


if __name__ == "__main__":
    sys.exit(main())
