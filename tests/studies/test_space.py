"""What results take on the disk, and what may be removed of it."""

import os
import time

import pytest

from disentangle_bench.errors import UserError
from disentangle_bench.studies.space import clean, usage
from disentangle_bench.studies.states import pending
from disentangle_bench.studies.study import write_study
from disentangle_bench.trials.trial import run_trial
from tests.studies.helpers import tiny_study


@pytest.fixture
def study(place):
    """Two finished trials and one that was only begun."""
    study = tiny_study(place, "0-2")
    write_study(study, place)
    for trial in study.trials[:2]:
        run_trial(trial, place, study.options())
    begun = place.trial(study.trials[2].id)
    begun.mkdir()
    (begun / "checkpoint.pt").write_bytes(b"12345")
    return study


def test_usage_counts_each_byte_once(place, study):
    sizes = usage(place)
    runs = place.results / "runs"
    on_disk = sum(path.stat().st_size for path in runs.rglob("*") if path.is_file())
    assert sizes["all"].total() == sizes["s"].total() == on_disk
    assert sizes[""].total() == 0
    assert sizes["s"]["checkpoints"] == sum(path.stat().st_size for path in runs.glob("*/checkpoint.pt"))
    write_study(tiny_study(place, "0"), place)  # a smaller study: the others are in none
    assert usage(place)[""]["checkpoints"] + usage(place)["s"]["checkpoints"] == sizes["all"]["checkpoints"]


def test_checkpoints_and_codes_of_ended_trials_go_and_nothing_is_to_do_again(place, study):
    first, _, begun = study.trials
    kept = {path.name: path.read_bytes() for path in place.trial(first.id).iterdir()}
    dry = clean(place, "s", ["checkpoints", "codes"], dry=True)
    assert {path.name: path.read_bytes() for path in place.trial(first.id).iterdir()} == kept
    freed = clean(place, "s", ["checkpoints", "codes"])
    assert (freed, freed.files, freed.unfinished) == (dry, 4, [begun.id])
    left = {path.name: path.read_bytes() for path in place.trial(first.id).iterdir()}
    assert left == {name: data for name, data in kept.items() if name not in ("checkpoint.pt", "codes.npy")}
    assert (place.trial(begun.id) / "checkpoint.pt").exists()
    assert pending(study, place) == [begun]
    assert clean(place, None, ["checkpoints", "codes"]).files == 0


def test_codes_alone_would_be_made_again(place, study):
    with pytest.raises(UserError, match="add --checkpoints"):
        clean(place, "s", ["codes"])


def test_a_trial_at_work_keeps_everything(place, study):
    first = study.trials[0]
    with place.lock(first.id):
        freed = clean(place, "s", ["checkpoints"])
    assert (freed.files, freed.at_work) == (1, [first.id])
    assert (place.trial(first.id) / "checkpoint.pt").exists()


def test_leftovers_are_what_nobody_has_written_to_for_an_hour(place, study):
    folder = place.trial(study.trials[2].id)
    old, new = folder / ".codes.npy.77.partial", folder / ".checkpoint.pt.78.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    freed = clean(place, None, ["leftovers"])
    assert (freed.files, freed.bytes, freed.unfinished) == (1, 4, [])
    assert (old.exists(), new.exists()) == (False, True)


def test_a_study_that_is_not_there_is_named(place, study):
    with pytest.raises(UserError, match="unknown study"):
        clean(place, "t", ["logs"])


def test_the_command_shows_and_removes(command, place, study):
    shown = command("clean")
    assert "checkpoints" in shown.stdout
    done = command("clean", "s", "--checkpoints", "--dry-run")
    assert "2 files would be removed" in done.stdout
    assert "1 trial without a record: left as they are" in done.stdout
    assert command("clean", "--dry-run").returncode == 2
    assert command("clean", "--codes").returncode == 2
