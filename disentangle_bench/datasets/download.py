"""Fetch a published file: mirrors in turn, continued where it was cut, and never taken for right unless it is.

A download grows in `<file>.part`, which outlives a cut connection and a killed process; the next call goes on from
there. Only a complete file of the right size and checksum gets its name.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from disentangle_bench.contracts import Progress, silent
from disentangle_bench.datasets import storage
from disentangle_bench.errors import UserError

TRIES = 4  # of one address, where trying again may help
PAUSE_S = 1.0  # before the second try; doubled before each further one
TIMEOUT_S = 60.0  # without a byte
CHUNK = 1 << 20


@dataclass(frozen=True)
class Remote:
    """A published file: its name, its addresses in order, and what it must be.

    checksum: "md5:<hex>", "sha256:<hex>", or "" where nobody published one. size: in bytes, None where unknown.
    """

    file_name: str
    urls: tuple[str, ...]
    checksum: str = ""
    size: int | None = None


class _Failed(Exception):
    """One try came to nothing, for this reason. again: the same address may yet deliver."""

    def __init__(self, reason: str, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


def check(path: Path, remote: Remote, remedy: str = "Delete it and fetch it again.") -> None:
    """`UserError`, ending with `remedy`, unless the file at `path` has the size and the checksum of `remote`."""
    try:
        wrong = _difference(path, remote)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}. {remedy}") from error
    if wrong:
        raise UserError(f"{path} is not the official file: {wrong}. {remedy}")


def fetch(remote: Remote, folder: Path, progress: Progress = silent, otherwise: str = "") -> Path:
    """The path of `remote` in `folder`, downloaded unless it is there already.

    folder: the dataset's, `<data root>/<dataset's name>`; made where it is missing. progress: in bytes.
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
            except _Failed as failure:
                failures.append(f"{url}: {failure}")
                continue
            os.replace(part, path)
            return path
    tried = "; ".join(failures) or "no address of it is known"
    otherwise = otherwise or f"run: disentangle-bench datasets prepare {folder.name} --source PATH"
    raise UserError(
        f"can't download {remote.file_name} ({tried}). Run this again to go on, or fetch the file by hand and put it "
        f"at {path}, or {otherwise}"
    )


def _fetch_from(url: str, remote: Remote, part: Path, progress: Progress) -> None:
    """Complete `part` from this address; `_Failed` after all tries."""
    for attempt in range(TRIES):
        resumed = os.path.exists(part)
        try:
            _download(url, remote, part, progress)
            wrong = _difference(part, remote)
            if not wrong:
                return
            part.unlink()
            raise _Failed(wrong, again=resumed)  # the fault may lie in what an earlier call left
        except _Failed as failure:
            if not failure.again or attempt == TRIES - 1:
                raise
            time.sleep(PAUSE_S * 2**attempt)


def _download(url: str, remote: Remote, part: Path, progress: Progress) -> None:
    """Append to `part` what is missing; `_Failed` where the network fails, `OSError` where the disk does."""
    start = part.stat().st_size if os.path.exists(part) else 0
    if start and start == remote.size:
        return
    response = _open(url, start, part)
    if response is None:
        return
    with response:
        if response.status != 206:
            start = 0  # the server sends everything, whatever was asked for
        chunk = _read(response)
        page = chunk[:256].lstrip().lower().startswith((b"<!doctype html", b"<html"))
        if start == 0 and (page or response.headers.get_content_type() == "text/html"):
            raise _Failed("it gives an HTML page instead of the file")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else remote.size
        if remote.size is not None and total != remote.size:
            raise _Failed(f"it offers {total} bytes, expected {remote.size}")
        done = start
        with part.open("ab" if start else "wb") as file:
            while chunk:
                file.write(chunk)
                done += len(chunk)
                progress(done, total or done)
                chunk = _read(response)
    if total is not None and done != total:
        raise _Failed(f"the connection was cut after {done} of {total} bytes", again=True)


def _open(url: str, start: int, part: Path) -> http.client.HTTPResponse | None:
    """The answer from byte `start` on, or from the first; None where `part` holds the whole file already."""
    request = urllib.request.Request(url, headers={"User-Agent": "disentangle-bench", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing lies beyond `start`
            if error.headers.get("Content-Range") == f"bytes */{start}":
                return None
            part.unlink()
            raise _Failed("it has less of the file than was there", again=True) from error
        raise _Failed(f"HTTP {error.code} {error.reason}", again=error.code >= 500 or error.code == 429) from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise _Failed(_network_reason(error), again=True) from error
    if response.status == 206 and not re.match(rf"bytes {start}-", response.headers.get("Content-Range") or ""):
        response.close()
        part.unlink()
        raise _Failed("it continues at another byte than was asked for", again=True)
    return response


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Failed(_network_reason(error), again=True) from error


def _network_reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)  # URLError wraps the cause
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__).lower()


def _difference(path: Path, remote: Remote) -> str:
    """What tells this file from `remote`, in words; "" where nothing does."""
    size = path.stat().st_size
    if remote.size is not None and size != remote.size:
        return f"expected {remote.size} bytes, found {size}"
    if remote.checksum:
        algorithm, _, expected = remote.checksum.partition(":")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
        if found != expected:
            return f"expected {algorithm} {expected}, found {found}"
    return ""
