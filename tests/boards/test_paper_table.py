"""A leaderboard as papers print it: what stands in it, what is bold, and that no name is read as a command."""

import re
import shutil
import subprocess

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentangle_bench.boards.formats import as_text, latex_text, markdown_text
from disentangle_bench.boards.leaderboard import MetricFacts
from disentangle_bench.boards.paper_table import of_columns, of_scores, paper_tables
from disentangle_bench.boards.published import PUBLISHED_COLUMNS
from disentangle_bench.errors import UserError
from tests.boards.test_leaderboard import PUBLISHED, board, record
from tests.helpers import ROOT

SPREAD = (-0.02, -0.01, 0.0, 0.01, 0.02)  # of five seeds: Student's t interval is ± 0.0196


def study(**means):
    """Five seeds of each model around its mean."""
    return [record(m.replace("_", "-"), s, mean + d) for m, mean in means.items() for s, d in enumerate(SPREAD)]


def only(records, columns=(), **more):
    [table] = paper_tables(board(records, **more)[0], columns)
    return table


def texts(rows):
    return [[cell.text for cell in row] for row in rows]


def bold(table):
    return [row[0].text for row in table.models if any(cell.bold for cell in row)]


def test_a_row_a_model_the_mean_with_half_its_interval_and_the_ends_below():
    table = only(study(ib_gan=0.5, gan=0.3))
    assert (table.groups, table.columns) == ([("", 1), ("kim ↑", 1)], ["model", "mean"])
    assert texts(table.models) == [["ib-gan", "0.500 ± 0.020"], ["gan", "0.300 ± 0.020"]]
    assert texts(table.ends) == [["ceiling", "1.000"], ["floor", "0.200"]]
    assert table.note.startswith("protocol robust; seeds: 5 a model; ±: half the width")


def test_bold_are_those_to_which_no_other_is_significantly_better():
    assert bold(only(study(a=0.500, b=0.495, c=0.3))) == ["a", "b"]
    low = {"kim": MetricFacts(("score",), False, ("robust",))}
    assert bold(only(study(a=0.500, b=0.495, c=0.3), facts=low)) == ["c"]
    assert only(study(a=0.5), facts=low).groups[1] == ("kim ↓", 1)


def test_where_nothing_was_compared_nothing_is_bold():
    assert bold(only(study(a=0.5))) == []
    few = only([record(m, s, 0.5 + s) for m in "ab" for s in range(2)])
    assert bold(few) == []
    assert texts(few.models) == [["a", "1.000"], ["b", "1.000"]]
    assert "no ±: it needs 3 seeds" in few.note
    assert "bold" not in few.note


def test_a_published_value_stands_beside_and_names_its_source():
    table = only(study(ib_gan=0.5, gan=0.3), published=pd.DataFrame([PUBLISHED], columns=PUBLISHED_COLUMNS))
    assert table.groups[1] == ("kim ↑", 2)
    assert texts(table.models) == [["ib-gan", "0.500 ± 0.020", "0.800 ± 0.070"], ["gan", "0.300 ± 0.020", "–"]]
    assert "published: a paper" in table.note


def test_seeds_that_failed_are_in_the_note():
    table = only([*study(a=0.5, b=0.3), record("a", 9, status="failed")])
    assert "seeds: a 5 and 1 that failed or diverged, which are in no mean, b 5;" in table.note


def test_a_score_that_is_missing_has_its_reason():
    table = only([*study(a=0.5), *[record("b", s, "one factor only") for s in range(5)]])
    assert texts(table.models)[1] == ["b", "–"]
    assert "no score: one factor only" in table.note


def test_columns_are_chosen_by_name_those_of_the_model_stand_once():
    records = study(a=0.5, b=0.3)
    for each in records:
        each.scores["lim"] = {"fast": {"score": 123.456}}
    facts = {
        name: MetricFacts(("score",), True, (protocol,)) for name, protocol in (("kim", "robust"), ("lim", "fast"))
    }
    table = only(records, ["steps", "median", "rank"], facts=facts)
    assert table.columns == ["model", "steps", "median", "rank", "median", "rank"]
    assert table.groups == [("", 2), ("kim robust ↑", 2), ("lim fast ↑", 2)]
    assert texts(table.models)[0] == ["a", "9", "0.500", "1", "123.5", "1"]
    assert "±" not in table.note


def test_scores_are_chosen_by_name_in_the_order_of_the_names():
    table = pd.read_csv(ROOT / "results/mini/leaderboard.csv")

    def found(*names):
        rows = of_scores(table, names)
        return list(dict.fromkeys(rows["metric"] + "/" + rows["protocol"] + "/" + rows["key"]))

    assert found("mig", "factor-vae/robust") == ["mig/robust/score", "factor-vae/robust/score"]
    assert found("dci/robust/completeness") == ["dci/robust/completeness"]
    assert found("factor-vae/robust", "factor-vae") == ["factor-vae/robust/score", "factor-vae/locatello/score"]
    assert len(of_scores(table, [])) == len(table)
    with pytest.raises(UserError, match=r"unknown score of the leaderboard: 'factor-va'\. Did you mean 'factor-vae'"):
        found("factor-va")


