"""The curves of a study: what is read of its trials, and what of that is drawn."""

import numpy as np
import pandas as pd
import pytest

from disentangle_bench.boards.curves import (
    COLUMNS,
    POINTS,
    by_last_value,
    chosen,
    model_figure,
    panel_of,
    seeds_of,
    study_curves,
    study_figure,
)
from disentangle_bench.errors import UserError
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.trials.attempt import write_curves
from disentangle_bench.trials.records import Record, Workspace, write_record
from disentangle_bench.trials.spec import TrialSpec
from tests.boards.paper import stands_in_a_paper


def trial(seed=0, model="a", steps=9) -> TrialSpec:
    return TrialSpec(
        model=model, model_source=None, configuration="small(beta=4)", config={"steps": steps}, dataset="tiny",
        dataset_checksum="c", seed=seed, numerics=Numerics(),
    )  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Writes what a trial leaves: its curves and, but while it runs, its record."""
    workspace = Workspace(tmp_path, tmp_path)

    def write(spec, rows, status="finished", **fields):
        write_curves(workspace.trial(spec.id) / "curves.csv", rows)
        if status:
            write_record(workspace.record(spec.id), Record(id=spec.id, spec=spec, status=status, **fields))
        return spec

    write.workspace = workspace
    return write


def rows_of(**curves):
    """Rows of `study_curves`: for each seed its values at steps 1, 2, …, by curve."""
    return pd.DataFrame(
        [
            (f"{seed}", "tiny", "a", "small", seed, "finished", step, curve, value)
            for curve, seeds in curves.items()
            for seed, values in enumerate(seeds)
            for step, value in enumerate(values, start=1)
        ],
        columns=COLUMNS,
    )


def test_each_logged_value_is_a_row_and_what_was_not_logged_is_none(write):
    spec = write(trial(), [{"step": 1, "loss/vae": 7.0}, {"step": 2, "loss/vae": 6.0, "kl_0": 0.5}])
    table = study_curves([spec, trial(seed=1)], write.workspace)
    assert table[["step", "curve", "value"]].values.tolist() == [
        [1, "loss/vae", 7],
        [2, "loss/vae", 6],
        [2, "kl_0", 0.5],
    ]
    assert set(table["model"]) == {"a(beta=4)"}
    assert list(table.columns) == COLUMNS


@pytest.mark.parametrize("status", ["diverged", "failed", None])
def test_trials_that_did_not_finish_are_there_as_far_as_they_came(write, status):
    spec = write(trial(), [{"step": 1, "loss/vae": 7.0}], status)
    assert study_curves([spec], write.workspace)["status"].tolist() == [status or "running"]


def test_a_training_stopped_before_its_first_log_left_no_curve(write):
    spec = write(trial(), [], None)
    assert study_curves([spec], write.workspace).empty


def test_scores_along_the_training_are_curves_that_end_in_the_last_scores(write):
    def scores(value):
        return {"mig": {"robust": {"score": value, "active_codes": 10}, "locatello": {"skip": "no"}}}

    spec = write(trial(), [], scores_along=[{"step": 3, "scores": scores(0.1)}], scores=scores(0.2))
    table = study_curves([spec], write.workspace)
    assert table[["step", "curve", "value"]].values.tolist() == [
        [3, "score/mig/robust", 0.1], [9, "score/mig/robust", 0.2],
    ]  # fmt: skip


def test_damaged_curves_are_named(write):
    spec = trial()
    write(spec, [])
    (write.workspace.trial(spec.id) / "curves.csv").write_text('stp,"loss\n1,2,3\n')
    with pytest.raises(UserError, match=r"curves\.csv is damaged"):
        study_curves([spec], write.workspace)


def test_what_shares_a_panel():
    assert panel_of("information_lower") == panel_of("information_upper") == "information"
    assert panel_of("kl_0") == panel_of("kl_12") == "kl"
    assert panel_of("information_3") == "information_by_code"
    assert panel_of("loss/D") == "loss/D"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], {"loss/D", "loss/G", "kl_0", "kl_1", "score/mig/robust"}),
        (["loss"], {"loss/D", "loss/G"}),
        (["loss/G", "kl"], {"loss/G", "kl_0", "kl_1"}),
        (["kl_1"], {"kl_1"}),
        (["mig"], {"score/mig/robust"}),
        (["mig/robust"], {"score/mig/robust"}),
    ],
)
def test_curves_are_chosen_by_their_own_names_or_their_families(names, found):
    curves = ("loss/D", "loss/G", "kl_0", "kl_1", "score/mig/robust")
    assert set(chosen(rows_of(**{curve: [[1.0]] for curve in curves}), names)["curve"]) == found


def test_a_name_that_no_curve_has_is_a_mistake():
    with pytest.raises(UserError, match=r"'los'\. Did you mean 'loss'"):
        chosen(rows_of(**{"loss/D": [[1.0]]}), ["los"])


def test_few_steps_are_drawn_as_they_are_and_many_by_their_means():
    few = seeds_of(rows_of(x=[[1.0, 2.0], [3.0, 4.0]]))
    assert few.index.tolist() == [1, 2]
    assert few.values.tolist() == [[1, 3], [2, 4]]
    many = seeds_of(rows_of(x=[np.arange(4.0 * POINTS), np.arange(8.0 * POINTS)]))
    assert len(many) == POINTS
    assert many.index[:2].tolist() == [4, 12], "the middles of the parts of eight steps"
    assert many[1].iloc[:2].tolist() == [3.5, 11.5], "the means of 0..7 and of 8..15"
    assert many[0].notna().sum() == POINTS / 2, "the shorter seed ends where it ended"


def test_a_family_is_ordered_within_each_seed_by_its_last_values():
    """Seed 1's dimensions are those of seed 0 the other way round: the same two curves."""
    one, two = [0.0, 1.0, 5.0], [0.0, 2.0, 0.1]
    curves = rows_of(kl_0=[one, two], kl_1=[two, one])
    lines = {name: seeds_of(part) for name, part in curves.groupby("curve")}
    ordered = list(by_last_value(lines).values())
    assert ordered[0].T.values.tolist() == [one, one]
    assert ordered[1].T.values.tolist() == [two, two]


