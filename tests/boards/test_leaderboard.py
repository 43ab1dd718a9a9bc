"""From records to a table: hand-worked statistics, ties, failures, and a CSV without a NaN."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from disentangle_bench.boards.leaderboard import (
    COLUMNS,
    COUNTS,
    NOT_YET,
    SEED_COLUMNS,
    MetricFacts,
    leaderboard,
    seed_scores,
)
from disentangle_bench.boards.leaderboard_pictures import write_pictures
from disentangle_bench.boards.picture import draw_panel
from disentangle_bench.boards.published import PUBLISHED_COLUMNS, read_published
from disentangle_bench.boards.tables import rich_tables, write_csv
from disentangle_bench.errors import UserError
from disentangle_bench.models.ib_gan import IBGAN
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.trials.records import Record
from disentangle_bench.trials.spec import TrialSpec
from tests.helpers import ROOT

FACTS = {"kim": MetricFacts(("score",), True, ("robust",))}
ENDS = {("dsprites", "kim", "robust", 10): {"score": {"floor": 0.2, "ceiling": 1.0}}}
NOTHING = pd.DataFrame(columns=PUBLISHED_COLUMNS)
PUBLISHED = ["ib-gan", "dsprites", "dsprites", "kim", "robust", "score", 0.8, 0.07, 32, "a paper", ""]


def record(model="ib-gan", seed=0, value=0.5, status="finished", threads=1, configuration="dsprites") -> Record:
    spec = TrialSpec(
        model=model, model_source=None, configuration=configuration, config={"steps": 9}, dataset="dsprites",
        dataset_checksum="c", seed=seed, numerics=Numerics(threads=threads),
    )  # fmt: skip
    scores = {"kim": {"robust": {"score": value} if isinstance(value, float) else {"skip": value}}}
    return Record(
        id=spec.id, spec=spec, status=status, code_source="reconstructor",
        code_width=10 if status == "finished" else None, scores=scores if status == "finished" else {},
    )  # fmt: skip


def board(records, published=NOTHING, facts=FACTS):
    table = leaderboard(records, facts, ENDS, published)
    return table, table[table["code_source"] != "reference"].set_index("model")


def test_statistics_worked_by_hand():
    values = [0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    _, models = board([record(seed=s, value=v) for s, v in enumerate(values)])
    row = models.loc["ib-gan"]
    assert row["mean"] == pytest.approx(0.525)
    assert row["median"] == pytest.approx(0.55)
    assert row["iqm"] == pytest.approx((0.4 + 0.5 + 0.6 + 0.7) / 4)
    assert row["sd"] == pytest.approx(np.sqrt(np.sum((np.array(values) - 0.525) ** 2) / 7))
    assert (row["min"], row["max"], row["seeds"], row["failures"]) == (0.1, 0.9, 8, 0)
    assert (row["floor"], row["ceiling"]) == (0.2, 1.0)
    low, high = 0.525 - 2.364624 * row["sd"] / np.sqrt(8), 0.525 + 2.364624 * row["sd"] / np.sqrt(8)  # t of 7
    assert (row["ci95_t_low"], row["ci95_t_high"]) == pytest.approx((low, high))
    assert row["ci95_t"] == f"[{low:.3f}, {high:.3f}]"


def test_the_metrics_sampling_error_stands_apart_from_the_spread_over_training_seeds():
    records = [record(seed=s, value=v) for s, v in enumerate((0.2, 0.8))]
    for one, spread in zip(records, (0.03, 0.04), strict=True):
        one.scores["kim"]["robust"]["sampling"] = {"repeats": 5, "score": spread}
    table, models = board(records)
    row = models.loc["ib-gan"]
    assert row["sampling_sd"] == pytest.approx(np.sqrt((0.03**2 + 0.04**2) / 2))
    assert row["sd"] == pytest.approx(0.6 / np.sqrt(2))
    assert row["repeats"] == 5
    shown = shown_text(table)
    assert "± 0.035" in shown
    assert "sampling" not in shown_text(board([record()])[0])


def test_two_versions_of_a_model_are_two_rows_and_papers_stand_beside_the_current_one(monkeypatch):
    monkeypatch.setattr(IBGAN, "version", 2)
    old = [record(seed=seed, value=0.2) for seed in range(3)]
    new = []
    for seed in range(3):
        each = record(seed=seed, value=0.6)
        spec = each.spec.model_copy(update={"model_version": 2})
        new.append(each.model_copy(update={"id": spec.id, "spec": spec}))
    table, models = board([*old, *new], pd.DataFrame([PUBLISHED], columns=PUBLISHED_COLUMNS))
    rows = models.set_index("configuration")
    assert rows["mean"].to_dict() == pytest.approx({"dsprites": 0.6, "dsprites(version=1)": 0.2})
    assert rows.loc["dsprites", "published"] == 0.8
    assert np.isnan(rows.loc["dsprites(version=1)", "published"])
    assert "ib-gan(version=1)" in shown_text(table)


def test_failures_and_divergences_are_counted_and_never_dropped():
    finished = [record(seed=0, value=0.8), record(seed=1, value=0.6)]
    _, models = board([*finished, record(seed=2, status="failed"), record(seed=3, status="diverged")])
    row = models.loc["ib-gan"]
    assert (row["seeds"], row["failures"]) == (2, 2)
    assert row["mean"] == pytest.approx(0.7)
    assert row["mean_failures_at_floor"] == pytest.approx((0.8 + 0.6 + 0.2 + 0.2) / 4)


def test_a_model_that_only_failed_still_has_its_row():
    _, models = board([record(), record("gan", status="failed")])
    assert (models.loc["gan", "seeds"], models.loc["gan", "failures"]) == (0, 1)
    assert models.loc["gan", "ci95_t"] == "no score"


def test_a_study_in_which_all_trials_failed_still_has_its_rows():
    _, models = board([record(status="failed"), record("gan", status="diverged")])
    assert models["failures"].to_dict() == {"gan": 1, "ib-gan": 1}


def test_no_interval_below_three_seeds():
    _, models = board([record("a", s, 0.5 + s) for s in range(2)] + [record("b", s, 0.5 + s) for s in range(3)])
    assert models["ci95_t"].to_dict() == {"a": "needs 3 seeds", "b": "[-0.984, 3.984]"}  # 1.5 ± 4.303 / √3
    assert models["rank"].isna().to_dict() == {"a": True, "b": False}


def test_models_that_no_test_tells_apart_tie():
    def seeds(model, middle):
        return [record(model, s, middle + (s - 3) / 100) for s in range(7)]

    _, models = board([*seeds("a", 0.90), *seeds("b", 0.895), *seeds("c", 0.50)])
    assert models["rank"].to_dict() == {"a": 1, "b": 1, "c": 3}


def test_ranks_are_of_one_score_and_one_dataset_each():
    """Holm's correction counts the pairs of one table: another dataset's models change no rank."""
    records = [record(m, s, v + s / 10) for m, v in (("a", 0.4), ("b", 0.15)) for s in range(5)]  # Welch's p: 0.037
    others = [each.model_copy(update={"spec": each.spec.model_copy(update={"dataset": "tiny"})}) for each in records]
    _, models = board(records)
    assert models["rank"].to_dict() == {"a": 1, "b": 2}
    both = board([*records, *others])[0].dropna(subset=["rank"])
    assert both.groupby("dataset")["rank"].apply(list).to_dict() == {"dsprites": [1, 2], "tiny": [1, 2]}
    third = [record("c", s, 0.3 + s / 10) for s in range(5)]
    assert set(board([*records, *third])[1]["rank"]) == {1}, "of three pairs, the smallest p counts threefold"


def test_a_lower_is_better_metric_ranks_the_other_way():
    records = [record(m, s, v + s / 1000) for m, v in (("a", 0.9), ("b", 0.1)) for s in range(5)]
    table, models = board(records, facts={"kim": MetricFacts(("score",), False, ("robust",))})
    assert models["rank"].to_dict() == {"b": 1, "a": 2}
    assert list(table["model"]).index("b") < list(table["model"]).index("a")


def test_published_values_stand_beside_published_configurations_alone():
    published = pd.DataFrame(
        [["ib-gan", "dsprites", "dsprites", "kim", "robust", "score", 0.8, 0.07, 32, "a paper", ""]],
        columns=PUBLISHED_COLUMNS,
    )
    _, models = board([record()], published)
    assert models.loc["ib-gan", "published"] == 0.8
    assert models.loc["ib-gan", "published_source"] == "a paper"
    cited = published.assign(configuration=None, value=0.1)  # a paper's number for a setting that is none of ours
    assert board([record()], pd.concat([published, cited]))[1].loc["ib-gan", "published"] == 0.8
    _, models = board([record(configuration="small")], published)
    assert pd.isna(models.loc["ib-gan", "published"])


def test_the_cells_of_a_sweep_are_rows_of_their_own():
    published = pd.DataFrame(
        [["ib-gan", "dsprites", "dsprites", "kim", "robust", "score", 0.8, 0.07, 32, "a paper", ""]],
        columns=PUBLISHED_COLUMNS,
    )
    cells = {"dsprites(beta=1)": 0.4, "dsprites(beta=4)": 0.6}
    table, models = board(
        [record(value=v, configuration=c, seed=s) for c, v in cells.items() for s in (0, 1)], published
    )
    assert dict(zip(models["configuration"], models["mean"], strict=True)) == pytest.approx(cells)
    assert models["published"].isna().all()
    [shown] = rich_tables(table)
    assert {"ib-gan(beta=1)", "ib-gan(beta=4)"} <= set(shown.columns[0].cells)


def test_mixed_numerics_are_said():
    table, models = board([record(seed=0), record(seed=1, threads=2)])
    assert models.loc["ib-gan", ["device", "threads"]].tolist() == ["cpu", "mixed: 1, 2"]
    assert "seeds were computed differently: threads" in shown_text(table)


def test_a_skipped_metric_says_why():
    _, models = board([record(value="one factor only")])
    assert models.loc["ib-gan", "skipped"] == "one factor only"


def test_a_record_that_lacks_a_metric_is_shown_with_the_reason():
    """The study was extended by a metric, and not run again, or not for all of its seeds."""
    facts = FACTS | {"later": MetricFacts(("score",), True, ("robust",))}
    records = [record(seed=0), record(seed=1), record("gan", seed=0), record("gan", seed=1, status="failed")]
    records[0].scores["later"] = {"robust": {"score": 0.25}}
    table, models = board(records, facts=facts)
    later = models[models["metric"] == "later"]
    assert later["seeds"].to_dict() == {"ib-gan": 1, "gan": 0}
    assert later["failures"].to_dict() == {"ib-gan": 0, "gan": 1}
    assert later.loc["ib-gan", "mean"] == 0.25
    assert (later["skipped"] == NOT_YET).all()
    assert (models[models["metric"] == "kim"]["skipped"] == "").all()
    assert "no score: not scored yet" in shown_text(table)
    assert seed_scores(records, facts).query("metric == 'later'")["skip"].tolist() == ["", NOT_YET, NOT_YET, ""]


def test_reference_rows_show_floor_and_ceiling():
    table, _ = board([record()])
    means = table[table["code_source"] == "reference"].set_index("model")["mean"]
    assert means.to_dict() == {"oracle codes": 1.0, "random codes": 0.2}


def test_the_csv_has_all_columns_and_no_nan(tmp_path):
    table, _ = board([record(seed=0), record("gan", status="failed")])
    write_csv(table, tmp_path / "board.csv")
    text = (tmp_path / "board.csv").read_text()
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert "nan" not in text.lower()
    assert "<NA>" not in text
    back = pd.read_csv(io.StringIO(text))
    assert (back[COUNTS].dtypes == "int64").all(), "reference rows turn no count into a float"
    models = back[back["kind"] == "model"]
    assert models["seeds"].tolist() == [1, 0]
    assert set(back[back["kind"] == "reference"]["model"]) == {"oracle codes", "random codes"}
    assert all(column.isidentifier() for column in back.columns)


def test_tables_fit_a_hundred_columns():
    table, _ = board([record(m, s, 0.123456) for m in ("ib-gan", "a-model-of-a-long-name") for s in range(6)])
    assert max(map(len, shown_text(table).splitlines())) <= 100


def test_a_swept_value_is_never_cut_off():
    name = "small(lambda_od=20,lr=0.00123)"
    table, _ = board([record("infogan-modified", s, 0.123456, configuration=name) for s in range(48)])
    shown = "".join(
        line.split("│")[2].strip() for line in shown_text(table).splitlines() if "infogan" in line or "=" in line
    )
    assert "infogan-modified(lambda_od=20,lr=0.00123)" in shown.replace(" ", "")


def picture(records, path):
    return write_pictures(board(records)[0], seed_scores(records, FACTS), path)


def test_the_picture_shows_every_model_and_an_empty_table_draws_nothing(tmp_path):
    from matplotlib.image import imread

    records = [record(m, s, v + 0.01 * s) for m, v in (("ib-gan", 0.5), ("gan", 0.3)) for s in range(6)]
    few, many = tmp_path / "few.png", tmp_path / "many.png"
    assert picture(records[:2], few) == [few]
    assert picture(records, many) == [many]
    assert imread(many).shape[0] > imread(few).shape[0], "a row more for the second model"
    assert not picture([record(status="failed")], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(("seeds", "whiskers"), [(2, 0), (6, 1)])
def test_whiskers_are_intervals_and_nothing_else(seeds, whiskers):
    """Two seeds have no interval; their spread must not look like one."""
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure

    records = [record(seed=s, value=0.5 + 0.01 * s) for s in range(seeds)]
    table, _ = board(records)
    axis = Figure().subplots()
    draw_panel(axis, table[table["kind"] == "model"], seed_scores(records, FACTS))
    assert sum(isinstance(each, ErrorbarContainer) for each in axis.containers) == whiskers
    dots = axis.collections[0].get_offsets()[:, 0]
    assert dots.tolist() == pytest.approx([0.5 + 0.01 * s for s in range(seeds)])
    assert {"one seed", "mean of the seeds", "floor", "ceiling"} <= set(axis.get_legend_handles_labels()[1])


def test_a_score_that_is_better_when_lower_says_so():
    table, _ = board([record()], facts={"kim": MetricFacts(("score",), False, ("robust",))})
    assert table["better"].unique().tolist() == ["lower"]
    assert "kim · robust · lower is better" in shown_text(table)
    assert "better" not in shown_text(board([record()])[0])


def test_single_seeds_are_a_table_of_their_own(tmp_path):
    records = [record(seed=1, value=0.25), record(seed=2, status="failed"), record(seed=3, value="one factor only")]
    table = seed_scores(records, FACTS)
    assert list(table.columns) == SEED_COLUMNS
    assert table["id"].tolist() == [each.id for each in records]
    assert table["status"].tolist() == ["finished", "failed", "finished"]
    assert table["value"].isna().tolist() == [False, True, True]
    assert table["skip"].tolist() == ["", "", "one factor only"]
    write_csv(table, tmp_path / "scores.csv", digits=17)
    assert pd.read_csv(tmp_path / "scores.csv")["value"].dropna().tolist() == [0.25]


def test_what_was_changed_in_a_configuration_is_said():
    published = IBGAN.configurations["dsprites"].model_dump(mode="json")
    changed = record(configuration="dsprites-changed")
    spec = changed.spec.model_copy(update={"config": published | {"beta": 4.0, "steps": 20}})
    table, models = board([changed.model_copy(update={"spec": spec})])
    assert set(models.loc["ib-gan", "changes"].split(", ")) == {"steps=20", "beta=4"}
    assert f"ib-gan: dsprites with {models.loc['ib-gan', 'changes']}" in shown_text(table)
    unknown = changed.model_copy(update={"spec": spec.model_copy(update={"model": "of-a-plugin"})})
    assert board([unknown])[1]["changes"].tolist() == [""]


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_narrow_terminal_loses_columns_before_digits(width):
    records = [record(m, s, 0.123456) for m in ("ib-gan", "infogan-modified") for s in range(6)]
    for each in records:
        each.scores["kim"]["robust"]["sampling"] = {"repeats": 3, "score": 0.012}
    text = shown_text(board(records)[0], width)
    assert max(map(len, text.splitlines())) <= width
    assert "0.123 ± 0.000" in text
    assert "…" not in text
    assert ("codes from" in text) == (width == 100)


def shown_text(table: pd.DataFrame, width: int = 100) -> str:
    """The leaderboard as a terminal shows it."""
    console = Console(width=width, file=io.StringIO())
    for shown in rich_tables(table, width):
        console.print(shown)
    return console.file.getvalue()


def test_no_records_give_an_empty_table():
    assert leaderboard([], FACTS, {}, NOTHING).empty


def test_the_papers_tables_are_readable_and_hold_ib_gans_score():

    published = read_published(ROOT / "results" / "published")
    row = published[(published["model"] == "ib-gan") & (published["metric"] == "factor-vae")].iloc[0]
    assert (row["value"], row["spread"], row["seeds"]) == (0.80, 0.07, 32)
    assert published["source"].notna().all()


def test_a_published_table_without_its_columns_gets_a_sentence(tmp_path):
    (tmp_path / "bad.csv").write_text("model,value\nx,1\n")
    with pytest.raises(UserError, match=r"bad\.csv lacks the column 'configuration'"):
        read_published(tmp_path)


def test_a_virtual_dataset_says_which_part_of_it_was_scored():
    table, models = board([record("gan").model_copy(update={"evaluated": (10, 5_120)})])
    assert models.loc["gan", "evaluated"] == "10 of 5,120 images"
    assert any("scored on 10 of 5,120 images" in str(shown.caption) for shown in rich_tables(table))


FORMULAS = ("=HYPERLINK(1)", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1")


def test_no_spreadsheet_runs_what_a_name_says(tmp_path):
    """A cell that begins like a formula is one, whoever named the model so; numbers stay as they are."""
    table = pd.DataFrame({"model": [*FORMULAS, "a-b", "-3", "+1e5"], "mean": -0.25, "=note": "plain"})
    write_csv(table, tmp_path / "o.csv")
    read = pd.read_csv(tmp_path / "o.csv", dtype={"model": str})
    assert list(read["model"][:6]) == [f"'{formula}".replace("\r", " ") for formula in FORMULAS]
    assert list(read["model"][6:]) == ["a-b", "-3", "+1e5"]
    assert list(read["mean"]) == [-0.25] * 9
    assert list(read.columns) == ["model", "mean", "'=note"]


def test_a_leaderboard_of_a_model_with_such_a_name(tmp_path):
    table, _ = board([record(model="=1+1", seed=s, value=0.5) for s in range(3)])
    write_csv(table, tmp_path / "o.csv")
    assert "\n=" not in (tmp_path / "o.csv").read_text()
    assert ",=" not in (tmp_path / "o.csv").read_text()
    assert "'=1+1" in (tmp_path / "o.csv").read_text()
