"""Fixtures that several test files share."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from disentangle_bench import registry
from disentangle_bench.datasets import load
from disentangle_bench.trials.records import Workspace
from tests.helpers import PLUGINS, ROOT, command_line, environment

CUDA = torch.cuda.is_available()  # before a test hides the devices: CUDA looks for them once


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without a GPU its tests are skipped."""
    if item.get_closest_marker("gpu") is not None and not CUDA:
        pytest.skip("torch sees no CUDA device")


@pytest.fixture(autouse=True)
def as_on_every_machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that isn't for a GPU sees none, in this process and those that it starts."""
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """A root with dsprites prepared: DISENTANGLE_BENCH_DATA, else the repository's `datasets/`, kept between runs."""
    root = Path(os.environ.get("DISENTANGLE_BENCH_DATA") or ROOT / "datasets").absolute()
    load("dsprites", root)
    return root


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A fresh workspace in which the plugin dataset `tiny` and the plugin models `faulty` and `turns` are known."""
    for plugin in PLUGINS:
        registry.load_plugin(plugin)
    return Workspace(tmp_path / "results", tmp_path / "data", PLUGINS)


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `disentangle-bench ARGS` as a user would, with the plugins and a results folder of its own."""

    def run(*arguments: str, plugins: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command_line(tmp_path, *arguments, plugins=plugins), capture_output=True, text=True, timeout=timeout,
            cwd=tmp_path, env=environment(tmp_path),
        )  # fmt: skip

    return run
