"""The pictures of a leaderboard, written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from disentangle_bench.boards.picture import leaderboard_figure
from disentangle_bench.boards.swept import swept_figure
from disentangle_bench.pictures.paper import write_figure


def write_pictures(table: pd.DataFrame, seeds: pd.DataFrame, path: Path) -> list[Path]:
    """Write a leaderboard's picture and, where one setting was swept, `NAME-sweep` beside it: the scores against it.

    path: as it ends, so is the picture: .png, .svg or .pdf. Returns the files; none where there is no score to draw.
    """
    figures = {path: leaderboard_figure(table, seeds), path.with_stem(f"{path.stem}-sweep"): swept_figure(table, seeds)}
    drawn = {place: figure for place, figure in figures.items() if figure is not None}
    for place, figure in drawn.items():
        write_figure(figure, place)
    return list(drawn)
