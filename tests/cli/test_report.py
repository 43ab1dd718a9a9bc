"""`report` as a user meets it."""

from pathlib import Path

import pytest

from disentangle_bench.trials.records import Workspace
from tests.boards.studies import made_up
from tests.helpers import call_command


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder whose results hold a study of two models."""
    folder = tmp_path_factory.mktemp("report")
    made_up(Workspace(folder / "results", folder / "data"), ["a", "b"], 3, name="pair")
    return folder


def report(folder, *words):
    return call_command(folder, "report", *words, plugins=False)


def test_it_says_where_it_wrote_and_what_is_missing_and_writes_again(folder):
    for _ in range(2):
        done = report(folder, "pair")
        assert done.returncode == 0, done.stderr
        assert f"report  {folder / 'results/pair/report.html'}, " in done.stdout
        assert "missing  No floors and ceilings on dsprites-32: " in done.stdout
        assert "missing  No pictures of 6 of 6 finished trials: their files are not here." in done.stdout
    assert (folder / "results/pair/report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_out_names_another_file_in_a_folder_that_is_made(folder, tmp_path):
    done = report(folder, "pair", "--out", str(tmp_path / "new" / "page.html"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "page.html").stat().st_size > 50_000


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pear"], "'pear'. Did you mean 'pair'?"),
        (["pair", "--results", "nowhere"], "unknown study under nowhere: 'pair'"),
        (["pair", "--out", "results"], "results can't be written"),
    ],
)
def test_mistakes_are_sentences(folder, words, sentence):
    done = report(folder, *words)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
