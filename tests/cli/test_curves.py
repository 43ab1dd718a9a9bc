"""`curves` as a user meets it, on a small study."""

import pandas as pd
import pytest

from tests.helpers import call_command


def test_a_picture_and_the_numbers_beside_the_study(swept):
    done = call_command(swept, "curves", "s")
    assert done.returncode == 0, done.stderr
    place = swept / "results" / "s"
    assert (place / "curves.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(place / "curves.csv")
    assert set(table["seed"]) == {0, 1, 2}
    assert set(table.loc[table["curve"].str.startswith("loss/"), "step"]) == {2, 4, 6}
    assert done.stdout.split() == ["curves", str(place / "curves.csv"), "curves", str(place / "curves.png")]


def test_the_studys_own_numbers_are_whole_whatever_is_drawn(swept, tmp_path):
    for words in ([], ["--metric", "kl"], ["--metric", "kl", "--out", str(tmp_path / "kl.csv")]):
        assert call_command(swept, "curves", "s", *words).returncode == 0
    assert "loss/vae" in set(pd.read_csv(swept / "results/s/curves.csv")["curve"])
    assert set(pd.read_csv(tmp_path / "kl.csv")["curve"].str[:3]) == {"kl_"}


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_the_names_end_is_the_kind_of_file(swept, tmp_path, suffix, begin):
    files = [tmp_path / f"{which}{suffix}" for which in "ab"]
    for file in files:
        done = call_command(swept, "curves", "s", "--metric", "loss", "--out", str(file))
        assert done.returncode == 0, done.stderr
    assert files[0].read_bytes().startswith(begin)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--metric", "los"], "unknown curve of the study's trials: 'los'. Did you mean 'loss'?"),
        (["--models", "beta-va"], "unknown model of study 's': 'beta-va'. Did you mean"),
        (["--out", "a.gif"], "--out a.gif: end the name with .csv, or, for a picture, with .png, .svg, .pdf."),
    ],
)
def test_mistakes_are_sentences(swept, words, sentence):
    done = call_command(swept, "curves", "s", *words)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
