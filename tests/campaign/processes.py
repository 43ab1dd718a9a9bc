"""The processes of a running command: which there are, which of them to hit, and that none is left behind."""

import os
import signal
import time
from pathlib import Path


def parents():
    """Each living process's parent, by process id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                status = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            if status[0] not in "ZX":
                found[int(folder.name)] = int(status[1])
    return found


def descendants(ancestor):
    """The ids of all living processes below one."""
    known, family = parents(), {ancestor}
    while more := {process for process, parent in known.items() if parent in family} - family:
        family |= more
    return family - {ancestor}


def command_of(process):
    """A process's command line, as `ps` shows it."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def of_kind(processes, kind):
    """Those among the processes that are a `raylet`, a `gcs_server`, or a `worker` at a trial."""
    marks = {"raylet": "/raylet/raylet ", "gcs": "gcs_server", "worker": "ray::"}
    return [process for process in sorted(processes) if marks[kind] in command_of(process) + " "]


def hit(process, which=signal.SIGKILL):
    """Send a signal, unless the process has just ended."""
    try:
        os.kill(process, which)
    except ProcessLookupError:
        return False
    return True


AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")  # Ray's own end a minute or so after the rest was killed


def gone(processes, seconds=60):
    """Wait until all of these but `AGENTS` have ended; the others are killed then. Whether none had to be."""
    end = time.monotonic() + seconds
    while alive := {each for each in processes & parents().keys() if not command_of(each).startswith(AGENTS)}:
        if time.monotonic() > end:
            for process in alive:
                hit(process)
            return False
        time.sleep(0.1)
    return True