@pytest.mark.parametrize("name", ["men", "metric"])
def test_a_column_that_is_none_or_stands_in_the_headings_is_a_mistake(name):
    with pytest.raises(UserError, match=f"unknown column of the leaderboard: '{name}'"):
        only(study(a=0.5), [name])
    assert of_columns(board(study(a=0.5))[0], ["metric", "mean"]).shape == (3, 2)


def test_two_configurations_of_one_model_are_two_rows_told_apart():
    records = [record("a", s, v, configuration=c) for s in range(2) for c, v in (("small", 0.4), ("dsprites", 0.2))]
    assert [row[0] for row in texts(only(records).models)] == ["a small", "a dsprites"]


def test_markdown():
    lines = as_text(board(study(ib_gan=0.5, gan=0.3))[0], "md").splitlines()
    assert lines[:6] == [
        "**dsprites**", "", "| model | kim ↑ |", "| --- | ---: |", "| ib-gan | **0.500 ± 0.020** |",
        "| gan | 0.300 ± 0.020 |",
    ]  # fmt: skip


def test_latex():
    lines = as_text(board(study(ib_gan=0.5, gan=0.3))[0], "latex").splitlines()
    assert r"\begin{tabular}{lr}" in lines
    assert r"model & kim $\uparrow$ \\" in lines
    assert r"ib-gan & \textbf{0.500 $\pm$ 0.020} \\" in lines
    assert [line for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\midrule", r"\bottomrule"]


def test_latex_puts_a_scores_columns_under_one_heading():
    lines = as_text(board(study(ib_gan=0.5, gan=0.3))[0], "latex", ["steps", "mean", "seeds"]).splitlines()
    assert r"\begin{tabular}{llrr}" in lines
    assert r" &  & \multicolumn{2}{c}{kim $\uparrow$} \\" in lines
    assert r"\cmidrule(lr){3-4}" in lines
    assert r"ib-gan & 9 & \textbf{0.500 $\pm$ 0.020} & 5 \\" in lines


def test_many_columns_stand_across_the_page():
    table = board(study(a=0.5, b=0.3))[0]
    four, five = (as_text(table, "latex", ["mean", "sd", "min", "max", "seeds"][:count]) for count in (4, 5))
    assert r"\begin{table}" in four
    assert r"\begin{table*}" in five
    assert r"\end{table*}" in five


def test_each_dataset_has_a_table():
    records = study(a=0.5)
    others = [each.model_copy(update={"spec": each.spec.model_copy(update={"dataset": "tiny"})}) for each in records]
    assert as_text(board([*records, *others])[0], "latex").count(r"\begin{table}") == 2


def test_names_that_mean_something_elsewhere_mean_nothing_here():
    assert latex_text(r"a_b & 50% $x^2$ {~} #1 \input{x} <s>") == (
        r"a\_b \& 50\% \$x\textasciicircum{}2\$ \{\textasciitilde{}\} \#1 \textbackslash{}input\{x\} "
        r"\textless{}s\textgreater{}"
    )
    assert markdown_text("a|b <script> *x* `y` [z](u)\nw_x") == r"a\|b \<script\> \*x\* \`y\` \[z\](u) w\_x"


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_no_text_ends_a_row_or_opens_a_group(text):
    latex = latex_text(text)
    bare = re.sub(r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}", "", latex)
    bare = re.sub(r"\{([\[\]*])\}|\\[{}$&#_%]", "", bare)
    assert not re.search(r"[\\{}$&#_%~^<>|\n]", bare)
    assert not re.search(r"(?<!\\)[|<>*_`\[\]~$#&\n]", markdown_text(text).replace(r"\\", ""))


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("pdflatex") and not shutil.which("tectonic"),
    reason="neither pdflatex nor tectonic is here: the LaTeX of tables is checked by its structure alone",
)
def test_latex_compiles(tmp_path):
    mini = pd.read_csv(ROOT / "results/mini/leaderboard.csv", dtype={"rank": "Int64"})
    odd = board([record(r"[a_b&50%$x^2${~}#1\input{x}<s>*", s, 0.5 + d) for s, d in enumerate(SPREAD)])[0]
    body = as_text(mini, "latex") + as_text(odd, "latex", ["steps", "mean", "ci95_t", "skipped"])
    (tmp_path / "t.tex").write_text(
        "\\documentclass[twocolumn]{article}\n\\usepackage{booktabs}\n\\begin{document}\n" + body + "\\end{document}\n"
    )
    words = ["tectonic", "t.tex"] if shutil.which("tectonic") else ["pdflatex", "-halt-on-error", "t.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / "t.pdf").exists()