def test_a_panel_shows_each_seed_their_median_and_the_band_of_their_quartiles():
    figure = model_figure(rows_of(x=[[0.0, 1.0], [2.0, 2.0], [10.0, 9.0]]), "tiny", "a")
    [axis] = figure.subfigs[0].axes
    assert [line.get_ydata().tolist() for line in axis.lines] == [[0, 1], [2, 2], [10, 9], [2, 2]]
    [band] = axis.collections
    assert {1.0, 6.0} <= set(band.get_paths()[0].vertices[:, 1]), "quartiles of 0, 2, 10"
    assert axis.get_xlabel() == "training step"
    two = model_figure(rows_of(x=[[0.0, 1.0], [2.0, 2.0]]), "tiny", "a")
    assert not two.subfigs[0].axes[0].collections, "two seeds have no quartiles"


def test_seeds_that_diverged_are_dashed_and_counted():
    curves = rows_of(x=[[0.0, 1.0], [2.0, 2.0]])
    curves.loc[curves["seed"] == 1, "status"] = "diverged"
    part = study_figure(curves).subfigs[0]
    assert [line.get_linestyle() for line in part.axes[0].lines] == ["-", "--", "-"]
    assert part.get_suptitle() == "a on tiny, 2 seeds (1 diverged)"


def test_losses_come_first_and_scores_last():
    curves = rows_of(**{name: [[1.0]] for name in ("elbo", "score/mig/robust", "noise", "kl_0", "loss/D")})
    titles = [axis.get_title() for axis in study_figure(curves).subfigs[0].axes if axis.get_visible()]
    assert titles == ["loss of the D", "KL by dimension (nats)", "ELBO (nats)", "instance noise σ", "mig · robust"]


@pytest.mark.parametrize("count", [1, 3, 9])
def test_few_panels_take_one_column_of_a_paper_and_many_two(count):
    names = ["loss/discriminator", "information_lower", "kl_0", *(f"x{place}" for place in range(6))][:count]
    curves = rows_of(**{name: [[1.0, 2.0], [2.0, 1.0], [1e6, 1.0]] for name in names})
    stands_in_a_paper(study_figure(curves))
