"""What several commands are tried on."""

from pathlib import Path

import pytest

from tests.helpers import call_command

RUN = ("run", "--models", "beta-vae", "--dataset", "tiny", "--seeds", "0-2", "--name", "s", "--local")
SETTINGS = ("steps=6", "intervals.log=2", "sweep.beta-vae.beta=[1, 4]", "metrics={mig: [robust], sap: [robust]}")


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of a small study `s` that sweeps one setting."""
    folder = tmp_path_factory.mktemp("swept")
    done = call_command(folder, *RUN, *(word for setting in SETTINGS for word in ("--set", setting)))
    assert done.returncode == 0, done.stderr
    return folder
