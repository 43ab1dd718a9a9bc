"""One trial from start to record: what is stored, what is done again, and what a failure leaves."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from disentangle_bench import load_trial, registry
from disentangle_bench.contracts import CodeTable
from disentangle_bench.errors import UserError
from disentangle_bench.studies.config import load_study, resolve_trials
from disentangle_bench.training.trainer import Intervals
from disentangle_bench.trials.pending import Scoring, TrialOptions
from disentangle_bench.trials.records import read_record
from disentangle_bench.trials.trial import run_trial
from tests.helpers import TESTS, call_command, command_line, environment, line_with

METRICS = {"factor-vae": ["robust"]}


def spec(place, model="ib-gan", seed=0, *settings):
    changes = {"models": model, "datasets": "tiny", "seeds": str(seed), "name": "study"}
    study = load_study(None, changes, ["steps=20", "batch_size=8", *settings])
    return resolve_trials(study, {"tiny": registry.get("dataset", "tiny")(place.data)})[0]


def options(metrics=METRICS, repeats=1, **changes):
    return TrialOptions(Scoring(metrics, repeats), **changes)


def test_a_trial_leaves_its_record_codes_curves_and_picture(place):
    trial = spec(place)
    record = run_trial(trial, place, options())
    folder = place.trial(trial.id)
    assert record.status == "finished"
    assert record == read_record(place.record(trial.id))
    assert sorted(p.name for p in folder.iterdir()) == [
        "checkpoint.pt", "codes.npy", "curves.csv", "lock", "record.json", "samples.png", "traversal.png",
    ]  # fmt: skip
    codes = np.load(folder / "codes.npy")
    assert (codes.shape, codes.dtype) == ((96, 10), np.float32)
    curves = pd.read_csv(folder / "curves.csv")
    assert {"step", "loss/discriminator", "loss/generator", "information_lower", "information_upper", "kl_9"} <= set(
        curves
    )
    assert 0 <= record.scores["factor-vae"]["robust"]["score"] <= 1
    assert record.code_source == "reconstructor"
    assert record.parameters.keys() == {"discriminator", "generator"}


def test_scores_are_those_of_the_public_function_on_the_stored_codes(place):
    from disentangle_bench.metrics import score

    record = run_trial(spec(place, seed=4), place, options({"factor-vae": ["locatello"]}))
    dataset = registry.get("dataset", "tiny")(place.data)
    codes = np.load(place.trial(record.id) / "codes.npy")
    expected = score("factor-vae", codes, dataset.factors(np.arange(96)), protocol="locatello", seed=4)
    assert record.scores["factor-vae"]["locatello"]["score"] == expected["score"]


def test_a_finished_trial_is_not_trained_again_and_a_new_metric_uses_its_codes(place):
    trial = spec(place)
    first = run_trial(trial, place, options())
    checkpoint = (place.trial(trial.id) / "checkpoint.pt").stat().st_mtime_ns
    codes = (place.trial(trial.id) / "codes.npy").stat().st_mtime_ns
    assert run_trial(trial, place, options()) == first
    more = run_trial(trial, place, options({"factor-vae": ["robust"], "beta-vae": ["robust"]}))
    assert more.scores["factor-vae"] == first.scores["factor-vae"]
    assert "beta-vae" in more.scores
    assert (place.trial(trial.id) / "checkpoint.pt").stat().st_mtime_ns == checkpoint
    assert (place.trial(trial.id) / "codes.npy").stat().st_mtime_ns == codes


def test_the_same_trial_twice_gives_the_same_bytes(place, tmp_path):
    from dataclasses import replace

    trial = spec(place)
    a = run_trial(trial, place, options())
    b = run_trial(trial, replace(place, results=tmp_path / "again"), options())
    assert a.canonical_scores() == b.canonical_scores()
    assert (place.trial(trial.id) / "codes.npy").read_bytes() == (
        tmp_path / "again/runs" / trial.id / "codes.npy"
    ).read_bytes()


def test_a_record_that_came_alone_stands_until_more_is_asked(place):
    """From another machine, without codes and checkpoint."""
    trial = spec(place)
    record = run_trial(trial, place, options())
    for name in ("codes.npy", "checkpoint.pt"):
        (place.trial(trial.id) / name).unlink()
    assert run_trial(trial, place, options()) == record
    with pytest.raises(UserError, match=r"codes\.npy are not there; .* Where there is none, delete the trial's record"):
        run_trial(trial, place, options({"beta-vae": ["robust"]}))
    assert read_record(place.record(trial.id)) == record


def test_repeats_tell_the_metrics_own_sampling_error_and_leave_the_score_alone(place):
    from disentangle_bench.metrics import generator, score

    trial = spec(place, seed=2)
    once = run_trial(trial, place, options({"factor-vae": ["robust"]})).scores["factor-vae"]["robust"]
    assert "sampling" not in once
    checkpoint = (place.trial(trial.id) / "checkpoint.pt").stat().st_mtime_ns
    again = run_trial(trial, place, options({"factor-vae": ["robust"]}, repeats=3))
    assert (place.trial(trial.id) / "checkpoint.pt").stat().st_mtime_ns == checkpoint, "repeats retrain nothing"
    result = again.scores["factor-vae"]["robust"]
    assert result["score"] == once["score"]
    metric = registry.get("metric", "factor-vae")
    dataset = registry.get("dataset", "tiny")(place.data)
    codes, factors = np.load(place.trial(trial.id) / "codes.npy"), dataset.factors(np.arange(96))
    table, settings = CodeTable(codes, factors), metric.protocols["robust"]
    each = [metric.compute(table, settings, generator(2, "factor-vae", "robust", r))["score"] for r in range(3)]
    assert result["sampling"] == {"repeats": 3, "score": pytest.approx(np.std(each, ddof=1))}
    assert result["sampling"]["score"] > 0
    assert score("factor-vae", codes, factors, "robust", 2, repeats=3)["sampling"] == result["sampling"]
    written = place.record(trial.id).read_bytes()
    run_trial(trial, place, options({"factor-vae": ["robust"]}, repeats=2))
    assert place.record(trial.id).read_bytes() == written, "fewer repeats than are there change nothing"


def test_scores_along_the_training(place):
    record = run_trial(spec(place), place, options(intervals=Intervals(score=8)))
    assert [row["step"] for row in record.scores_along] == [8, 16]
    assert record.scores_along[0]["scores"]["factor-vae"]["robust"]["score"] >= 0
    assert record.scores == run_trial(spec(place), place, options()).scores


def test_tensorboard_events(place):
    record = run_trial(spec(place), place, options(loggers=("tensorboard",)))
    assert list((place.trial(record.id) / "tensorboard").glob("events.*"))


def test_a_crash_is_retried_then_recorded_with_its_traceback(place):
    trial = spec(place, "faulty", 0, "faulty.crash_at=7")
    record = run_trial(trial, place, options(retries=2))
    assert record.status == "failed"
    line = line_with(TESTS / "plugins/faulty.py", "planned crash")
    assert record.cause == f"ZeroDivisionError: planned crash, at faulty.py:{line}, in losses"
    assert record.plugin == "faulty.py"
    assert "planned crash" in record.traceback
    assert record.scores == {}
    assert not (place.trial(trial.id) / "progress.json").exists()


def test_divergence_is_a_result_with_its_cause(place):
    trial = spec(place, "faulty", 0, "faulty.diverge_at=7")
    record = run_trial(trial, place, options())
    assert (record.status, record.traceback) == ("diverged", None)
    assert "not a finite number" in record.cause
    assert run_trial(trial, place, options()) == record


def test_codes_that_are_not_finite_are_a_divergence_also_along_the_training(place, monkeypatch):
    import disentangle_bench.trials.attempt as module

    monkeypatch.setattr(module, "encode_grid", lambda model, images, progress: np.full((96, 10), np.inf, np.float32))
    for seed, intervals in enumerate((Intervals(), Intervals(score=8))):
        record = run_trial(spec(place, seed=seed), place, options(intervals=intervals))
        assert (record.status, record.cause) == ("diverged", "code 0 is not finite for some image")


def test_a_plugin_changed_after_planning_is_not_recorded_under_the_old_source(place):
    trial = spec(place, "faulty").model_copy(update={"model_source": "0" * 64})
    with pytest.raises(UserError, match="the plugin of faulty has changed"):
        run_trial(trial, place, options())


def test_a_metric_is_added_without_a_checkpoint(place):
    trial = spec(place)
    run_trial(trial, place, options())
    (place.trial(trial.id) / "checkpoint.pt").unlink()
    assert "beta-vae" in run_trial(trial, place, options({"beta-vae": ["robust"]})).scores


def test_a_dead_process_leaves_no_lock(place):
    trial = spec(place)
    lock = str(place.trial(trial.id) / "lock")
    code = f"from filelock import FileLock; import os; FileLock({lock!r}).acquire(); os._exit(9)"
    place.trial(trial.id).mkdir(parents=True)
    subprocess.run([sys.executable, "-c", code], check=False)
    with place.lock(trial.id).acquire(timeout=0):
        pass


def test_load_trial_encodes_as_the_stored_codes(place):
    record = run_trial(spec(place), place, options())
    dataset = registry.get("dataset", "tiny")(place.data)
    loaded = load_trial(record.id[:6], results=place.results)
    codes = loaded.encode(dataset.images(np.arange(96)))
    np.testing.assert_allclose(codes, np.load(place.trial(record.id) / "codes.npy"), rtol=1e-5, atol=1e-6)
    with pytest.raises(UserError, match="must be uint8"):
        loaded.encode(np.zeros((1, 1, 16, 16)))
    with pytest.raises(UserError, match="there is no such record"):
        load_trial("0000", results=place.results)


def test_load_trial_gives_scores_codes_factors_and_images(place):
    record = run_trial(spec(place), place, options())
    loaded = load_trial(record.id, results=place.results)
    assert repr(loaded) == f"<trial ib-gan tiny seed 0 ({record.id}), finished, 1 scores>"
    assert (loaded.record, loaded.spec, loaded.scores) == (record, record.spec, record.scores)
    dataset = registry.get("dataset", "tiny")(place.data)
    np.testing.assert_array_equal(loaded.factors, dataset.factors(np.arange(96)))
    np.testing.assert_array_equal(loaded.codes, np.load(place.trial(record.id) / "codes.npy"))
    images = loaded.generate(loaded.codes)
    assert (images.shape, images.dtype) == ((96, 1, 16, 16), np.uint8)
    np.testing.assert_array_equal(loaded.generate(loaded.codes[:3]), images[:3])
    drawn = loaded.generate(5, seed=1)
    assert drawn.shape == (5, 1, 16, 16)
    np.testing.assert_array_equal(drawn, loaded.generate(5, seed=1))
    assert not np.array_equal(drawn, loaded.generate(5, seed=2))
    with pytest.raises(UserError, match=r"codes must be \(N, 10\), or a number of them, not \(3, 4\)"):
        loaded.generate(np.zeros((3, 4)))
    with pytest.raises(UserError, match="their number from 1 up, not 0"):
        loaded.generate(0)


def test_a_trial_of_an_older_version_of_its_model_keeps_its_record_and_is_not_trained(place, monkeypatch):
    """What its stored codes are enough for goes on; what its networks are needed for is a sentence."""
    trial, other = spec(place), spec(place, seed=1)
    run_trial(trial, place, options())
    monkeypatch.setattr(registry.get("model", "ib-gan"), "version", 2)
    sentence = "is of version 1 of ib-gan, which has version 2 here and trains otherwise; its record stays as it is"
    with pytest.raises(UserError, match=sentence):
        load_trial(trial.id, results=place.results)
    with pytest.raises(UserError, match=sentence):
        run_trial(other, place, options())
    record = run_trial(trial, place, options({**METRICS, "mig": ["robust"]}))
    assert (record.id, set(record.scores)) == (trial.id, {"factor-vae", "mig"})
    (place.trial(trial.id) / "codes.npy").unlink()
    with pytest.raises(UserError, match=sentence):
        run_trial(trial, place, options())


def test_codes_that_were_deleted_are_a_sentence(place):
    record = run_trial(spec(place), place, options())
    (place.trial(record.id) / "codes.npy").unlink()
    loaded = load_trial(record.id, results=place.results)
    with pytest.raises(UserError, match=r"codes\.npy are not there; run the trial's study again"):
        _ = loaded.codes


def test_load_trial_of_a_plugins_model_says_how_to_give_the_plugin(place, monkeypatch):
    record = run_trial(spec(place, "faulty"), place, options())
    assert load_trial(record.id, place.results, plugins=place.plugins).spec.model == "faulty"
    monkeypatch.delitem(registry._plugins["model"], "faulty")
    with pytest.raises(UserError, match=r'came from a plugin.*load_trial\("\w+", plugins=\("faulty\.py",\)\)'):
        load_trial(record.id, place.results)


def test_a_truncated_record_gets_a_sentence(place):
    trial = spec(place)
    run_trial(trial, place, options())
    path = place.record(trial.id)
    path.write_text(path.read_text()[:50])
    with pytest.raises(UserError, match=r"record\.json is damaged.*delete it"):
        run_trial(trial, place, options())


def test_a_record_holds_no_nan(place):
    record = run_trial(spec(place), place, options())
    json.loads(place.record(record.id).read_text(), parse_constant=lambda name: pytest.fail(f"{name} in a record"))


def test_killed_in_training_and_run_again_gives_the_same_bytes(place, tmp_path):
    """kill -9 of a real process between two checkpoints."""
    settings = ["--set", "faulty.pause=0.05", "--set", "intervals.checkpoint_seconds=0.2", "--set", "steps=60"]
    words = ["run", "--models", "faulty", "--dataset", "tiny", "--local", "--name", "k", *settings]
    process = subprocess.Popen(
        command_line(tmp_path, *words), env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not list(place.results.glob("runs/*/checkpoint.pt")):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    process.kill()
    process.wait()
    assert not list(place.results.glob("runs/*/record.json"))
    done = call_command(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    broken = read_record(next(place.results.glob("runs/*/record.json")))
    whole = run_trial(
        broken.spec,
        type(place)(tmp_path / "other", place.data, place.plugins),
        options(broken_metrics(broken), repeats=3),
    )
    assert whole.canonical_scores() == broken.canonical_scores()


def broken_metrics(record):
    return {metric: list(protocols) for metric, protocols in record.scores.items()}
