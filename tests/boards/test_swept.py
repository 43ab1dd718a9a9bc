"""A swept setting drawn: which rows are of one, on which axis, and what stands at each value."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from disentangle_bench.boards.leaderboard import seed_scores
from disentangle_bench.boards.leaderboard_pictures import write_pictures
from disentangle_bench.boards.picture import leaderboard_figure
from disentangle_bench.boards.swept import log_spaced, single_setting, swept_figure, swept_rows
from tests.boards.paper import stands_in_a_paper
from tests.boards.test_leaderboard import FACTS, board, record
from tests.helpers import ROOT


def swept(values, model="a", field="beta", seeds=3):
    """A trial a value and seed: the score is 0.1 at the first value, 0.2 at the second, with seeds 0.01 apart."""
    return [
        record(model, seed, 0.1 * place + 0.01 * seed, configuration=f"small({field}={value})")
        for place, value in enumerate(values, start=1)
        for seed in range(seeds)
    ]


def tables(records):
    return board(records)[0], seed_scores(records, FACTS)


@pytest.mark.parametrize(
    ("configuration", "found"),
    [
        ("small(beta=4)", ("beta", 4.0)),
        ("small(lr=1e-05)-changed", ("lr", 1e-5)),
        ("small", ("", None)),
        ("small(beta=4,lr=0.1)", ("", None)),
        ("small(optimiser=adam)", ("", None)),
    ],
)
def test_the_setting_is_read_from_the_configurations_name(configuration, found):
    assert single_setting(configuration) == found


def test_rows_of_a_sweep_are_those_of_a_model_with_several_values():
    records = [*swept([1, 4]), record("b"), *swept([0], "vae", "steps"), *swept(["1,lr=2", "2,lr=2"], "c")]
    rows = swept_rows(tables(records)[0])
    assert sorted(zip(rows["model"], rows["field"], rows["at"], strict=True)) == [("a", "beta", 1), ("a", "beta", 4)]
    assert swept_figure(*tables([record("b"), *swept([0], "vae", "steps")])) is None


@pytest.mark.parametrize(
    ("values", "found"),
    [([1, 2, 4, 8], True), ([1, 10, 100], True), ([1e-4, 3e-4, 1e-3], True), ([1, 2, 3, 4], False), ([0, 1, 10], False),
     ([-1, 1, 10], False), ([1, 4], False)],
)  # fmt: skip
def test_values_spaced_by_ratios_stand_on_a_logarithmic_axis(values, found):
    assert log_spaced(np.array(values, dtype=np.float64)) is found


def test_each_value_shows_its_seeds_its_mean_and_its_interval():
    figure = swept_figure(*tables(swept([8, 1, 2, 4])))  # in the study's order, drawn in that of the values
    [axis] = figure.axes
    assert axis.get_xscale() == "log"
    [bars] = [each for each in axis.containers if isinstance(each, ErrorbarContainer)]
    assert bars[0].get_xdata().tolist() == [1, 2, 4, 8]
    assert bars[0].get_ydata() == pytest.approx([0.21, 0.31, 0.41, 0.11])
    dots = np.concatenate([each.get_offsets() for each in axis.collections[:4]])
    assert dots[:3].tolist() == [pytest.approx([1, y]) for y in (0.20, 0.21, 0.22)]
    half = 4.302653 * 0.01 / np.sqrt(3)  # Student's t of two degrees of freedom
    ends = bars[2][0].get_segments()[0][:, 1]
    assert ends == pytest.approx([0.21 - half, 0.21 + half], abs=1e-6)
    assert axis.get_xlabel() == "beta, on dsprites"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "2", "4", "8"]
    stands_in_a_paper(figure)


def test_an_end_far_from_all_scores_is_a_word_and_not_a_line():
    [axis] = swept_figure(*tables(swept([1, 2]))).axes
    assert [text.get_text() for text in axis.texts] == ["ceiling 1 ↑"]
    assert axis.get_ylim()[1] < 0.5
    assert "floor" in axis.get_legend_handles_labels()[1]


def test_two_seeds_have_no_whisker():
    [axis] = swept_figure(*tables(swept([1, 2], seeds=2))).axes
    [bars] = [each for each in axis.containers if isinstance(each, ErrorbarContainer)]
    assert not any(len(segment) for segment in bars[2][0].get_segments())


def test_models_that_sweep_the_same_setting_share_a_panel():
    assert len(swept_figure(*tables([*swept([1, 2]), *swept([1, 2], "b")])).axes) == 1
    assert len(swept_figure(*tables([*swept([1, 2]), *swept([1, 2], "b", "gamma")])).axes) == 2


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_leaderboards_pictures_are_written_beside_one_another(tmp_path, suffix):
    files = write_pictures(*tables(swept([1, 2])), tmp_path / f"board{suffix}")
    assert [file.name for file in files] == [f"board{suffix}", f"board-sweep{suffix}"]
    assert all(file.stat().st_size > 1_000 for file in files)
    assert write_pictures(*tables([record(status="failed")]), tmp_path / "none.png") == []


def test_the_mini_studys_picture_stands_in_a_paper():
    table, seeds = (pd.read_csv(ROOT / "results/mini" / name) for name in ("leaderboard.csv", "scores.csv"))
    stands_in_a_paper(leaderboard_figure(table, seeds))
    one = table[(table["metric"] == "mig") & (table["protocol"] == "robust")]
    stands_in_a_paper(leaderboard_figure(one, seeds))
