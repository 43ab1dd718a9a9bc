"""`leaderboard` as a user meets it: its formats and files, on a small study that sweeps one setting."""

import io

import pandas as pd
import pytest

from tests.helpers import call_command


def leaderboard(folder, *words):
    done = call_command(folder, "leaderboard", "s", *map(str, words))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_sweep_has_its_picture_beside_the_leaderboards(swept):
    assert ", and pictures beside it" in leaderboard(swept)
    place = swept / "results" / "s"
    assert {path.name for path in place.glob("leaderboard*.png")} == {"leaderboard.png", "leaderboard-sweep.png"}


def test_a_format_prints_the_table_and_nothing_else(swept):
    markdown = leaderboard(swept, "--format", "md", "--metric", "mig").splitlines()
    assert markdown[:4] == ["**tiny**", "", "| model | mig ↑ |", "| --- | ---: |"]
    assert {line.split(" | ")[0] for line in markdown[4:6]} == {"| beta-vae(beta=1)", "| beta-vae(beta=4)"}
    latex = leaderboard(swept, "--format", "latex", "--columns", "mean,seeds")
    assert latex.startswith(r"\begin{table}")
    assert r"\multicolumn{2}{c}{mig $\uparrow$}" in latex
    table = pd.read_csv(io.StringIO(leaderboard(swept, "--format", "csv", "--columns", "model,metric,mean")))
    assert list(table.columns) == ["model", "metric", "mean"]
    assert set(table["metric"]) == {"mig", "sap"}


def test_the_files_name_is_its_format(swept, tmp_path):
    for name, begin in (("t.md", "**tiny**"), ("t.tex", r"\begin{table}")):
        assert leaderboard(swept, "--out", tmp_path / name) == f"table  {tmp_path / name}\n"
        assert (tmp_path / name).read_text().startswith(begin)
    leaderboard(swept, "--format", "latex", "--out", tmp_path / "t.inc")
    assert (tmp_path / "t.inc").read_text() == (tmp_path / "t.tex").read_text()
    shown = leaderboard(swept, "--out", tmp_path / "p.svg").splitlines()
    assert shown == [f"picture  {tmp_path / 'p.svg'}", f"picture  {tmp_path / 'p-sweep.svg'}"]


def test_a_csv_of_some_scores_leaves_the_studys_own_as_it_is(swept, tmp_path):
    leaderboard(swept)
    whole = (swept / "results/s/leaderboard.csv").read_bytes()
    leaderboard(swept, "--out", tmp_path / "t.csv", "--metric", "sap")
    assert set(pd.read_csv(tmp_path / "t.csv")["metric"]) == {"sap"}
    assert set(pd.read_csv(tmp_path / "t-scores.csv")["metric"]) == {"sap"}
    shown = leaderboard(swept, "--metric", "sap/robust")
    assert "sap · robust" in shown
    assert "mig" not in shown
    assert (swept / "results/s/leaderboard.csv").read_bytes() == whole


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--format", "tex"], "--format tex: choose one of csv, md, latex."),
        (["--out", "t.gif"], "--out t.gif: end the name with one of .csv, .md, .tex, .png, .svg, .pdf"),
        (["--format", "latex", "--out", "t.md"], "the two are of different kinds; end the name with .tex."),
        (["--columns", "mean"], "--columns mean: give the table's --format"),
        (["--format", "md", "--columns", "men"], "unknown column of the leaderboard: 'men'. Did you mean 'mean'?"),
        (["--metric", "mgi"], "unknown score of the leaderboard: 'mgi'. Did you mean 'mig'?"),
    ],
)
def test_mistakes_are_sentences_and_write_nothing(swept, words, sentence):
    done = call_command(swept, "leaderboard", "s", *words)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert not list(swept.glob("t.*"))
