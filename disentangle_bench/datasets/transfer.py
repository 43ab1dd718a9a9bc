"""One try to bring what is missing of a file from one address.

The file grows in `<file>.part`. Beside it `<file>.part.from` keeps the address that it came from and what the server
calls this version of the file, so that two versions, or two mirrors' files, are not joined where nobody would notice.
"""

from __future__ import annotations

import http.client
import os
import re
import urllib.error
import urllib.request
from pathlib import Path

from disentangle_bench.contracts import Progress
from disentangle_bench.datasets.remote import Remote, other_beginning

TIMEOUT_S = 60.0  # without a byte
CHUNK = 1 << 20


class Failed(Exception):
    """One try came to nothing, for this reason. again: the same address may yet deliver."""

    def __init__(self, reason: str, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


def bring(url: str, remote: Remote, part: Path, progress: Progress) -> None:
    """Append to `part` what is missing; `Failed` where the network fails, `OSError` where the disk does.

    Without a checksum, `part` is begun anew unless it came from this address, and from the version that is there now.
    """
    version = _version_of(part, url)
    start = part.stat().st_size if os.path.exists(part) and (remote.checksum or version) else 0
    if start and start == remote.size:
        return
    response = _open(url, start, version, part)
    if response is None:
        return
    with response:
        if response.status != 206:
            start = 0  # the server sends everything, whatever was asked for
        chunk = _read(response)
        if start == 0:
            _refuse_a_message(chunk, response, remote)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else remote.size
        if remote.size is not None and total != remote.size:
            raise Failed(f"it offers {total} bytes, expected {remote.size}")
        if start == 0:
            drop(part)
            if version := _version(response):
                _origin(part).write_text(f"{url}\n{version}", encoding="utf-8")
        done = start
        with part.open("ab") as file:
            while chunk:
                file.write(chunk)
                done += len(chunk)
                progress(done, total or 0)
                chunk = _read(response)
    if total is not None and done != total:
        raise Failed(f"the connection was cut after {done} of {total} bytes", again=True)


def drop(part: Path) -> None:
    """Remove a part, and what is known of it."""
    part.unlink(missing_ok=True)
    forget(part)


def forget(part: Path) -> None:
    """Remove what is known of a part that is none any more."""
    _origin(part).unlink(missing_ok=True)


def _refuse_a_message(chunk: bytes, response: http.client.HTTPResponse, remote: Remote) -> None:
    """`Failed` where the answer begins like a page, or unlike the file."""
    page = chunk[:256].lstrip().lower().startswith((b"<!doctype html", b"<html"))
    if page or response.headers.get_content_type() == "text/html":
        raise Failed("it gives an HTML page instead of the file")
    if wrong := other_beginning(chunk, remote):
        raise Failed(wrong)


def _origin(part: Path) -> Path:
    return part.with_name(f"{part.name}.from")


def _version_of(part: Path, url: str) -> str:
    """The version that `part` is a beginning of, where it came from this address and the server named one; else ""."""
    if not os.path.exists(_origin(part)):
        return ""
    origin, _, version = _origin(part).read_text(encoding="utf-8", errors="replace").partition("\n")
    return version if origin == url else ""


def _version(response: http.client.HTTPResponse) -> str:
    """What the server calls the file as it is now; "" where it does not say. A weak ETag may stand for other bytes."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _open(url: str, start: int, version: str, part: Path) -> http.client.HTTPResponse | None:
    """The answer from byte `start` on, or from the first; None where `part` holds the whole file already."""
    request = urllib.request.Request(url, headers={"User-Agent": "disentangle-bench", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if version:
            request.add_header("If-Range", version)
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing lies beyond `start`
            if error.headers.get("Content-Range") == f"bytes */{start}":
                return None
            drop(part)
            raise Failed("it has less of the file than was there", again=True) from error
        raise Failed(f"HTTP {error.code} {error.reason}", again=error.code >= 500 or error.code == 429) from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise Failed(_network_reason(error), again=True) from error
    if response.status == 206:
        continued = re.match(rf"bytes {start}-", response.headers.get("Content-Range") or "")
        if not continued or (version and _version(response) != version):  # not all servers heed If-Range
            response.close()
            drop(part)
            raise Failed("it continues another file, or at another byte, than was asked for", again=True)
    return response


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise Failed(_network_reason(error), again=True) from error


def _network_reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)  # URLError wraps the cause
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__).lower()
