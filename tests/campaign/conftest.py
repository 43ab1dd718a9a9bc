"""What an undisturbed run of the campaign's study gives."""

import pytest

from tests.campaign.study import STUDY, outcome
from tests.helpers import run_command


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Scores and codes of all trials."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run_command(folder, *STUDY, "--local")
    assert done.returncode == 0, done.stderr
    scores, codes = outcome(folder)
    assert (len(scores), len(codes)) == (6, 6)
    return scores, codes
