"""Pairs of models: what each column holds, what is corrected together, and what few seeds can't show."""

import math

import numpy as np
import pandas as pd
import pytest

from disentangle_bench.boards.compare import COLUMNS, comparison, each_table, seeds_needed
from disentangle_bench.boards.leaderboard import MetricFacts
from disentangle_bench.boards.statistics import holm
from disentangle_bench.boards.study_leaderboard import facts_of
from disentangle_bench.boards.tables import write_csv
from disentangle_bench.errors import UserError
from disentangle_bench.trials.records import read_record
from tests.boards.test_leaderboard import FACTS, record
from tests.helpers import MINI_RECORDS

A, B, C = (0.5, 0.6, 0.7, 0.8, 0.9), (0.4, 0.45, 0.5, 0.55), (0.1, 0.2, 0.3, 0.4)


def records(**samples):
    return [record(model, seed, value) for model, values in samples.items() for seed, value in enumerate(values)]


def compared(*given, facts=FACTS, models=()):
    return comparison([each for some in given for each in some], facts, models, np.random.default_rng(0))


@pytest.fixture(scope="module")
def mini():
    """Kim's score of the mini study: eight models, five seeds each."""
    found = [read_record(path) for path in sorted(MINI_RECORDS.glob("*.json"))]
    return comparison(found, {"factor-vae": facts_of("factor-vae", ["robust"])}, (), np.random.default_rng(0))


def test_a_pair_by_hand():
    [row] = compared(records(a=A, b=B)).to_dict("records")
    assert (row["model_a"], row["model_b"], row["seeds_a"], row["seeds_b"]) == ("a", "b", 5, 4)
    assert (row["mean_a"], row["mean_b"], row["difference"]) == pytest.approx((0.7, 0.475, 0.225))
    assert row["sd_a"] == pytest.approx(math.sqrt(0.025))
    assert (row["ci95_welch_low"], row["ci95_welch_high"]) == pytest.approx((0.0307316, 0.4192684))  # see test_welch
    assert row["p_welch"] == pytest.approx(0.0302862, rel=1e-4)
    assert row["chance_a_better"] == (2.5 + 4 * 4) / 20  # 0.5 is above two of B and ties with one; the others above all
    # of the 126 splits, three have four numbers whose sum is B's 1.9 or less: .4 .45 .5 .5, and .4 .45 .55 with a .5
    assert row["p_permutation"] == pytest.approx(2 * 3 / 126)
    assert row["exact"]
    assert row["smallest_p_holm"] == pytest.approx(2 / 126)
    assert row["seeds_for_power_80"] == 7


def test_a_is_the_better_of_two_unless_models_are_named():
    assert compared(records(b=B, a=A))[["model_a", "model_b"]].to_numpy().tolist() == [["a", "b"]]
    [named] = compared(records(a=A, b=B), models=["b", "a"]).to_dict("records")
    assert (named["model_a"], named["difference"]) == ("b", pytest.approx(-0.225))
    lower = {"kim": MetricFacts(("score",), False, ("robust",))}
    [turned] = compared(records(a=A, b=B), facts=lower).to_dict("records")
    assert (turned["model_a"], turned["better"]) == ("b", "lower")
    assert turned["chance_a_better"] == 18.5 / 20


def test_p_values_are_corrected_within_one_table():
    three = records(a=A, b=B, c=C)
    others = [each.model_copy(update={"spec": each.spec.model_copy(update={"dataset": "tiny"})}) for each in three]
    table = compared(three, others)
    assert len(table) == 6
    for _, group in each_table(table):
        for name in ("p_permutation", "p_welch"):
            assert group[f"{name}_holm"].tolist() == holm(group[name]).tolist()
    two = compared(three, models=["a", "b"])
    assert two["p_welch_holm"].tolist() == two["p_welch"].tolist(), "fewer models, fewer pairs"


