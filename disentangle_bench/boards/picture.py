"""A leaderboard as a picture: each model's seeds, mean and interval, between what chance and the true factors score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from disentangle_bench.pictures.tiles import write_png
from disentangle_bench.trials.sweep import variant_of

PANELS_A_ROW = 3
MODEL, FLOOR, CEILING = "#0072B2", "#D55E00", "#009E73"  # Okabe & Ito's, told apart by every eye
PANEL = ["dataset", "metric", "protocol", "key"]


def write_picture(table: pd.DataFrame, seeds: pd.DataFrame, path: Path) -> bool:
    """One panel a score: each model's seeds as small dots, their mean as a large one, its 95 % interval as whiskers
    where the leaderboard gives one, and the score's floor and ceiling.

    seeds: the table of single seeds that belongs to the leaderboard. Returns whether there was anything to draw.
    """
    from matplotlib.figure import Figure

    shown = table[(table["kind"] == "model") & table["mean"].notna()]
    panels = list(shown.groupby(PANEL, sort=False))
    if not panels:
        return False
    columns = min(PANELS_A_ROW, len(panels))
    rows = -(-len(panels) // columns)
    most = max(len(group) for _, group in panels)
    figure = Figure(figsize=(4.2 * columns, rows * (1.3 + 0.3 * most)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (names, group) in zip(axes, panels, strict=False):
        of_panel = (seeds[PANEL] == list(names)).all(axis=1) & seeds["value"].notna()
        draw_panel(axis, group.iloc[::-1], seeds[of_panel])  # the best on top
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    legend: dict[str, Any] = {}
    for axis in axes[: len(panels)]:
        legend |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    write_png(figure, path, dpi=110)
    return True


def draw_panel(axis: Any, group: pd.DataFrame, seeds: pd.DataFrame) -> None:
    """One score of all models; `group` and `seeds` are the rows of the two tables that are of it."""
    for place, (_, row) in enumerate(group.iterrows()):
        same = (seeds["model"] == row["model"]) & (seeds["configuration"] == row["configuration"])
        values = seeds.loc[same, "value"]
        axis.scatter(values, [place] * len(values), s=12, color=MODEL, alpha=0.35, linewidths=0, label="one seed")
        if pd.notna(row["ci95_t_low"]):
            ends = [[row["mean"] - row["ci95_t_low"]], [row["ci95_t_high"] - row["mean"]]]
            axis.errorbar(row["mean"], place, xerr=ends, fmt="none", color=MODEL, capsize=3, label="95 % interval")
        axis.scatter(row["mean"], place, s=30, color=MODEL, zorder=3, label="mean of the seeds")
    for end, colour, style in (("floor", FLOOR, "--"), ("ceiling", CEILING, ":")):
        known = group[end].dropna()
        if len(known):
            axis.axvline(known.iloc[0], color=colour, linestyle=style, label=end)
    first = group.iloc[0]
    labels = [f"{row['model']}{variant_of(str(row['configuration']))}" for _, row in group.iterrows()]
    axis.set_yticks(range(len(group)), labels)
    title = f"{first['metric']} · {first['protocol']}" + ("" if first["key"] == "score" else f" · {first['key']}")
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(f"score on {first['dataset']}, {first['better']} is better", fontsize=9)
    axis.grid(axis="x", alpha=0.3)
    axis.margins(y=0.15)
