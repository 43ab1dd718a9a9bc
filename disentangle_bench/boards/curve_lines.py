"""Curves of several seeds as lines to draw: at steps that they share, and dimensions in an order that they share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

POINTS = 200  # of one line: of more, each is the mean of its part of the steps


def seeds_of(curve: pd.DataFrame) -> pd.DataFrame:
    """One curve of several seeds: a row a step and a column a seed, without steps that no seed has.

    Where a seed has more than `POINTS` steps, the steps are put into `POINTS` equal parts, at whose middles the means
    of what was logged in them stand.
    """
    steps = curve["step"].to_numpy(dtype=np.float64)
    if curve.groupby("seed")["step"].count().max() > POINTS:
        width = steps.max() / POINTS
        steps = (np.ceil(steps / width).clip(1) - 0.5) * width
    table = curve.assign(step=steps).pivot_table(index="step", columns="seed", values="value", aggfunc="mean")
    return table.interpolate(method="index", limit_area="inside")


def by_last_value(lines: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """A family of curves, renamed within each seed by the order of their last values, the largest first."""
    ordered: dict[str, dict[Any, pd.Series]] = {f"{place + 1}": {} for place in range(len(lines))}
    for seed in dict.fromkeys(seed for table in lines.values() for seed in table.columns):
        own = [table[seed].dropna() for table in lines.values() if seed in table.columns]
        for name, series in zip(ordered, sorted(own, key=lambda series: -series.iloc[-1]), strict=False):
            ordered[name][seed] = series
    return {name: pd.DataFrame(seeds) for name, seeds in ordered.items() if seeds}
