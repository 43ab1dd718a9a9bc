"""Comparisons of a study's seeds: from stored codes and models to the leaderboard, without a label."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from disentangle_bench import registry
from disentangle_bench.boards.study_leaderboard import study_leaderboard
from disentangle_bench.boards.tables import write_csv
from disentangle_bench.errors import UserError
from disentangle_bench.metrics.udr import udr
from disentangle_bench.studies.comparisons import ROWS, compare
from disentangle_bench.studies.config import load_study
from disentangle_bench.studies.plan import plan
from disentangle_bench.studies.states import pending
from disentangle_bench.studies.study import read_study, write_study
from disentangle_bench.trials.records import read_record
from disentangle_bench.trials.trial import run_trial
from tests.studies.helpers import tiny_study

BOTH = "comparisons={udr: [lasso, spearman], model-centrality: [infogan-cr]}"


def finished(place, seeds="0-2", *settings):
    """A tiny study whose trials are trained, and their records."""
    planned = tiny_study(place, seeds, *settings)
    data = {"tiny": registry.get("dataset", "tiny")(place.data)}
    write_study(planned, place)
    return planned, data, [run_trial(trial, place, planned.options()) for trial in planned.trials]


def test_udr_of_stored_codes_is_that_of_the_function(place):
    _, _, records = finished(place)
    records = sorted(records, key=lambda record: record.id)
    codes = [np.load(place.trial(record.id) / "codes.npy") for record in records]
    rows = np.random.default_rng(0).choice(96, size=min(ROWS, 96), replace=False)
    expected = udr([table[rows] for table in codes], "spearman")["scores"]
    scores = compare("udr", "spearman", records[::-1], place)
    assert [scores[record.id] for record in records] == pytest.approx(expected)


def test_model_centrality_of_trained_models(place):
    """The same model three times: each encoder reads the others' images as it reads its own, so all score alike."""
    _, _, records = finished(place)
    first = place.trial(records[0].id)
    scores = compare("model-centrality", "infogan-cr", records, place)
    assert all(0 <= score <= 1 for score in scores.values())
    assert len(set(scores.values())) > 1
    again = compare("model-centrality", "infogan-cr", records, place)
    assert again == scores
    (first / "checkpoint.pt").unlink()
    assert compare("model-centrality", "infogan-cr", records, place) == scores, "what is known is not computed again"
    cached = next((place.results / "runs" / "comparisons").glob("model-centrality-*.json"))
    cached.write_text(cached.read_text()[:40])
    with pytest.raises(UserError, match="checkpoint"):
        compare("model-centrality", "infogan-cr", records, place)


def test_the_leaderboard_shows_comparisons_and_what_they_select(place, tmp_path):
    planned, data, records = finished(place, "0-2", BOTH)
    checkpoint = place.trial(records[0].id) / "checkpoint.pt"
    before = checkpoint.stat().st_mtime_ns
    table, _ = study_leaderboard(planned, place, data)
    assert checkpoint.stat().st_mtime_ns == before
    rows = table[table["code_source"] != "reference"].set_index(["metric", "protocol"])
    assert [key for key in rows.index if key[0] != "mig"] == [
        ("udr", "lasso"), ("udr", "spearman"), ("model-centrality", "infogan-cr"),
    ]  # fmt: skip
    chosen = compare("udr", "lasso", records, place)
    assert rows.loc[("udr", "lasso"), "mean"] == pytest.approx(np.mean(list(chosen.values())))
    assert rows.loc[("udr", "lasso"), "seeds"] == 3
    best = max(records, key=lambda record: chosen[record.id])
    assert rows.loc[("mig", "robust"), "selected_by_udr_lasso"] == best.scores["mig"]["robust"]["score"]
    assert rows.loc[("udr", "lasso"), "selected_by_udr_lasso"] == max(chosen.values())
    write_csv(table, tmp_path / "board.csv")
    text = (tmp_path / "board.csv").read_text()
    assert "nan" not in text.lower()
    assert "selected_by_model_centrality_infogan_cr" in pd.read_csv(tmp_path / "board.csv")
    assert "udr" not in read_record(place.record(records[0].id)).scores, "a record holds what one trial gives"


def test_one_seed_has_no_one_to_be_compared_with(place):
    planned, data, _ = finished(place, "0", BOTH)
    rows = study_leaderboard(planned, place, data)[0].set_index("metric")
    assert rows.loc["model-centrality", "skipped"] == "it compares two finished seeds or more"


def test_codes_that_are_gone_are_a_reason_and_come_back_with_the_next_run(place):
    planned, data, records = finished(place, "0-1", "comparisons={udr: [lasso]}")
    codes = place.trial(records[0].id) / "codes.npy"
    before = codes.read_bytes()
    codes.unlink()
    rows = study_leaderboard(planned, place, data)[0].set_index("metric")
    assert "codes" in rows.loc["udr", "skipped"]
    assert rows[rows["code_source"] != "reference"].loc["mig", "seeds"] == 2
    assert [trial.id for trial in pending(planned, place)] == [records[0].id]
    run_trial(planned.trials[0], place, planned.options())
    assert codes.read_bytes() == before
    assert study_leaderboard(planned, place, data)[0].set_index("metric").loc["udr", "seeds"] == 2


def test_a_study_of_a_version_with_fewer_settings_is_extended_and_not_trained_again(place):
    """The study and its trials lack a setting that has its default in this version."""
    planned, data, _ = finished(place, "0-1")
    old = [trial.model_copy(update={"config": {k: v for k, v in trial.config.items() if k != "gamma"}})
           for trial in planned.trials]  # fmt: skip
    write_study(replace(planned, trials=old), place)
    for trial in old:
        run_trial(trial, place, planned.options())
    changes = {"models": "ib-gan", "datasets": "tiny", "seeds": "0-2", "name": "s"}
    config = load_study(None, changes, ["steps=5", "batch_size=8", "metrics={mig: [robust]}"])
    extended = plan(config, place, data)
    assert [trial.id for trial in extended.trials[:2]] == [trial.id for trial in old]
    assert [trial.seed for trial in pending(extended, place)] == [2]


def test_comparisons_extend_a_study_and_are_kept(place):
    finished(place, "0-1")
    planned, _, _ = finished(place, "0-1", "comparisons={udr: [lasso]}")
    assert planned.comparisons == {"udr": ["lasso"]}
    assert finished(place, "0-1", "comparisons={udr: [spearman]}")[0].comparisons == {"udr": ["spearman", "lasso"]}
    assert read_study(place, "s").comparisons == {"udr": ["spearman", "lasso"]}


def test_an_unknown_comparison_is_a_sentence():
    with pytest.raises(UserError, match=r"unknown comparison 'urd'\. Did you mean 'udr'"):
        load_study(None, {"models": "gan", "datasets": "tiny"}, ["comparisons={urd: [lasso]}"])
    with pytest.raises(UserError, match="unknown protocol of udr 'laso'"):
        load_study(None, {"models": "gan", "datasets": "tiny"}, ["comparisons={udr: [laso]}"])
