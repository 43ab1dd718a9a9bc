"""`score` on arrays: which protocols a word stands for, what stands below the table, and where the numbers go."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from disentangle_bench import registry
from disentangle_bench.cli.app import app
from disentangle_bench.contracts import Metric


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    factors = np.stack(np.unravel_index(np.arange(240), (3, 8, 10)), axis=1)
    codes = factors + 0.4 * np.random.default_rng(0).standard_normal((240, 3))
    np.savez(tmp_path / "a.npz", codes=codes, factors=factors)
    return tmp_path / "a.npz"


def invoked(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["score", *arguments])


def scored(arrays: Path, *arguments: str, option: str = "--out") -> pd.DataFrame:
    path = arrays.with_name("o.csv")
    done = invoked("--codes", str(arrays), *arguments, option, str(path))
    assert done.exit_code == 0, done.output
    return pd.read_csv(path, dtype={"protocol": str})


def test_a_metric_alone_is_its_default_protocol_and_all_is_every_one(arrays: Path) -> None:
    assert set(scored(arrays, "--metric", "mig")["protocol"]) == {"robust"}
    assert set(scored(arrays, "--metric", "mig/locatello")["protocol"]) == {"locatello"}
    assert set(scored(arrays, "--metric", "mig/all")["protocol"]) == {"robust", "locatello", "infogan-cr"}


@pytest.mark.slow
def test_nothing_named_is_every_metric_of_codes_by_default(arrays: Path) -> None:
    table = scored(arrays)
    assert set(table["metric"]) == set(registry.metrics_of(Metric))
    assert set(table["protocol"]) == {"robust"}


def test_the_help_says_what_a_word_stands_for() -> None:
    text = " ".join(invoked("--help").output.replace("│", " ").split())
    assert "METRIC, under its default protocol: robust where it has one" in text
    assert "METRIC/all" in text
    assert "Sampling, shown with --repeats: how far a score moves with the metric's own draws" in text
    assert "--csv" not in text


def test_the_old_option_still_works(arrays: Path) -> None:
    asked = ("--metric", "mig", "--metric", "unsupervised")
    assert scored(arrays, *asked, option="--csv").equals(scored(arrays, *asked))


def test_the_csv_says_which_way_is_better_and_how_far_sampling_moves_a_score(arrays: Path) -> None:
    table = scored(arrays, "--metric", "factor-vae", "--metric", "unsupervised", "--repeats", "3").set_index("key")
    assert table.loc["score", "better"] == "higher"
    assert table.loc["total_correlation", "better"] == "lower"
    assert table.loc["train_score", ["better", "sampling"]].isna().all(), "a detail is no score"
    assert table.loc["total_correlation", "sampling"] > 0


def test_below_the_table_stands_what_its_words_mean(arrays: Path) -> None:
    printed = invoked("--codes", str(arrays), "--metric", "mig", "--metric", "unsupervised", "--repeats", "2").output
    assert "lower is better: unsupervised\n" in printed
    assert "sampling: standard deviation over 2 of the metric's own seeds, on the same codes\n" in printed
    printed = invoked("--codes", str(arrays), "--metric", "mig").output
    assert "sampling" not in printed
    assert "lower is better" not in printed


def test_a_comparison_is_told_where_it_is_asked_for(arrays: Path) -> None:
    sentence = str(invoked("--codes", str(arrays), "--metric", "udr").exception)
    assert "udr compares the seeds of a study with one another" in sentence
    assert "--set comparisons.udr=lasso" in sentence
