"""Curves and scores where people watch their runs, and a trial that no logger can hurt."""

import os
import shutil
import sqlite3
from pathlib import Path
from unittest import mock

import pytest

from disentangle_bench.errors import UserError
from disentangle_bench.training.trainer import Intervals
from disentangle_bench.trials import loggers
from disentangle_bench.trials.pending import Scoring, TrialOptions
from disentangle_bench.trials.records import Workspace, read_record
from disentangle_bench.trials.trial import run_trial
from tests.studies.helpers import tiny_study

SCORED = {"mig": ["robust"]}


def options(*names, metrics=SCORED, log=2, **changes):
    return TrialOptions(Scoring(metrics), Intervals(log=log), names, "a study", **changes)


@pytest.fixture
def trial(place):
    return tiny_study(place, "0").trials[0]


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """An MLflow database without a run; making one takes seconds."""
    pytest.importorskip("mlflow", reason="MLflow is not installed (the extra mlflow)")
    made = Workspace(tmp_path_factory.mktemp("mlflow"), Path("none"))
    with mock.patch.dict(os.environ):
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        loggers.tracking(made, "a study")
    return made.results / "mlflow.db"


@pytest.fixture
def mlflow(place, monkeypatch, store):
    """MLflow's client on the store that trials here write to."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    place.results.mkdir()
    shutil.copy(store, place.results)
    return loggers.tracking(place, "a study")[0]


def run_of(client, trial):
    """The one run that MLflow has of the trial."""
    experiment = client.get_experiment_by_name("a study")
    [run] = client.search_runs([experiment.experiment_id], f"tags.trial = '{trial.id}'")
    return run


def history(client, run, name):
    """A metric's values by step, each once."""
    points = client.get_metric_history(run.info.run_id, name)
    assert len({point.step for point in points}) == len(points), "no step is logged twice"
    return {point.step: point.value for point in points}


def curve(place, trial, name):
    """The same from the trial's curves."""
    lines = (place.trial(trial.id) / "curves.csv").read_text().splitlines()
    column = lines[0].split(",").index(name)
    return {int(line.split(",")[0]): float(line.split(",")[column]) for line in lines[1:] if line.split(",")[column]}


def test_mlflow_has_the_curves_the_scores_and_the_settings_in_a_local_store(place, trial, mlflow):
    record = run_trial(trial, place, options("mlflow"))
    run = run_of(mlflow, trial)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "ib-gan tiny seed 0")
    assert run.data.params["beta"] == str(trial.config["beta"])
    assert run.data.metrics["score/mig/robust"] == record.scores["mig"]["robust"]["score"]
    expected = curve(place, trial, "loss/generator")
    assert list(expected) == [2, 4, 5]
    assert history(mlflow, run, "loss/generator") == pytest.approx(expected)
    assert record.log_failures == []
    assert (place.results / "mlflow.db").is_file()


def test_an_mlflow_run_goes_on_where_its_trial_goes_on(place, trial, mlflow):
    """The record is lost after training: the steps are there, and a metric that comes later joins them."""
    run_trial(trial, place, options("mlflow"))
    later = run_trial(trial, place, options("mlflow", metrics={"mig": ["robust"], "sap": ["robust"]}))
    run = run_of(mlflow, trial)
    assert run.data.metrics["score/sap/robust"] == later.scores["sap"]["robust"]["score"]
    shutil.rmtree(place.trial(trial.id))
    run_trial(trial, place, options("mlflow"))
    assert history(mlflow, run_of(mlflow, trial), "loss/generator").keys() == {2, 4, 5}


def test_wandb_writes_a_run_to_the_trials_folder_and_asks_nobody(place, trial, monkeypatch):
    pytest.importorskip("wandb", reason="W&B is not installed (the extra wandb)")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    record = run_trial(trial, place, options("wandb"))
    assert record.log_failures == []
    [run] = (place.trial(trial.id) / "wandb").glob("offline-run-*")
    assert run.name.endswith(trial.id)
    [stored] = run.glob("*.wandb")
    assert b"loss/generator" in stored.read_bytes()
    assert b"score/mig/robust" in stored.read_bytes()


def test_tensorboard_events_hold_the_scores_too(place, trial):
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter  # noqa: F401  (the format that is read below)

    record = run_trial(trial, place, options("tensorboard"))
    [path] = (place.trial(trial.id) / "tensorboard").glob("events.*")
    data, found = path.read_bytes(), {}
    while data:  # length, its checksum, the event, its checksum
        size = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + size])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        data = data[16 + size :]
    assert found["score/mig/robust", 5] == pytest.approx(record.scores["mig"]["robust"]["score"])
    assert {step for tag, step in found if tag == "loss/generator"} == {2, 4, 5}


