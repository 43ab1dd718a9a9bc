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


MEANS = """
import numpy as np

def encode(images):
    bright = images[:, 0] / 255
    rows, columns = (np.arange(64) @ bright.sum(axis=axis).T for axis in (2, 1))
    return np.stack([rows, columns], axis=1) / bright.sum(axis=(1, 2))[:, None]
"""
CIRCULAR = ("--dataset", "dsprites-circular", "--metric", "mig-sup")


def test_an_encoder_stands_beside_floor_and_ceiling_and_its_codes_can_be_scored_again(command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MEANS)
    encoder = ("--encoder", "mine.py:encode", "--batch-size", "100", "--save-codes", "c.npy")
    done = command("score", *encoder, *CIRCULAR, "--out", "o.csv", plugins=False)
    assert done.returncode == 0, done.stderr
    for text in ("floor", "ceiling", "no paper's numbers on dsprites-circular are known here"):
        assert text in done.stdout
    assert "score them again with --codes c.npy --dataset dsprites-circular" in done.stderr
    row = pd.read_csv(tmp_path / "o.csv").iloc[0]
    assert (row["metric"], row["model"], row["better"]) == ("mig-sup", "mine.py:encode", "higher")
    assert row["floor"] < row["value"] < row["ceiling"]
    again = command("score", "--codes", "c.npy", *CIRCULAR, "--out", "again.csv", plugins=False)
    assert again.returncode == 0, again.stderr
    assert pd.read_csv(tmp_path / "again.csv")["value"].tolist() == [row["value"]]


def test_an_unknown_metric_is_told_before_anything_is_encoded(command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def encode(images):\n    raise RuntimeError('it was encoded')\n")
    done = command("score", "--encoder", "mine.py:encode", "--dataset", "tiny", "--metric", "migg")
    assert done.returncode == 2
    assert "unknown metric 'migg'. Did you mean 'mig'?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--encoder", "a.py:b"), "--dataset is missing"),
        (("--encoder", "a.py:b", "--codes", "c.npy", "--dataset", "tiny"), "score takes either a TRIAL"),
        (("--encoder", "a.py:b", "--factors", "c.npy", "--dataset", "tiny"), "score takes either a TRIAL"),
        (("--codes", "c.npy", "--factors", "c.npy", "--dataset", "tiny"), "score takes either a TRIAL"),
        (("abc", "--dataset", "tiny"), "score takes either a TRIAL"),
        (("--codes", "c.npy", "--dataset", "tiny", "--pixels", "unit"), "--pixels is for an --encoder"),
        (("--codes", "c.npy", "--dataset", "tiny"), "there is no such file"),
    ],
)
def test_what_does_not_belong_together_is_told(command, arguments: tuple[str, ...], sentence: str) -> None:
    done = command("score", *arguments)
    assert done.returncode == 2, done.stdout
    assert sentence in done.stderr
