"""A swept setting drawn: each score against the setting's value, with single seeds, means and intervals."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from disentangle_bench.boards.picture import ENDS, PANEL, PANELS_A_ROW, legend_below, of_panel, title_of
from disentangle_bench.pictures.paper import COLOURS, COLUMN, LINES, MARKS, PAGE, paper_figure, paper_style
from disentangle_bench.trials.sweep import variant_of

PANEL_HEIGHT, LEGEND = 4.2, 1.0  # cm


def swept_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard's rows of models of which one setting was swept over numbers, with that `field` and its `at`.

    Empty where no model has two such rows of one score. A model of which several settings were swept at once has none:
    its score is no function of one of them.
    """
    models = table[(table["kind"] == "model") & table["mean"].notna()]
    found = [single_setting(str(configuration)) for configuration in models["configuration"]]
    fields, values = [field for field, _ in found], np.array([value for _, value in found], dtype=np.float64)
    rows = models.assign(field=fields, at=values).dropna(subset=["at"])
    return rows[rows.groupby([*PANEL, "model", "field"])["at"].transform("nunique") > 1]


def single_setting(configuration: str) -> tuple[str, float | None]:
    """The swept field and its number in a configuration's name, `small(beta=4)`; ("", None) where there is none."""
    match = re.fullmatch(r"\((\w+)=([^,()]+)\)", variant_of(configuration))
    try:
        return (match[1], float(match[2])) if match else ("", None)
    except ValueError:  # a text, as `optimiser=adam`
        return "", None


def swept_figure(table: pd.DataFrame, seeds: pd.DataFrame) -> Any:
    """A matplotlib figure, one panel a swept setting × score: seeds as dots, means as a line with 95 % intervals.

    table: a leaderboard; seeds: its single seeds. The axis is logarithmic where the values are spaced so. 8 cm wide for
    one score, 17 cm for several. None where no setting was swept by itself.
    """
    panels = list(swept_rows(table).groupby(["field", *PANEL], sort=False))
    if not panels:
        return None
    columns = min(PANELS_A_ROW, len(panels))
    rows = -(-len(panels) // columns)
    with paper_style():
        figure = paper_figure(COLUMN if columns == 1 else PAGE, rows * PANEL_HEIGHT + LEGEND)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, ((_, *names), group) in zip(axes, panels, strict=False):
            draw_panel(axis, group.sort_values("at"), of_panel(seeds, names))
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        legend_below(figure, axes[: len(panels)], 2 if columns == 1 else 5)
    return figure


def draw_panel(axis: Any, group: pd.DataFrame, seeds: pd.DataFrame) -> None:
    """One score against one setting, a line a model; `group` is in the order of the values."""
    for place, (model, rows) in enumerate(group.groupby("model")):
        colour, mark = COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)]
        for at, configuration in zip(rows["at"], rows["configuration"], strict=True):
            own = seeds.loc[(seeds["model"] == model) & (seeds["configuration"] == configuration), "value"]
            axis.scatter([at] * len(own), own, s=7, color=colour, alpha=0.35, linewidths=0, label="one seed")
        half = (rows["ci95_t_high"] - rows["ci95_t_low"]) / 2  # missing below three seeds: no whisker is drawn
        axis.errorbar(
            rows["at"], rows["mean"], yerr=half, color=colour, marker=mark, markersize=3.5, capsize=2,
            linestyle=LINES[place % len(LINES)], label=f"{model}: mean, 95 % interval",
        )  # fmt: skip
    draw_ends(axis, group)
    first, values = group.iloc[0], np.unique(group["at"])
    set_scale(axis, values)
    axis.set_title(title_of(first))
    axis.set_xlabel(f"{first['field']}, on {first['dataset']}")
    axis.set_ylabel(f"score, {first['better']} is better")
    axis.grid(True, axis="y")


def draw_ends(axis: Any, group: pd.DataFrame) -> None:
    """Floor and ceiling as lines; one that lies so far from all scores that it would press them flat, as a word."""
    low, high = axis.get_ylim()
    for end, colour, style in ENDS:
        value = group[end].dropna().max()
        if 2 * low - high <= value <= 2 * high - low:
            axis.axhline(value, color=colour, linestyle=style, label=end)
        elif not np.isnan(value):
            above = value > high
            where = {"y": 1, "va": "top"} if above else {"y": 0, "va": "bottom"}
            axis.text(
                1,
                s=f"{end} {value:.3g} {'↑' if above else '↓'}",
                ha="right",
                color=colour,
                transform=axis.transAxes,
                **where,
            )


def set_scale(axis: Any, values: np.ndarray) -> None:
    """Put a tick at each value (n,), on a logarithmic axis where they are spaced so."""
    if log_spaced(values):
        axis.set_xscale("log")
        axis.minorticks_off()
    axis.set_xticks(values, [f"{value:g}" for value in values])
    axis.margins(x=0.08)


def log_spaced(values: np.ndarray) -> bool:
    """Whether values (n,), in ascending order, are all positive, and their ratios more alike than their differences."""
    if len(values) < 3 or values[0] <= 0:
        return False
    steps, ratios = np.diff(values), np.diff(np.log(values))
    return bool(ratios.std() / ratios.mean() < steps.std() / steps.mean())
