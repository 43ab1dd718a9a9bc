"""A leaderboard as a picture: each model's mean and interval, between what chance and the true factors score."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from disentangle_bench.pictures.tiles import write_png
from disentangle_bench.trials.sweep import variant_of

PANELS_A_ROW = 3
MODEL, FLOOR, CEILING = "#0072B2", "#D55E00", "#009E73"  # Okabe & Ito's, told apart by every eye


def write_picture(table: pd.DataFrame, path: Path) -> None:
    """One panel a dataset × metric × protocol × key: the mean of each model's seeds, its 95 % interval where there are
    five seeds or more, else the range of its seeds, and the metric's floor and ceiling. Nothing for an empty table."""
    from matplotlib.figure import Figure

    shown = table[(table["code_source"] != "reference") & table["mean"].notna()]
    panels = list(shown.groupby(["dataset", "metric", "protocol", "key"], sort=False))
    if not panels:
        return
    columns = min(PANELS_A_ROW, len(panels))
    rows = -(-len(panels) // columns)
    most = max(len(group) for _, group in panels)
    figure = Figure(figsize=(4.2 * columns, rows * (1.3 + 0.3 * most)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, ((dataset, metric, protocol, key), group) in zip(axes, panels, strict=False):
        models = group.iloc[::-1].to_dict("records")  # the best on top
        names = [str(row["model"]) + variant_of(str(row["configuration"])) for row in models]
        means = [float(row["mean"]) for row in models]
        interval = [("ci95_low", "ci95_high") if pd.notna(row["ci95_low"]) else ("min", "max") for row in models]
        below = [max(0.0, mean - row[low]) for mean, row, (low, _) in zip(means, models, interval, strict=True)]
        above = [max(0.0, row[high] - mean) for mean, row, (_, high) in zip(means, models, interval, strict=True)]
        places = range(len(models))
        axis.errorbar(means, places, xerr=[below, above], fmt="o", color=MODEL, capsize=3, markersize=5)
        for end, colour, style in (("floor", FLOOR, "--"), ("ceiling", CEILING, ":")):
            known = [float(row[end]) for row in models if pd.notna(row[end])]
            if known:
                axis.axvline(known[0], color=colour, linestyle=style, label=end)
        axis.set_yticks(list(places), names)
        axis.set_title(f"{metric} · {protocol}" + ("" if key == "score" else f" · {key}"), fontsize=10)
        axis.set_xlabel(f"score on {dataset}", fontsize=9)
        axis.grid(axis="x", alpha=0.3)
        axis.margins(y=0.15)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    handles, labels = next((found for a in axes if (found := a.get_legend_handles_labels())[0]), ([], []))
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    write_png(figure, path, dpi=110)