def test_failures_are_counted_and_in_no_number():
    failed = [record("a", 7, status="failed"), record("a", 8, status="diverged"), record("b", 9, status="failed")]
    with_them, without = compared(records(a=A, b=B), failed), compared(records(a=A, b=B))
    assert with_them[["failures_a", "failures_b"]].to_numpy().tolist() == [[2, 1]]
    columns = [name for name in COLUMNS if not name.startswith("failures")]
    pd.testing.assert_frame_equal(with_them[columns], without[columns])


def test_a_model_without_a_score_has_its_row_and_no_p():
    [row] = compared(records(a=A), [record("b", 0, status="failed")]).to_dict("records")
    assert (row["seeds_b"], row["failures_b"]) == (0, 1)
    assert pd.isna([row[name] for name in ("difference", "p_permutation", "p_permutation_holm", "p_welch")]).all()


def test_two_seeds_have_a_permutation_p_and_no_interval():
    [row] = compared(records(a=A[:2], b=B[:2])).to_dict("records")
    assert row["p_permutation"] == row["smallest_p_holm"] == pytest.approx(2 / 6)
    assert pd.isna([row[name] for name in ("ci95_welch_low", "p_welch", "p_welch_holm", "seeds_for_power_80")]).all()


@pytest.mark.parametrize(("pairs", "seeds"), [(1, 4), (3, 5), (6, 5), (7, 6), (28, 7)])
def test_the_seeds_with_which_a_permutation_test_can_reach_5_per_cent(pairs, seeds):
    """2 / (2n choose n) times the pairs: 0.029 of 4 seeds, 0.0079 of 5, 0.0022 of 6, 0.00058 of 7."""
    assert seeds_needed(pairs) == seeds


def test_the_mini_studys_golden_values(mini):
    assert len(mini) == 28
    row = mini.set_index(["model_a", "model_b"]).loc[("ib-gan", "gan")]
    expected = {
        "difference": 0.21832, "ci95_welch_low": 0.133904, "ci95_welch_high": 0.302736, "chance_a_better": 1.0,
        "p_permutation": 2 / 252, "p_permutation_holm": 56 / 252, "smallest_p_holm": 56 / 252, "p_welch": 0.00036,
        "p_welch_holm": 0.0101, "seeds_for_power_80": 3,
    }  # fmt: skip
    assert row[list(expected)].astype(float).to_dict() == pytest.approx(expected, rel=0.01)
    assert (mini["p_welch_holm"] <= 0.05).sum() == 3
    assert (mini["p_permutation_holm"] > 0.05).all(), "28 pairs of five seeds can't"


def test_two_samples_of_many_seeds_are_split_by_the_generator(mini):
    values = np.random.default_rng(1).normal(0.5, 0.1, (2, 30)).tolist()
    many = records(a=values[0], b=values[1])
    assert not compared(many)["exact"].any()
    pd.testing.assert_frame_equal(compared(many), compared(many))


def test_the_csv_has_every_digit_and_no_nan(tmp_path, mini):
    write_csv(mini, tmp_path / "pairs.csv", digits=None)
    text = (tmp_path / "pairs.csv").read_text()
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert "nan" not in text.lower()
    assert pd.read_csv(tmp_path / "pairs.csv")["p_welch"].tolist() == mini["p_welch"].tolist()


def test_an_unknown_model_gets_a_sentence_and_one_alone_no_pair():
    with pytest.raises(UserError, match=r"unknown model of the study's records: 'd'\. .*Known: a, b"):
        compared(records(a=A, b=B), models=["a", "d"])
    assert compared(records(a=A)).empty
    assert compared([]).empty


def test_a_dataset_with_one_model_has_no_pair_and_a_skipped_metric_no_number():
    pairs = records(a=A, b=B)
    alone = [each.model_copy(update={"spec": each.spec.model_copy(update={"dataset": "tiny"})}) for each in pairs[:5]]
    assert compared(pairs, alone)["dataset"].tolist() == ["dsprites"]
    [row] = compared([record(model, value="one factor only") for model in ("a", "b")]).to_dict("records")
    assert (row["seeds_a"], row["failures_a"]) == (0, 0)
    assert pd.isna(row["p_permutation_holm"])
