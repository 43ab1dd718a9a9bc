"""One JSON file a trial, written whole or not at all; every table is derived from them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from disentangle_bench import __version__
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.codes import read_codes
from disentangle_bench.files import Lock, make_folder, read_checked, write_checked
from disentangle_bench.trials.spec import TrialSpec

Status = Literal["finished", "diverged", "failed"]


class Record(BaseModel):
    """What one trial was and what came of it.

    codes_sha256: of the file of its codes. image_shape: (C, H, W), and classes: of the dataset. evaluated: (images
    encoded, images in the dataset).
    scores: {metric: {protocol: {key: value} or {"skip": reason}}}, from the last checkpoint; byte-equal for the same
    trial on the same machine. scores_along: [{step, scores}], where they were asked for. metric_sources: sha256 of the
    file of each plugin's metric. plugin: the name of the file that the model came from, if a plugin's. engine:
    how its steps were computed, and why no faster. log_failures: of loggers, which cost the trial nothing.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    id: str = Field(pattern=r"^[A-Za-z0-9]+$")  # the name of its folder
    spec: TrialSpec
    status: Status
    cause: str | None = None
    traceback: str | None = None
    paper: str = ""
    code_source: str = ""
    plugin: str | None = None
    code_width: int | None = None
    codes_sha256: str | None = None
    image_shape: tuple[int, int, int] | None = None
    classes: int = 0
    evaluated: tuple[int, int] | None = None
    parameters: dict[str, int] = {}
    scores: dict[str, dict[str, dict[str, Any]]] = {}
    scores_along: list[dict[str, Any]] = []
    metric_sources: dict[str, str] = {}
    diagnostics: dict[str, float] = {}
    environment: dict[str, str] = {}
    seconds: dict[str, float] = {}
    engine: str = ""
    log_failures: list[str] = []

    def canonical_scores(self) -> str:
        """The scores block as it is compared: JSON with sorted keys."""
        return json.dumps(self.scores, sort_keys=True)


@dataclass(frozen=True)
class Workspace:
    """Where things are on this machine: nothing in it is part of a trial's identity.

    results: holds `runs/<trial id>/`, one folder a trial, and one folder a study.
    data: the data root. plugins: files or modules to load before a name is looked up.
    """

    results: Path
    data: Path
    plugins: tuple[str, ...] = ()

    def trial(self, id: str) -> Path:
        """A trial's folder."""
        return self.results / "runs" / id

    def record(self, id: str) -> Path:
        """A trial's record."""
        return self.trial(id) / "record.json"

    def study(self, name: str) -> Path:
        """A study's folder."""
        return self.results / name

    def lock(self, id: str) -> Lock:
        """The lock that a process holds while it works on a trial; the kernel frees it when the process dies."""
        return self.lock_of(self.trial(id))

    def lock_of(self, folder: Path) -> Lock:
        """The lock of a trial's or a study's folder."""
        make_folder(folder)
        if not os.access(folder, os.W_OK):
            raise UserError(f"{folder} can't be written; mend its rights, or choose another place with --results.")
        return Lock(folder / "lock")

    def plugin_paths(self) -> tuple[str, ...]:
        """The plugins as absolute paths where they are files, so that a worker in another folder finds them."""
        return tuple(str(Path(p).expanduser().resolve()) if p.endswith(".py") else p for p in self.plugins)


def results_root(root: str | Path | None = None) -> Path:
    """Where results are: `root`, else DISENTANGLE_BENCH_RESULTS, else ./results."""
    return Path(root or os.environ.get("DISENTANGLE_BENCH_RESULTS") or "results").expanduser()


def write_record(path: Path, record: Record) -> None:
    """Write a trial's record."""
    write_checked(path, record.model_dump(mode="json"))


def read_record(path: Path) -> Record:
    """A trial's record; `UserError` where the file is damaged or of another format. Older ones have no checksum."""
    try:
        return Record.model_validate_json(read_checked(path)[0])
    except ValueError as error:  # pydantic's are of this kind, too
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"record {path} is damaged or of another format ({where}: {first['msg']}); "
            "delete it and run the study again: the trial is scored anew from its checkpoint."
        ) from error


def stored_codes(record: Record, workspace: Workspace) -> np.ndarray:
    """A finished trial's stored codes, float32 (M, D); `UserError` where they are gone, or not what was recorded."""
    return read_codes(workspace.trial(record.id) / "codes.npy", record.codes_sha256)


def read_records(workspace: Workspace, ids: list[str]) -> Iterator[Record]:
    """The records that exist among these trials."""
    for id in ids:
        path = workspace.record(id)
        if path.exists():
            yield read_record(path)


def environment() -> dict[str, str]:
    """What a result was made with: versions and kind of machine."""
    import torch

    packages = ("torch", "numpy", "scikit-learn")
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": machine,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        **{package: version(package) for package in packages},
        "disentangle-bench": __version__,  # it may not be installed
    }
