"""How docs/explanation/cost.md shows what `cost.py` measured: four panels of a picture, and a Markdown table each."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

STUDY_STEPS = 300  # of each trial of a study of several seeds
PANELS = {  # what grows, and what it costs
    "steps": ("steps", "seconds of training"),
    "batch": ("images a batch", "seconds a step"),
    "images": ("images of the dataset", "seconds after training"),
    "seeds": (f"seeds of {STUDY_STEPS} steps", "seconds of the study"),
}
COLOURS = ("#0072B2", "#D55E00", "#009E73")  # Okabe & Ito's, told apart by every eye
MARKERS = "osD"


def markdown(points: pd.DataFrame) -> str:
    """One table a panel: a row a series, a column a place on the panel's axis.

    points: rows of panel, series, x and seconds.
    """
    tables = []
    for panel, (x, y) in PANELS.items():
        found = points[points["panel"] == panel].pivot(index="series", columns="x", values="seconds")
        lines = [[f"{y}, by {x}", *(f"{place:,}" for place in found.columns)], ["---", *["---:"] * len(found.columns)]]
        lines += [[str(name), *(f"{value:.3g}" for value in row)] for name, row in found.iterrows()]
        tables.append("\n".join("| " + " | ".join(cells) + " |" for cells in lines))
    return "\n\n".join(tables)


def draw(points: pd.DataFrame, path: Path) -> None:
    """The panels as a picture. points: as of `markdown`."""
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    for axis, (panel, (x, y)) in zip(figure.subplots(2, 2).ravel(), PANELS.items(), strict=True):
        series = points[points["panel"] == panel].groupby("series")
        for (name, line), colour, marker in zip(series, COLOURS, MARKERS, strict=False):
            axis.plot(line["x"], line["seconds"], color=colour, marker=marker, label=name)
        axis.set(xlabel=x, ylabel=y, xlim=(0, None), ylim=(0, None))
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=110, metadata={"Software": None})
