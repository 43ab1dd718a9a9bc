"""A leaderboard as a picture: each model's seeds, mean and interval, between what chance and the true factors score."""

from __future__ import annotations

from typing import Any

import pandas as pd

from disentangle_bench.pictures.paper import BLUE, COLUMN, GREEN, PAGE, VERMILION, paper_figure, paper_style
from disentangle_bench.trials.sweep import variant_of

PANELS_A_ROW = 3
ROW, FRAME, LEGEND = 0.42, 1.9, 0.9  # cm: a model's row, a panel's title and axis, the legend
PANEL = ["dataset", "metric", "protocol", "key"]
ENDS = (("floor", VERMILION, "--"), ("ceiling", GREEN, ":"))


def leaderboard_figure(table: pd.DataFrame, seeds: pd.DataFrame) -> Any:
    """A matplotlib figure, one panel a score: each model's seeds as small dots, their mean as a large one, its 95 %
    interval as whiskers where the leaderboard gives one, and the score's floor and ceiling.

    8 cm wide for one score, 17 cm for several. seeds: the table of single seeds that belongs to the leaderboard. None
    where there is nothing to draw.
    """
    shown = table[(table["kind"] == "model") & table["mean"].notna()]
    panels = list(shown.groupby(PANEL, sort=False))
    if not panels:
        return None
    columns = min(PANELS_A_ROW, len(panels))
    rows = -(-len(panels) // columns)
    most = max(len(group) for _, group in panels)
    with paper_style():
        figure = paper_figure(COLUMN if columns == 1 else PAGE, rows * (FRAME + ROW * most) + LEGEND)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (names, group) in zip(axes, panels, strict=False):
            draw_panel(axis, group.iloc[::-1], of_panel(seeds, names))  # the best on top
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        legend_below(figure, axes[: len(panels)], 3 if columns == 1 else 5)
    return figure


def of_panel(seeds: pd.DataFrame, names: Any) -> pd.DataFrame:
    """The rows of single seeds that have a value of this score; `names` are `PANEL`'s."""
    return seeds[(seeds[PANEL] == list(names)).all(axis=1) & seeds["value"].notna()]


def legend_below(figure: Any, axes: Any, columns: int) -> None:
    """One legend of all that some panels show, below them."""
    legend: dict[str, Any] = {}
    for axis in axes:
        legend |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=columns)


def title_of(row: pd.Series) -> str:
    """What stands above a panel of one score."""
    return f"{row['metric']} · {row['protocol']}" + ("" if row["key"] == "score" else f"\n{row['key']}")


def draw_panel(axis: Any, group: pd.DataFrame, seeds: pd.DataFrame) -> None:
    """One score of all models; `group` and `seeds` are the rows of the two tables that are of it."""
    for place, (_, row) in enumerate(group.iterrows()):
        same = (seeds["model"] == row["model"]) & (seeds["configuration"] == row["configuration"])
        values = seeds.loc[same, "value"]
        axis.scatter(values, [place - 0.25] * len(values), s=7, color=BLUE, alpha=0.35, linewidths=0, label="one seed")
        if pd.notna(row["ci95_t_low"]):
            ends = [[row["mean"] - row["ci95_t_low"]], [row["ci95_t_high"] - row["mean"]]]
            axis.errorbar(row["mean"], place, xerr=ends, fmt="none", color=BLUE, capsize=2, label="95 % interval")
        axis.scatter(row["mean"], place, s=16, color=BLUE, zorder=3, linewidths=0, label="mean of the seeds")
    for end, colour, style in ENDS:
        known = group[end].dropna()
        if len(known):
            axis.axvline(known.iloc[0], color=colour, linestyle=style, label=end)
    first = group.iloc[0]
    labels = [f"{row['model']}{variant_of(str(row['configuration']))}" for _, row in group.iterrows()]
    axis.set_yticks(range(len(group)), labels)
    axis.set_ylim(-0.8, len(group) - 0.4)
    axis.set_title(title_of(first))
    axis.set_xlabel(f"score on {first['dataset']},\n{first['better']} is better")
    axis.grid(True, axis="x")
