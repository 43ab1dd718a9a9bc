"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

from disentangle_bench.datasets import load


@pytest.fixture(scope="session")
def data_root() -> Path:
    """A root with dsprites prepared: DISENTANGLE_BENCH_DATA, else the repository's `datasets/`, kept between runs."""
    root = Path(os.environ.get("DISENTANGLE_BENCH_DATA") or Path(__file__).parents[1] / "datasets").absolute()
    load("dsprites", root)
    return root
