"""Results of several machines in one folder: each trial by its id, whole, nothing overwritten, each conflict told."""

import json
import shutil

import pytest

from disentangle_bench.errors import UserError
from disentangle_bench.studies.merge import merge
from disentangle_bench.studies.states import pending
from disentangle_bench.studies.study import read_study, write_study
from disentangle_bench.trials.records import Workspace, read_record, write_record
from disentangle_bench.trials.trial import run_trial
from tests.helpers import MINI_RECORDS, PLUGINS
from tests.studies.helpers import tiny_study


@pytest.fixture
def machine(place, tmp_path):
    """Makes a machine with results of its own: (name, seeds) → its workspace, the study `s` trained there."""

    def made(name, seeds, *settings):
        there = Workspace(tmp_path / name, place.data, PLUGINS)
        study = tiny_study(there, seeds, *settings)
        write_study(study, there)
        for trial in study.trials:
            run_trial(trial, there, study.options())
        return there

    return made


def content(folder):
    """All that a trial's folder holds, but for what belongs to its machine."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ("lock", "progress.json")}


def test_two_machines_seeds_become_one_finished_study(place, machine):
    a, b = machine("a", "0-1"), machine("b", "1-2")
    merged = merge([a.results, b.results], place)
    study = read_study(place, "s")
    assert [trial.seed for trial in study.trials] == [0, 1, 2]
    assert sorted(merged.taken) == sorted(trial.id for trial in study.trials)
    assert (len(merged.known), merged.conflicts) == (1, []), "seed 1, trained on both, has the same scores"
    assert pending(study, place) == []
    for trial in study.trials:
        assert content(place.trial(trial.id)) == content((b if trial.seed == 2 else a).trial(trial.id))


def test_a_second_merge_changes_nothing(place, machine):
    there = machine("a", "0")
    merge([there.results], place)
    before = {path: path.stat().st_mtime_ns for path in place.results.rglob("*.*") if path.is_file()}
    merged = merge([there.results], place)
    assert (merged.taken, merged.completed, merged.studies, merged.conflicts) == ([], [], [], [])
    assert len(merged.known) == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_other_scores_of_one_trial_are_a_conflict_and_ours_stay(place, machine, tmp_path):
    a = machine("a", "0-1")
    merge([a.results], place)
    (first, second) = read_study(place, "s").trials
    record = read_record(a.record(first.id))
    record.scores["mig"]["robust"]["score"] += 0.25
    write_record(a.record(first.id), record)
    ours = content(place.trial(first.id))
    merged = merge([a.results], place)
    [conflict] = merged.conflicts
    assert conflict.startswith(f"{first.id} (ib-gan tiny seed 0) has other scores of mig in {a.results};")
    assert f"move {place.trial(first.id)} away" in conflict
    assert (merged.known, content(place.trial(first.id))) == ([second.id], ours)
    place.trial(first.id).rename(tmp_path / "away")
    assert merge([a.results], place).taken == [first.id], "the remedy that was named works"


def test_the_seconds_that_a_trial_took_are_no_conflict(place, machine):
    a = machine("a", "0")
    merge([a.results], place)
    [trial] = read_study(place, "s").trials
    record = read_record(a.record(trial.id))
    record.seconds["train"] = 1234.5
    record.environment["device"] = "another"
    write_record(a.record(trial.id), record)
    merged = merge([a.results], place)
    assert (merged.known, merged.conflicts) == ([trial.id], [])
    assert read_record(place.record(trial.id)).seconds["train"] != 1234.5


def test_a_finished_trial_does_not_overwrite_one_that_is_begun_here(place, machine):
    a = machine("a", "0")
    [trial] = read_study(a, "s").trials
    place.trial(trial.id).mkdir(parents=True)
    (place.trial(trial.id) / "checkpoint.pt").write_bytes(b"of another step")
    merged = merge([a.results], place)
    [conflict] = merged.conflicts
    assert f"is finished in {a.results} and begun here, which was kept" in conflict
    assert content(place.trial(trial.id)) == {"checkpoint.pt": b"of another step"}


def test_a_merge_that_was_killed_midway_goes_on(place, machine):
    """What it had copied of the trial is what it would copy; the record, the last file, is missing."""
    a = machine("a", "0")
    [trial] = read_study(a, "s").trials
    place.trial(trial.id).mkdir(parents=True)
    shutil.copy(a.trial(trial.id) / "checkpoint.pt", place.trial(trial.id))
    merged = merge([a.results], place)
    assert (merged.completed, merged.conflicts) == ([trial.id], [])
    assert content(place.trial(trial.id)) == content(a.trial(trial.id))


def test_a_begun_trial_comes_with_its_checkpoint_and_an_empty_folder_not_at_all(place, machine):
    a = machine("a", "0")
    [trial] = read_study(a, "s").trials
    a.record(trial.id).unlink()
    (a.results / "runs" / "0123456789ab").mkdir()
    (a.results / "runs" / "0123456789ab" / "lock").touch()
    merged = merge([a.results], place)
    assert merged.taken == [trial.id]
    assert (place.trial(trial.id) / "checkpoint.pt").exists()
    assert not place.trial("0123456789ab").exists()


def test_a_trial_at_work_is_left_out_on_either_side(place, machine):
    a = machine("a", "0")
    [trial] = read_study(a, "s").trials
    with a.lock(trial.id):
        [conflict] = merge([a.results], place).conflicts
    assert f"{trial.id} is being worked on in {a.results}" in conflict
    with place.lock(trial.id):
        [conflict] = merge([a.results], place).conflicts
    assert f"{trial.id} is being worked on here" in conflict
    assert merge([a.results], place).taken == [trial.id]


def test_a_damaged_record_and_one_under_another_name_are_left_out_and_the_rest_comes(place, machine):
    a = machine("a", "0-2")
    damaged, renamed, whole = read_study(a, "s").trials
    a.record(damaged.id).write_text(a.record(damaged.id).read_text()[:100])
    a.trial(renamed.id).rename(a.trial("0123456789ab"))
    merged = merge([a.results], place)
    assert merged.taken == [whole.id]
    of_another, of_damaged = sorted(merged.conflicts, key=lambda conflict: "damaged" in conflict)
    assert "is damaged or of another format" in of_damaged
    assert f"0123456789ab/record.json is of another trial, {renamed.id}" in of_another


def test_a_damaged_record_here_is_told_and_kept(place, machine):
    a = machine("a", "0")
    merge([a.results], place)
    [trial] = read_study(place, "s").trials
    place.record(trial.id).write_text("{")
    [conflict] = merge([a.results], place).conflicts
    assert f"record {place.record(trial.id)} is damaged" in conflict
    assert place.record(trial.id).read_text() == "{"


def test_links_are_not_followed(place, machine, tmp_path):
    a = machine("a", "0")
    [trial] = read_study(a, "s").trials
    (tmp_path / "secret").write_text("not a result")
    (a.trial(trial.id) / "notes.txt").symlink_to(tmp_path / "secret")
    merge([a.results], place)
    assert not (place.trial(trial.id) / "notes.txt").exists()


def test_one_name_for_two_studies_is_a_conflict_of_the_study_alone(place, machine):
    a, b = machine("a", "0"), machine("b", "0", "ib-gan.beta=0.3")
    merged = merge([a.results, b.results], place)
    assert len(merged.taken) == 2
    [conflict] = merged.conflicts
    assert str(b.results / "s" / "study.yaml") in conflict
    assert "config.beta: 0.141 -> 0.3" in conflict
    assert read_study(place, "s") == read_study(a, "s")


def test_a_study_whose_name_leads_elsewhere_is_left_out(place, machine, tmp_path):
    a = machine("a", "0")
    path = a.results / "s" / "study.yaml"
    path.write_text(path.read_text().replace("name: s\n", "name: ../elsewhere\n"))
    [conflict] = merge([a.results], place).conflicts
    assert "study.yaml is damaged (a study's name has letters" in conflict
    assert not (tmp_path / "elsewhere").exists()


def test_an_archive_of_records_is_taken(place):
    merged = merge([MINI_RECORDS.parent], place)
    assert (len(merged.taken), merged.studies, merged.conflicts) == (40, ["mini"], [])
    for path in MINI_RECORDS.glob("*.json"):
        assert json.loads(place.record(path.stem).read_text()) == json.loads(path.read_text())


def test_what_holds_no_results_is_named_before_anything_is_copied(place, machine, tmp_path):
    a = machine("a", "0")
    with pytest.raises(UserError, match="holds no results"):
        merge([a.results, tmp_path / "nothing"], place)
    with pytest.raises(UserError, match="is the results folder itself"):
        merge([a.results], a)
    assert not place.results.exists()


def test_the_command_says_what_came_and_what_did_not(command, tmp_path):
    done = command("merge", str(MINI_RECORDS.parent))
    assert (done.returncode, done.stderr) == (0, "")
    assert "40 trials taken, 0 here already" in done.stdout
    assert "`disentangle-bench run mini` goes on with it" in done.stdout
    record = next((tmp_path / "results" / "runs").glob("*/record.json"))
    record.write_text("{")
    done = command("merge", str(MINI_RECORDS.parent))
    assert (done.returncode, done.stderr.count("Error: ")) == (2, 1)
    assert "39 here already" in done.stdout
