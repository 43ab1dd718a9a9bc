"""`curves` as a user meets it, on a study that was trained for a moment."""

import pandas as pd
import pytest

from tests.helpers import call_command

RUN = ("run", "--models", "vae", "--dataset", "tiny", "--seeds", "0-2", "--name", "few", "--local")
SETTINGS = ("--set", "steps=6", "--set", "intervals.log=2", "--set", "metrics={}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A results root that holds a study of three seeds."""
    folder = tmp_path_factory.mktemp("curves")
    done = call_command(folder, *RUN, *SETTINGS)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_picture_and_the_numbers_beside_the_study(folder):
    done = call_command(folder, "curves", "few")
    assert done.returncode == 0, done.stderr
    place = folder / "results" / "few"
    assert (place / "curves.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(place / "curves.csv")
    assert set(table["seed"]) == {0, 1, 2}
    assert set(table.loc[table["curve"].str.startswith("loss/"), "step"]) == {2, 4, 6}
    assert done.stdout.split() == ["curves", str(place / "curves.csv"), "curves", str(place / "curves.png")]


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_the_names_end_is_the_kind_of_file(folder, tmp_path, suffix, begin):
    files = [tmp_path / f"{which}{suffix}" for which in "ab"]
    for file in files:
        done = call_command(folder, "curves", "few", "--metric", "loss", "--out", str(file))
        assert done.returncode == 0, done.stderr
    assert files[0].read_bytes().startswith(begin)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--metric", "los"], "unknown curve of the study's trials: 'los'. Did you mean 'loss'?"),
        (["--models", "vea"], "unknown model of study 'few': 'vea'. Did you mean 'vae'?"),
        (["--out", "a.gif"], "a.gif: a picture is written as .png, .svg or .pdf; choose one."),
    ],
)
def test_mistakes_are_sentences(folder, words, sentence):
    done = call_command(folder, "curves", "few", *words)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
