"""Models compared in a picture: their performance profiles, and each pair's probability of improvement."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from disentangle_bench.boards.compare import order, samples_of
from disentangle_bench.boards.leaderboard import MetricFacts
from disentangle_bench.boards.profiles import Estimate, performance_profile, probability_of_improvement
from disentangle_bench.boards.statistics import MIN_SEEDS
from disentangle_bench.errors import UserError
from disentangle_bench.pictures.paper import BLUE, COLOURS, COLUMN, LINES, PAGE, paper_figure, paper_style

THRESHOLDS = 201  # of a profile
MOST_MODELS = 10  # 45 pairs, a page high
PROFILE, LEGEND_ROW, FRAME, PAIR = 5.0, 0.4, 1.6, 0.38  # cm; a pair's is of each line of its name
LONGEST = 34  # letters of a pair's name in one line


@dataclass(frozen=True)
class Compared:
    """One score of all models.

    runs: by model, a sample (n,) for each dataset, in which more is better: a score that is better when lower is
    negated. sign: 1, or -1 where that was done. datasets: those on which all models have a score.
    """

    title: str
    datasets: list[str]
    runs: dict[str, list[np.ndarray]]
    sign: int


def compared_scores(frame: pd.DataFrame, facts: Mapping[str, MetricFacts], models: Sequence[str]) -> list[Compared]:
    """What can be drawn of `labelled_scores`: for each metric × protocol × key the models that are named; none: all.

    A score without two models that have one dataset in common is left out.
    """
    found = []
    for (metric, protocol, key), rows in frame.groupby(["metric", "protocol", "key"], sort=False):
        sign = 1 if facts[str(metric)].higher_is_better else -1
        samples = {
            str(dataset): {label: sign * sample for label, sample in samples_of(group).items() if len(sample)}
            for dataset, group in rows.groupby("dataset", sort=False)
        }
        labels = [
            label for label in models or rows["label"].unique() if any(label in each for each in samples.values())
        ]
        shared = [dataset for dataset, each in samples.items() if set(labels) <= each.keys()]
        if len(labels) < 2 or not shared:
            continue
        runs = {label: [samples[dataset][label] for dataset in shared] for label in labels}
        if not models:
            runs = dict(sorted(runs.items(), key=lambda item: np.mean([order(sample, True) for sample in item[1]])))
        title = f"{metric} · {protocol}" + ("" if key == "score" else f" · {key}")
        found.append(Compared(title, shared, runs, sign))
    return found


def profile_figure(scores: Sequence[Compared], rng: np.random.Generator) -> Any:
    """A matplotlib figure: of each score the models' profiles and, below, the probability that one improves on another.

    Bands and whiskers are 95 % intervals by a stratified bootstrap drawn from `rng`, where all samples have three seeds
    or more. 8 cm wide for one score, 17 cm for several. `UserError` for no score, or more than `MOST_MODELS` models.
    """
    if not scores:
        raise UserError("no two of the models have a score on the same dataset, so there is nothing to draw.")
    most = max(len(score.runs) for score in scores)
    if most > MOST_MODELS:
        raise UserError(f"{most} models are too many for one picture; name up to {MOST_MODELS} of them with --models.")
    columns = min(2, len(scores))
    rows = -(-len(scores) // columns)
    names = [name for score in scores for name in pair_names(score)]
    lines = 1 + any("\n" in name for name in names)
    heights = [PROFILE + LEGEND_ROW * (most // 2 + 1), FRAME + PAIR * lines * (most * (most - 1) // 2)]
    with paper_style():
        figure = paper_figure(COLUMN if columns == 1 else PAGE, rows * sum(heights))
        parts = figure.subfigures(rows, columns, squeeze=False).ravel()
        for part, score in zip(parts, scores, strict=False):
            above, below = part.subfigures(2, 1, height_ratios=heights)  # margins of their own
            draw_profiles(above.subplots(), score, rng)
            above.legend(loc="outside lower center", ncols=2)
            draw_improvements(below.subplots(), score, rng)
    return figure


def draw_profiles(axis: Any, score: Compared, rng: np.random.Generator) -> None:
    """Each model's share of runs beyond each threshold."""
    values = np.concatenate([sample for tasks in score.runs.values() for sample in tasks])
    margin = 0.03 * (np.ptp(values) or 1.0)
    taus = np.linspace(values.min() - margin, values.max() + margin, THRESHOLDS)
    for place, (label, tasks) in enumerate(score.runs.items()):
        profile = performance_profile(tasks, taus, rng)
        colour, line = COLOURS[place % len(COLOURS)], LINES[place // len(COLOURS)]
        x = score.sign * taus
        axis.step(x, profile.value, where="mid", color=colour, linestyle=line, label=label)
        if enough(tasks):
            axis.fill_between(x, profile.low, profile.high, step="mid", color=colour, alpha=0.15, linewidth=0)
    axis.set_title(f"{score.title}\n{where(score)}")
    axis.set_xlabel("score τ")
    axis.set_ylabel(f"share of runs {'>' if score.sign > 0 else '<'} τ")
    axis.grid(True)


def draw_improvements(axis: Any, score: Compared, rng: np.random.Generator) -> None:
    """Each pair's probability that a run of the first is better than one of the second."""
    pairs = list(itertools.combinations(score.runs, 2))
    for place, (one, two) in enumerate(pairs):
        tasks = score.runs[one], score.runs[two]
        found: Estimate = probability_of_improvement(*tasks, rng)
        if enough([*tasks[0], *tasks[1]]):
            axis.plot(
                [found.low, found.high], [place, place], color=BLUE, linewidth=3, alpha=0.35, solid_capstyle="butt"
            )
        axis.plot(found.value, place, marker="o", markersize=3.5, color=BLUE)
    axis.axvline(0.5, color="0.4", linestyle="--", linewidth=0.8)
    names = pair_names(score)
    axis.set_yticks(range(len(pairs)), names, fontsize=6 if any("\n" in name for name in names) else None)
    axis.set_ylim(len(pairs) - 0.4, -0.6)  # the best pair on top
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel("probability of improvement")
    axis.grid(True, axis="x")


def pair_names(score: Compared) -> list[str]:
    """What each pair is called beside its bar; long names take two lines."""
    pairs = itertools.combinations(score.runs, 2)
    return [f"{one}{chr(10) if len(one) + len(two) > LONGEST else ' '}over {two}" for one, two in pairs]


def enough(tasks: Sequence[np.ndarray]) -> bool:
    """Whether all samples have the seeds that an interval needs."""
    return min(len(sample) for sample in tasks) >= MIN_SEEDS


def where(score: Compared) -> str:
    """The dataset, or how many they are, of which all numbers are the mean; and the seeds of each model."""
    count = len(score.datasets)
    place = f"on {score.datasets[0]}" if count == 1 else f"mean over {count} datasets"
    seeds = [len(sample) for tasks in score.runs.values() for sample in tasks]
    return f"{place}, {min(seeds)}{f' to {max(seeds)}' * (max(seeds) > min(seeds))} seeds a model"
