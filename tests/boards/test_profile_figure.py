"""Models compared in a picture: which runs are drawn, which way is better, and where too few are."""

import numpy as np
import pytest

from disentangle_bench.boards.compare import labelled_scores
from disentangle_bench.boards.leaderboard import MetricFacts
from disentangle_bench.boards.profile_figure import compared_scores, profile_figure
from disentangle_bench.errors import UserError
from tests.boards.paper import stands_in_a_paper
from tests.boards.test_leaderboard import FACTS, record

LOWER = {"kim": MetricFacts(("score",), False, ("robust",))}


def runs(model, *values, dataset="dsprites"):
    made = [record(model, seed, value) for seed, value in enumerate(values)]
    return [each.model_copy(update={"spec": each.spec.model_copy(update={"dataset": dataset})}) for each in made]


def compared(records, models=(), facts=FACTS):
    return compared_scores(labelled_scores(records, facts, models), facts, models)


def figure_of(records, models=(), facts=FACTS):
    return profile_figure(compared(records, models, facts), np.random.default_rng(0))


def axes_of(figure):
    [score] = figure.subfigs
    return [part.axes[0] for part in score.subfigs]


def test_the_better_model_is_named_first_unless_models_are():
    records = [*runs("a", 0.1, 0.2, 0.3), *runs("b", 0.7, 0.8, 0.9), *runs("c", 0.4, 0.5, 0.6)]
    assert list(compared(records)[0].runs) == ["b", "c", "a"]
    assert list(compared(records, facts=LOWER)[0].runs) == ["a", "c", "b"]
    assert list(compared(records, ["a", "b"])[0].runs) == ["a", "b"]


def test_datasets_on_which_a_model_has_no_score_are_left_out():
    records = [*runs("a", 0.1, 0.2), *runs("b", 0.3), *runs("a", 0.5, dataset="tiny"), *runs("b", 0.6, dataset="tiny")]
    [score] = compared([*records, *runs("a", 0.9, dataset="other"), record("b", 9, status="failed")])
    assert score.datasets == ["dsprites", "tiny"]
    assert {label: [each.tolist() for each in tasks] for label, tasks in score.runs.items()} == {
        "b": [[0.3], [0.6]], "a": [[0.1, 0.2], [0.5]],
    }  # fmt: skip
    assert compared([*runs("a", 0.1), *runs("b", 0.3, dataset="tiny")]) == []


@pytest.mark.parametrize(("facts", "sign"), [(FACTS, 1), (LOWER, -1)])
def test_profiles_show_the_share_beyond_each_score(facts, sign):
    profiles, _ = axes_of(figure_of([*runs("a", 0.2, 0.4, 0.4, 0.8), *runs("b", 0.1, 0.1, 0.1)], ["a", "b"], facts))
    line = profiles.lines[0]
    share = dict(zip(np.round(line.get_xdata(), 3), line.get_ydata(), strict=True))
    near = share[min(share, key=lambda tau: abs(tau - 0.5))]
    assert near == pytest.approx(1 / 4 if sign > 0 else 3 / 4)
    assert profiles.get_ylabel() == ("share of runs > τ" if sign > 0 else "share of runs < τ")


@pytest.mark.parametrize(("facts", "chance"), [(FACTS, 5 / 8), (LOWER, 3 / 8)])
def test_improvements_are_of_the_pairs_first_model(facts, chance):
    records = [*runs("a", 0.3, 0.5), *runs("b", 0.3, 0.4)]  # ½ + 0 + 1 + 1 of 4
    _, pairs = axes_of(figure_of(records, ["a", "b"], facts))
    [point] = [line for line in pairs.lines if line.get_marker() == "o"]
    assert point.get_xdata() == pytest.approx(chance)
    assert [label.get_text() for label in pairs.get_yticklabels()] == ["a over b"]


@pytest.mark.parametrize(("seeds", "bands"), [(2, 0), (3, 2)])
def test_bands_need_three_seeds(seeds, bands):
    values = np.linspace(0.1, 0.9, seeds).tolist()
    profiles, pairs = axes_of(figure_of([*runs("a", *values), *runs("b", *values)]))
    assert len(profiles.collections) == bands
    assert len(pairs.lines) == 2 + bool(bands), "a point, the line at one half, and the interval"


def test_many_models_are_too_many():
    with pytest.raises(UserError, match="11 models are too many for one picture; name up to 10"):
        figure_of([each for model in "abcdefghijk" for each in runs(model, 0.5)])


def test_it_stands_in_a_paper():
    records = [*runs("infogan-modified", 0.1, 0.2, 0.3), *runs("annealed-vae", 0.2, 0.4, 0.9), *runs("gan", 0.1, 0.1)]
    stands_in_a_paper(figure_of(records))
    facts = {"kim": MetricFacts(("score", "other"), True, ("robust",))}
    for each in records:
        each.scores["kim"]["robust"]["other"] = 0.5
    stands_in_a_paper(figure_of(records, facts=facts))