def test_loggers_change_no_score_and_no_code(place, trial):
    plain = run_trial(trial, place, options())
    codes = (place.trial(trial.id) / "codes.npy").read_bytes()
    shutil.rmtree(place.trial(trial.id))
    logged = run_trial(trial, place, options(*[n for n in loggers.LOGGERS if installed(n)]))
    assert logged.canonical_scores() == plain.canonical_scores()
    assert (place.trial(trial.id) / "codes.npy").read_bytes() == codes


def installed(name):
    try:
        loggers.check([name])
    except UserError:
        return False
    return True


class Broken:
    """A logger that fails when it's told to."""

    needs = ()
    fails = ""

    def __init__(self, spec, workspace, study, step):
        self.act("opening")

    def log(self, step, values):
        self.act("logging")

    def close(self, whole):
        self.act("closing")

    def act(self, what):
        if what == self.fails:
            raise OSError(f"no\nroom while {what}")


@pytest.mark.parametrize("fails", ["opening", "logging", "closing"])
def test_a_logger_that_fails_is_noted_and_the_trial_ends_as_without_it(place, trial, monkeypatch, fails):
    monkeypatch.setitem(loggers.LOGGERS, "broken", type("Broken", (Broken,), {"fails": fails}))
    record = run_trial(trial, place, options("broken", "tensorboard", retries=0))
    assert (record.status, list(record.scores)) == ("finished", ["mig"])
    assert record.log_failures == [
        f"broken failed (OSError: no room while {fails}); this trial's log there is not whole"
    ]
    assert read_record(place.record(trial.id)).log_failures == record.log_failures
    assert list((place.trial(trial.id) / "tensorboard").glob("events.*")), "the other logger goes on"


def test_mlflows_store_breaks_midway(place, trial, mlflow):
    """Its database becomes something else while a trial trains."""
    with sqlite3.connect(place.results / "mlflow.db") as base:
        base.execute("DROP TABLE metrics")
    record = run_trial(trial, place, options("mlflow"))
    assert record.status == "finished"
    assert "mlflow failed" in record.log_failures[0]


def test_a_crashed_trials_run_is_not_called_finished(place, mlflow):
    crashing = tiny_study(place, "0", "models=[faulty]", "faulty.crash_at=3").trials[0]
    assert run_trial(crashing, place, options("mlflow", retries=0)).status == "failed"
    assert run_of(mlflow, crashing).info.status == "FAILED"


def test_an_unknown_logger_and_a_missing_package_are_told_before_anything_is_trained(command, monkeypatch, tmp_path):
    asked = ("run", "--models", "ib-gan", "--dataset", "tiny", "--name", "s", "--local", "--set", "steps=5")
    done = command(*asked, "--log", "wandbb")
    assert (done.returncode, "Did you mean 'wandb'?" in done.stderr) == (2, True)
    monkeypatch.setattr(loggers.MLflow, "needs", ("mlflow", "not_installed_at_all"))
    done = command(*asked, "--log", "mlflow")
    assert done.returncode == 2
    assert "--log mlflow needs not_installed_at_all, not installed here: pip install" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_store_that_cannot_be_reached_is_told_before_anything_is_trained(command, mlflow, tmp_path):
    asked = ("run", "--models", "ib-gan", "--dataset", "tiny", "--name", "s", "--local", "--set", "steps=5")
    done = command(*asked, "--log", "mlflow", MLFLOW_TRACKING_URI="sqlite:////proc/none/mlflow.db")
    assert (done.returncode, "--log mlflow: its store can't be reached" in done.stderr) == (2, True)
    assert not list(tmp_path.glob("results/runs/*/checkpoint.pt"))


def test_run_says_which_logs_are_not_whole(command, monkeypatch):
    monkeypatch.setitem(loggers.LOGGERS, "broken", type("Broken", (Broken,), {"fails": "logging"}))
    done = command(
        "run", "--models", "ib-gan", "--dataset", "tiny", "--name", "s", "--seeds", "0-1", "--local",
        "--set", "steps=5", "--set", "batch_size=8", "--set", "metrics={mig: [robust]}", "--log", "broken",
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr.count("Note: broken failed (OSError: no room while logging)") == 1
    assert "It was ib-gan tiny seed 0, and 1 more" in done.stderr
