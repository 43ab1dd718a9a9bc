"""Downloads against a real server on this machine that cuts, lies, forgets and refuses."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from disentangle_bench import display
from disentangle_bench.datasets import download, transfer
from disentangle_bench.datasets.chairs3d import Chairs3D
from disentangle_bench.datasets.download import Remote, check, fetch
from disentangle_bench.datasets.dsprites_scream import PAINTING
from disentangle_bench.datasets.mpi3d import MPI3DComplex, MPI3DReal, MPI3DRealistic, MPI3DToy
from disentangle_bench.display import Bar
from disentangle_bench.errors import UserError

DATA = np.random.default_rng(0).bytes(3_000_000)
MD5 = f"md5:{hashlib.md5(DATA).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    """Gives DATA; the first part of the path says how: /whole/x, /cut/x, ..."""

    protocol_version = "HTTP/1.0"
    asked: list[tuple[str, str | None]]
    stalled: threading.Event  # until when `stall` keeps its connection open

    def do_GET(self) -> None:
        way, wanted = self.path.split("/")[1], self.headers["Range"]
        first = not any(path == self.path for path, _ in self.asked)
        self.asked.append((self.path, wanted))
        if way in ("same", "replaced", "stubborn", "older"):
            self.versioned(way, first, wanted)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and way != "no-range" else 0
        body = DATA[start:]
        if way == "missing":
            self.send_error(404)
        elif way == "busy" and first:
            self.send_error(503)
        elif way == "page":
            self.answer(200, b"<!DOCTYPE html><title>Sign in</title>", "text/html")
        elif way == "disguised-page":
            self.answer(200, b"\n<html><title>Sign in</title>", "application/octet-stream")
        elif way == "message":
            self.answer(200, b'{"error": "quota exceeded"}', "application/json")
        elif way in ("unsaid", "unsaid-cut"):
            self.answer(200, body[: 500_000 if way == "unsaid-cut" else None], told=False)
        elif way == "other":
            self.answer(200, DATA[::-1])
        elif way == "short":
            self.answer(200, DATA[:1000])
        elif start and start >= len(DATA):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(DATA)}")
            self.end_headers()
        elif way == "shifted" and start:
            self.answer(206, body[1:], span=f"bytes {start + 1}-{len(DATA) - 1}/{len(DATA)}")
        else:
            if way == "stall":
                self.answer(200, body, sent=2_500_000)
                self.wfile.flush()
                self.stalled.wait(30)
                return
            cut = (way == "cut" and first) or way == "always-cut"
            span = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}" if start else None
            self.answer(206 if start else 200, body, span=span, sent=500_000 if cut else None)

    def versioned(self, way: str, first: bool, wanted: str | None) -> None:
        """With an ETag, and cut: /same once; /replaced and /stubborn once, and then another file is there, whose middle
        /stubborn gives to those who have the old one's beginning; /older, which is the old file, each time."""
        old = way == "older" or (first and way != "same")
        data, tag = (DATA[::-1], '"old"') if old else (DATA, '"new"')
        start = int(wanted[len("bytes=") : -1]) if wanted else 0
        if way != "stubborn" and self.headers["If-Range"] not in (None, tag):
            start = 0
        span = f"bytes {start}-{len(data) - 1}/{len(data)}" if start else None
        cut = 500_000 if first or way == "older" else None
        self.answer(206 if start else 200, data[start:], span=span, sent=cut, tag=tag)

    def answer(
        self,
        status: int,
        body: bytes,
        kind: str = "application/zip",
        span: str | None = None,
        sent: int | None = None,
        tag: str | None = None,
        told: bool = True,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if told:
            self.send_header("Content-Length", str(len(body)))
        if tag:
            self.send_header("ETag", tag)
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        self.wfile.write(body[:sent])

    def log_message(self, *arguments: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", 0.001)


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Fresh", (Handler,), {"asked": [], "stalled": threading.Event()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def site(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def asked(server: ThreadingHTTPServer) -> list[tuple[str, str | None]]:
    """The requests so far: path, and Range header."""
    return server.RequestHandlerClass.asked


def remote(*urls: str, checksum: str = MD5, size: int | None = len(DATA)) -> Remote:
    return Remote("data.zip", urls, checksum, size)


def test_a_whole_download(site: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(remote(f"{site}/whole"), tmp_path / "new/name", lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "new/name/data.zip"
    assert path.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert not path.with_name("data.zip.part").exists()


def test_what_is_there_is_not_downloaded(server: ThreadingHTTPServer, site: str, tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(DATA)
    assert fetch(remote(f"{site}/whole"), tmp_path) == tmp_path / "data.zip"
    assert asked(server) == []


def test_another_file_that_is_there_is_an_error_and_stays(
    server: ThreadingHTTPServer, site: str, tmp_path: Path
) -> None:
    (tmp_path / "data.zip").write_bytes(b"mine")
    with pytest.raises(
        UserError, match=r"data\.zip is not the official file: expected 3000000 bytes, found 4\. Delete"
    ):
        fetch(remote(f"{site}/whole"), tmp_path)
    assert (tmp_path / "data.zip").read_bytes() == b"mine"
    assert asked(server) == []


@pytest.mark.parametrize("size", [None, len(DATA)])
@pytest.mark.parametrize("checksum", ["", MD5, f"sha256:{hashlib.sha256(DATA).hexdigest()}"])
def test_checksum_and_size_may_be_unknown(site: str, tmp_path: Path, checksum: str, size: int | None) -> None:
    assert fetch(remote(f"{site}/whole", checksum=checksum, size=size), tmp_path).read_bytes() == DATA


def test_a_cut_connection_is_continued(server: ThreadingHTTPServer, site: str, tmp_path: Path) -> None:
    assert fetch(remote(f"{site}/cut"), tmp_path).read_bytes() == DATA
    assert asked(server) == [("/cut", None), ("/cut", "bytes=500000-")]


def test_a_part_outlives_the_call(server: ThreadingHTTPServer, site: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cut after 2000000 of 3000000 bytes.*Run this again to go on"):
        fetch(remote(f"{site}/always-cut"), tmp_path)
    assert (tmp_path / "data.zip.part").read_bytes() == DATA[:2_000_000]
    assert fetch(remote(f"{site}/whole"), tmp_path).read_bytes() == DATA
    assert asked(server)[-1] == ("/whole", "bytes=2000000-")


@pytest.mark.parametrize("size", [None, len(DATA)])
@pytest.mark.parametrize(
    ("way", "ranges"),
    [
        ("same", [None, "bytes=500000-"]),
        ("replaced", [None, "bytes=500000-"]),  # answered with the whole new file
        ("stubborn", [None, "bytes=500000-", None]),
        ("cut", [None, None]),  # it names no version
    ],
)
def test_without_a_checksum_two_versions_are_not_joined(
    server: ThreadingHTTPServer, site: str, tmp_path: Path, way: str, ranges: list[str | None], size: int | None
) -> None:
    path = fetch(remote(f"{site}/{way}", checksum="", size=size), tmp_path)
    assert path.read_bytes() == DATA
    assert [wanted for _, wanted in asked(server)] == ranges
    assert sorted(file.name for file in tmp_path.iterdir()) == [".data.zip.lock", "data.zip"]


def test_without_a_checksum_two_mirrors_are_not_joined(server: ThreadingHTTPServer, site: str, tmp_path: Path) -> None:
    older = f"{site}/older"
    assert fetch(remote(older, f"{site}/whole", checksum=""), tmp_path).read_bytes() == DATA
    assert asked(server)[-2:] == [("/older", "bytes=1500000-"), ("/whole", None)]


@pytest.mark.parametrize("way", ["missing", "message"])
def test_a_mirror_without_the_file_leaves_anothers_part(
    server: ThreadingHTTPServer, site: str, tmp_path: Path, way: str
) -> None:
    mirrors = Remote("data.zip", (f"{site}/older", f"{site}/{way}"), begins=DATA[:-5:-1])
    with pytest.raises(UserError, match="cut after 2000000 of 3000000 bytes"):
        fetch(mirrors, tmp_path)
    assert fetch(mirrors, tmp_path).read_bytes() == DATA[::-1]
    assert asked(server)[-2:] == [("/older", "bytes=2000000-"), ("/older", "bytes=2500000-")]


@pytest.mark.parametrize(
    "published",
    [Chairs3D.remote, PAINTING, MPI3DToy.remote, MPI3DReal.remote, MPI3DRealistic.remote, MPI3DComplex.remote],
    ids=lambda published: published.file_name,
)
def test_a_message_is_no_published_file(site: str, tmp_path: Path, published: Remote) -> None:
    """Nobody published a checksum of these, and the message comes as the file would."""
    assert not published.checksum
    with pytest.raises(UserError, match=r"expected (b'.*' at its beginning, found b'|\d+ bytes or more, found 27)"):
        fetch(replace(published, urls=(f"{site}/message",)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f".{published.file_name}.lock"]


def test_a_cut_that_nothing_tells_is_told_by_the_smallest_size(site: str, tmp_path: Path) -> None:
    cut = Remote("data.zip", (f"{site}/unsaid-cut",), smallest=500_001)
    with pytest.raises(UserError, match="expected 500001 bytes or more, found 500000"):
        fetch(cut, tmp_path)
    assert fetch(replace(cut, smallest=500_000), tmp_path).read_bytes() == DATA[:500_000]


def test_an_unknown_size_is_told_as_none(site: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch(Remote("data.zip", (f"{site}/unsaid",)), tmp_path, lambda done, total: seen.append((done, total)))
    assert seen[0] == (1 << 20, 0)
    assert seen[-1] == (len(DATA), 0)


def test_an_unknown_size_on_a_terminal_is_a_bar_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes any stream for a terminal then
    bar = Bar("data")
    with bar as progress:
        progress(3_000_000, 0)
    assert bar.progress is not None
    assert (bar.progress.tasks[0].completed, bar.progress.tasks[0].total) == (3_000_000, None)


def test_an_unknown_size_in_a_log_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "LINE_SECONDS", 0)
    with Bar("data") as progress:
        progress(3_000_000, 0)
    assert capsys.readouterr().err == "data: 3,000,000\n"


def test_a_server_without_ranges_starts_over(site: str, tmp_path: Path) -> None:
    (tmp_path / "data.zip.part").write_bytes(DATA[:1234])
    assert fetch(remote(f"{site}/no-range"), tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_complete_part_only_needs_its_name(
    server: ThreadingHTTPServer, site: str, tmp_path: Path, size: int | None
) -> None:
    """As a process leaves it that is killed between the last byte and the renaming."""
    (tmp_path / "data.zip.part").write_bytes(DATA)
    assert fetch(remote(f"{site}/whole", size=size), tmp_path).read_bytes() == DATA
    assert asked(server) == ([("/whole", "bytes=3000000-")] if size is None else [])


@pytest.mark.parametrize("part", [b"x" * 1000, DATA + b"more"])
@pytest.mark.parametrize("way", ["whole", "shifted"])
def test_a_part_that_does_not_fit_is_fetched_anew(site: str, tmp_path: Path, part: bytes, way: str) -> None:
    (tmp_path / "data.zip.part").write_bytes(part)
    assert fetch(remote(f"{site}/{way}"), tmp_path).read_bytes() == DATA


def test_a_busy_server_is_asked_again(server: ThreadingHTTPServer, site: str, tmp_path: Path) -> None:
    assert fetch(remote(f"{site}/busy"), tmp_path).read_bytes() == DATA
    assert len(asked(server)) == 2


def test_mirrors_in_turn(server: ThreadingHTTPServer, site: str, tmp_path: Path) -> None:
    ways = ["missing", "page", "other", "whole"]
    assert fetch(remote(*(f"{site}/{way}" for way in ways)), tmp_path).read_bytes() == DATA
    assert [path for path, _ in asked(server)] == [f"/{way}" for way in ways]


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("missing", "HTTP 404 Not Found"),
        ("page", "it gives an HTML page instead of the file"),
        ("disguised-page", "it gives an HTML page instead of the file"),
        ("other", f"expected md5 {MD5[4:]}, found {hashlib.md5(DATA[::-1]).hexdigest()}"),
        ("short", "it offers 1000 bytes, expected 3000000"),
    ],
)
def test_no_mirror_has_it(server: ThreadingHTTPServer, site: str, tmp_path: Path, way: str, reason: str) -> None:
    folder = tmp_path / "chairs"
    with pytest.raises(UserError) as caught:
        fetch(remote(f"{site}/{way}", f"{site}/{way}"), folder)
    message = str(caught.value)
    assert message.count(f"{site}/{way}: {reason}") == 2
    for part in ("data.zip", str(folder / "data.zip"), "disentangle-bench datasets prepare chairs --source PATH"):
        assert part in message
    assert len(asked(server)) == 2  # trying again would not help
    assert [path.name for path in folder.iterdir()] == [".data.zip.lock"]


def test_a_page_does_not_replace_a_part(site: str, tmp_path: Path) -> None:
    (tmp_path / "data.zip.part").write_bytes(DATA[:1234])
    with pytest.raises(UserError, match="HTML page"):
        fetch(remote(f"{site}/page"), tmp_path)
    assert (tmp_path / "data.zip.part").read_bytes() == DATA[:1234]


def test_a_refused_connection(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    (tmp_path / "data.zip.part").write_bytes(DATA[:1234])
    with pytest.raises(UserError, match=rf"{url}: connection refused"):
        fetch(remote(url), tmp_path)
    assert (tmp_path / "data.zip.part").read_bytes() == DATA[:1234]


def test_a_silent_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(UserError, match="timed out"):
        fetch(remote(f"http://127.0.0.1:{listening.getsockname()[1]}/x"), tmp_path)


def test_no_address(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"can't download data\.zip \(no address of it is known\)"):
        fetch(remote(), tmp_path)


CHILD = """
import resource, signal, sys
from pathlib import Path
from disentangle_bench.datasets.download import Remote, fetch
from disentangle_bench.errors import UserError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing past the limit is an OSError then
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
try:
    fetch(Remote("data.zip", (sys.argv[1],)), Path(sys.argv[2]))
except UserError as error:
    print(error)
"""


def test_a_full_disk(site: str, tmp_path: Path) -> None:
    """A process that may write no more than 1.5 MB to a file, in place of a disk without more space."""
    command = [sys.executable, "-c", CHILD, f"{site}/whole", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ)
    assert re.search(r"can't write .*data\.zip: file too large\. Free that place", ended.stdout), ended.stderr
    assert not (tmp_path / "data.zip").exists()
    assert fetch(remote(f"{site}/whole"), tmp_path).read_bytes() == DATA


def test_a_killed_process(server: ThreadingHTTPServer, site: str, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from disentangle_bench.datasets.download import Remote, fetch; "
    code += "fetch(Remote('data.zip', (sys.argv[1],)), Path(sys.argv[2]))"
    child = subprocess.Popen([sys.executable, "-c", code, f"{site}/stall", str(tmp_path)])
    part, end = tmp_path / "data.zip.part", time.monotonic() + 30
    while not (part.exists() and part.stat().st_size == 2 << 20) and time.monotonic() < end:
        time.sleep(0.01)
    child.kill()
    child.wait()
    server.RequestHandlerClass.stalled.set()
    assert part.read_bytes() == DATA[: 2 << 20]  # the whole blocks of what had come
    assert fetch(remote(f"{site}/whole"), tmp_path).read_bytes() == DATA
    assert asked(server)[-1] == ("/whole", f"bytes={2 << 20}-")


def test_check_of_a_local_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"
    path.write_bytes(DATA)
    check(path, remote())
    check(path, remote(checksum="", size=None))
    with pytest.raises(
        UserError, match=r"mine\.zip is not the official file data\.zip: expected 3 bytes, found 3000000\. Do it"
    ):
        check(path, remote(size=3), "Do it.")
    with pytest.raises(UserError, match=rf"expected sha256 0000, found {hashlib.sha256(DATA).hexdigest()}\. Delete it"):
        check(path, remote(checksum="sha256:0000"))
    with pytest.raises(UserError, match=r"missing\.zip can't be read: No such file"):
        check(tmp_path / "missing.zip", remote())
