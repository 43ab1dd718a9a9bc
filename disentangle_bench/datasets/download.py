"""Fetch a published file: mirrors in turn, continued where it was cut, and never taken for right unless it is.

A download grows in `<file>.part`, which outlives a cut connection and a killed process; the next call goes on from
there. Only a complete file of the right size and checksum gets its name.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from disentangle_bench.contracts import Progress, silent
from disentangle_bench.datasets import storage
from disentangle_bench.datasets.remote import Remote, check, difference
from disentangle_bench.datasets.transfer import Failed, bring, drop, forget
from disentangle_bench.errors import UserError

__all__ = ["Remote", "check", "fetch"]

TRIES = 4  # of one address, where trying again may help
PAUSE_S = 1.0  # before the second try; doubled before each further one


def fetch(remote: Remote, folder: Path, progress: Progress = silent, otherwise: str = "") -> Path:
    """The path of `remote` in `folder`, downloaded unless it is there already.

    folder: the dataset's, `<data root>/<dataset's name>`; made where it is missing. progress: in bytes, of a total of 0
    where the server does not say it.
    otherwise: what a user can do who has the file elsewhere, for the message; by default, to prepare a dataset from it.
    Raises `UserError` where no address delivers the right file, saying what each gave and how to go on by hand; where
    the file that is there already is another one; and where `folder` can't be written.
    """
    path = folder / remote.file_name
    with storage.locked(path):
        if os.path.exists(path):
            check(path, remote)
            return path
        part = path.with_name(f"{path.name}.part")
        failures = []
        for url in remote.urls:
            try:
                _fetch_from(url, remote, part, progress)
            except Failed as failure:
                failures.append(f"{url}: {failure}")
                continue
            os.replace(part, path)
            forget(part)
            return path
    tried = "; ".join(failures) or "no address of it is known"
    otherwise = otherwise or f"run: disentangle-bench datasets prepare {folder.name} --source PATH"
    raise UserError(
        f"can't download {remote.file_name} ({tried}). Run this again to go on, or fetch the file by hand and put it "
        f"at {path}, or {otherwise}"
    )


def _fetch_from(url: str, remote: Remote, part: Path, progress: Progress) -> None:
    """Complete `part` from this address; `Failed` after all tries."""
    for attempt in range(TRIES):
        resumed = os.path.exists(part)
        try:
            bring(url, remote, part, progress)
            wrong = difference(part, remote)
            if not wrong:
                return
            drop(part)
            raise Failed(wrong, again=resumed)  # the fault may lie in what an earlier call left
        except Failed as failure:
            if not failure.again or attempt == TRIES - 1:
                raise
            time.sleep(PAUSE_S * 2**attempt)
