"""One flipped bit in a stored file: it is noticed before it is used, and what can be made anew is made anew."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disentangle_bench import datasets, load_trial, registry
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.calibration import calibrate
from disentangle_bench.files import read_checked, write_checked
from disentangle_bench.studies.comparisons import compare
from disentangle_bench.trials.pending import Scoring, TrialOptions
from disentangle_bench.trials.records import Workspace, read_record
from disentangle_bench.trials.trial import run_trial
from tests.helpers import MINI_RECORDS
from tests.studies.helpers import tiny_study

FIRST = TrialOptions(Scoring({"mig": ["robust"]}))
LATER = TrialOptions(Scoring({"mig": ["robust"], "sap": ["robust"]}))


def flip(path, byte=None, bit=0):
    """Turn one bit of a file, by default in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if byte is None else byte % len(data)] ^= 1 << bit
    path.write_bytes(data)


def truncate(path):
    """Cut a file short."""
    path.write_bytes(path.read_bytes()[:100])


@pytest.fixture
def trained(place):
    """A trial that is finished and scored by MIG."""
    trial = tiny_study(place, "0").trials[0]
    run_trial(trial, place, FIRST)
    return trial


@pytest.fixture
def undisturbed(trained, place, tmp_path):
    """The same trial elsewhere, with the metric that comes later, from whole codes."""
    shutil.copytree(place.results, tmp_path / "undisturbed")
    return run_trial(trained, replace(place, results=tmp_path / "undisturbed"), LATER)


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_damaged_codes_are_encoded_anew_before_a_metric_is_added(place, trained, undisturbed, damage):
    codes = place.trial(trained.id) / "codes.npy"
    whole = codes.read_bytes()
    damage(codes)
    record = run_trial(trained, place, LATER)
    assert record.canonical_scores() == undisturbed.canonical_scores()
    assert codes.read_bytes() == whole


def test_codes_of_a_killed_process_are_not_trusted(place, trained):
    """Its record is not there yet, so nothing says that they are whole."""
    codes, scores = place.trial(trained.id) / "codes.npy", read_record(place.record(trained.id)).canonical_scores()
    whole = codes.read_bytes()
    place.record(trained.id).unlink()
    flip(codes)
    assert run_trial(trained, place, FIRST).canonical_scores() == scores
    assert codes.read_bytes() == whole


def test_damaged_codes_without_a_checkpoint_are_told_wherever_they_are_read(place, trained, command):
    flip(place.trial(trained.id) / "codes.npy")
    with pytest.raises(UserError, match=r"codes .*codes\.npy are damaged"):
        _ = load_trial(trained.id, place.results, place.data).codes
    done = command("score", trained.id, "--metric", "sap")
    assert (done.returncode, "codes.npy are damaged" in done.stderr) == (2, True)
    (place.trial(trained.id) / "checkpoint.pt").unlink()
    with pytest.raises(UserError, match=r"codes .*codes\.npy are damaged"):
        run_trial(trained, place, LATER)
    assert list(read_record(place.record(trained.id)).scores) == ["mig"]


def test_damaged_codes_are_compared_with_nobodys(place):
    study = tiny_study(place, "0-1")
    records = [run_trial(trial, place, FIRST) for trial in study.trials]
    flip(place.trial(records[1].id) / "codes.npy")
    with pytest.raises(UserError, match=r"codes .*codes\.npy are damaged"):
        compare("udr", "lasso", records, place)


def test_each_bit_of_a_record_counts(place, trained):
    path = place.record(trained.id)
    whole = path.read_bytes()
    for byte in [*range(0, len(whole), 7), *range(len(whole) - 100, len(whole))]:  # and all of the checksum
        flip(path, byte, byte % 8)
        with pytest.raises(UserError, match="is damaged"):
            read_record(path)
        path.write_bytes(whole)
    read_record(path)


def test_records_of_earlier_versions_have_no_checksum_and_are_read(tmp_path):
    path = next(MINI_RECORDS.glob("*.json"))
    assert b"sha256" not in path.read_bytes().splitlines()[-2]
    old = json.loads(path.read_bytes())
    assert read_record(path).model_dump(mode="json").items() >= old.items()


@pytest.mark.parametrize("kind", ["calibration", "comparisons"])
def test_a_kept_result_with_a_flipped_bit_is_computed_again(place, kind):
    study = tiny_study(place, "0-1")
    records = [run_trial(trial, place, FIRST) for trial in study.trials]
    folder = place.results / "runs" / kind
    tiny = registry.get("dataset", "tiny")(place.data)

    def result():
        if kind == "comparisons":
            return compare("udr", "spearman", records, place)
        return calibrate(tiny, "mig", "robust", 10, folder)

    expected = result()
    [path] = folder.glob("*.json")
    whole = path.read_bytes()
    for byte in range(0, len(whole), 29):
        flip(path, byte, byte % 8)
        assert result() == expected
        assert path.read_bytes() == whole, "what was damaged was written anew"


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(content=st.dictionaries(st.text(), NUMBERS | st.text(), min_size=1), data=st.data())
def test_a_checked_file_gives_back_its_content_or_raises(tmp_path, content, data):
    path = tmp_path / "file.json"
    write_checked(path, content)
    text, checked = read_checked(path)
    assert (json.loads(text), checked) == (content, True)
    json.loads(path.read_bytes())  # for other programs it's JSON, too
    flip(path, data.draw(st.integers(0, path.stat().st_size - 1)), data.draw(st.integers(0, 7)))
    try:
        text, checked = read_checked(path)
    except ValueError:
        return
    assert not checked, "a flipped bit in the checksum's own name: taken for a file without one"


def test_run_does_not_train_on_data_with_a_flipped_bit(command, tmp_path):
    datasets.load("dsprites-circular", tmp_path / "data")
    flip(tmp_path / "data" / "dsprites-circular.h5")
    asked = ("run", "--models", "beta-vae", "--dataset", "dsprites-circular", "--set", "steps=5", "--name", "s")
    done = command(*asked, "--local", DISENTANGLE_BENCH_DATA=str(tmp_path / "data"))
    assert done.returncode == 2
    assert "dsprites-circular.h5 is damaged" in done.stderr
    assert "disentangle-bench datasets prepare dsprites-circular" in done.stderr
    assert not list(Workspace(tmp_path / "results", tmp_path).results.glob("runs/*/checkpoint.pt"))
