"""Fixtures that several test files share."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import hypothesis
import pytest
import torch

from disentangle_bench import registry
from disentangle_bench.datasets import load
from disentangle_bench.trials.records import Workspace
from tests.helpers import PLUGINS, ROOT, Done, call_command, run_command

# A shell's background job ignores Ctrl-C, and so would all programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("untimed", deadline=None)  # the machine may be busy
hypothesis.settings.load_profile("untimed")

CUDA = torch.cuda.is_available()  # before a test hides the devices: CUDA looks for them once


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that start Ray run in one worker of pytest-xdist, one after the other: each takes all cores and 1 GB.

    The other worker meanwhile has the rest, so the Ray tests, which mostly wait, cost hardly any time of their own; a
    second call of pytest for them would add all of it.
    """
    for item in items:
        if item.get_closest_marker("slow") is not None and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(3600))  # the machine may be busy
        if item.get_closest_marker("ray") is not None:
            item.add_marker(pytest.mark.xdist_group("ray"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last line counts what fault campaigns did, as each of their tests noted it: `20 files damaged`."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "campaign" and report.when == "call":
                number, _, what = str(value).partition(" ")
                counts[what] += int(number)
    if counts:
        terminalreporter.write_line("campaign: " + ", ".join(f"{n} {what}" for what, n in counts.items()))


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
def command(tmp_path: Path) -> Callable[..., Done]:
    """Calls `disentangle-bench ARGS` in this process, with the plugins and a results folder of its own."""
    return partial(call_command, tmp_path)


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Done]:
    """The same in a process of its own."""
    return partial(run_command, tmp_path)
