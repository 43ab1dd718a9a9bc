"""`compare` as a user meets it, on the records of the mini study."""

import shutil

import pandas as pd
import pytest

from tests.helpers import MINI_RECORDS, call_command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A results root that holds the mini study."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "results" / "mini").mkdir(parents=True)
    shutil.copy(MINI_RECORDS.parent / "study.yaml", folder / "results" / "mini")
    for path in MINI_RECORDS.glob("*.json"):
        place = folder / "results" / "runs" / path.stem
        place.mkdir(parents=True)
        shutil.copy(path, place / "record.json")
    return folder


def compare(folder, *words, study="mini"):
    return call_command(folder, "compare", study, *words, plugins=False)


def test_all_pairs_in_tables_of_a_hundred_columns(folder):
    done = compare(folder, "--metric", "factor-vae")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line for line in lines if line.startswith("dsprites-32 ·")] == [
        "dsprites-32 · factor-vae · robust", "dsprites-32 · factor-vae · locatello",
    ]  # fmt: skip
    text = " ".join(done.stdout.split())
    assert "too few seeds: p Holm of 28 pairs can't fall below 0.22" in text
    assert "with 7 seeds a model it can reach 0.05" in text
    assert "as in ranks: p Holm is 0.05 or less for 3 of 28" in text


def test_two_models_and_a_csv(folder):
    done = compare(folder, "--metric", "mig", "--models", "vae(steps=0),ib-gan", "--out", str(folder / "pairs.csv"))
    assert done.returncode == 0, done.stderr
    assert "too few seeds" not in done.stdout
    assert "Note: every number in full is in" in done.stderr
    [row] = pd.read_csv(folder / "pairs.csv").to_dict("records")
    assert (row["model_a"], row["model_b"]) == ("vae(steps=0)", "ib-gan")
    assert row["p_permutation"] == 2 / 252
    assert "│ -0.035 │" in done.stdout


def test_quiet_leaves_the_note_out_and_the_table_as_it_is(folder):
    words = ["--metric", "mig", "--models", "gan,ib-gan", "--out", str(folder / "quiet.csv")]
    loud, quiet = compare(folder, *words), compare(folder, *words, "--quiet")
    assert loud.stdout == quiet.stdout
    assert quiet.stderr == ""


def test_failed_seeds_are_said(folder, tmp_path):
    shutil.copytree(folder / "results", tmp_path / "results")
    [path] = [p for p in (tmp_path / "results/runs").glob("*/record.json") if is_of(p, "ib-gan", 3)]
    path.write_text(path.read_text().replace('"status": "finished"', '"status": "diverged"'))
    done = compare(tmp_path, "--metric", "mig", "--models", "gan,ib-gan")
    assert "seeds: gan 5, ib-gan 4 (1 more failed or diverged)" in done.stdout


def is_of(path, model, seed):
    text = path.read_text()
    return f'"model": "{model}"' in text and f'"seed": {seed}' in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--metric", "mgi"], "unknown metric of study 'mini': 'mgi'. Did you mean 'mig'?"),
        (["--metric", "mig", "--models", "gan,ib-gn"], "'ib-gn'. Did you mean 'ib-gan'?"),
        (["--metric", "mig", "--models", "gan"], "--models gan: one model can't be compared"),
        (["--metric", "mig", "--models", "gan,gan"], "--models gan,gan: one model can't be compared"),
    ],
)
def test_mistakes_are_sentences(folder, words, sentence):
    done = compare(folder, *words)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_study_without_records_says_so(folder, tmp_path):
    shutil.copytree(folder / "results" / "mini", tmp_path / "results" / "mini")
    done = compare(tmp_path, "--metric", "mig")
    assert done.returncode == 2
    assert "has no two models with a record scored by mig yet; run it first" in " ".join(done.stderr.split())


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_pictures_name_writes_profiles_that_are_always_the_same(folder, suffix, begin):
    files = [folder / f"{which}{suffix}" for which in "ab"]
    for file in files:
        done = compare(folder, "--metric", "mig", "--models", "gan,ib-gan", "--out", str(file))
        assert done.returncode == 0, done.stderr
        assert "Note: performance profiles and probabilities of improvement are in" in done.stderr
    assert files[0].read_bytes().startswith(begin)
    assert files[0].read_bytes() == files[1].read_bytes()
