"""The curves of a study's trials: losses, information bounds and what else a model logs, its seeds over one another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from disentangle_bench import registry
from disentangle_bench.errors import UserError, unknown
from disentangle_bench.pictures.paper import COLOURS, COLUMN, LINES, PAGE, STYLE, paper_figure, paper_style
from disentangle_bench.trials.records import Record, Workspace, read_record
from disentangle_bench.trials.spec import TrialSpec

COLUMNS = ["id", "dataset", "model", "configuration", "seed", "status", "step", "curve", "value"]
POINTS = 200  # of one drawn line: of more, each is the mean of its part of the steps
QUARTILES = (0.25, 0.75)
A_ROW = 4  # panels
PANEL_HEIGHT, HEADING, FOOT = 3.1, 0.5, 0.4  # cm
READING = "thin: one seed · thick: their median · band: quartiles"
BOUNDS = "information_lower", "information_upper"
PANELS = {  # of curves that share an axis: how people write it
    "information": "information bounds (nats)",
    "information_by_code": "information by code (nats)",
    "information_categorical": "information, categorical codes (nats)",
    "information_continuous": "information, continuous codes (nats)",
    "kl": "KL by dimension (nats)",
}
LABELS = {
    "information_lower": "lower Iᴸ",
    "information_upper": "upper Iᵁ",
    "entropy_z": "entropy of z (nats)",
    "distortion_z": "distortion of z (nats)",
    "reconstruction": "reconstruction (nats)",
    "elbo": "ELBO (nats)",
    "total_correlation": "total correlation (nats)",
    "density_ratio": "density ratio (nats)",
    "capacity": "capacity C (nats)",
    "nll": "NLL (nats)",
    "noise": "instance noise σ",
    "fake_logit": "D's logit of fakes",
}


def study_curves(trials: Iterable[TrialSpec], workspace: Workspace) -> pd.DataFrame:
    """What these trials logged, `COLUMNS`: one row a trial × step × curve, as far as it is written.

    curve: `loss/PLAYER`; a model's diagnostic by its name; or `score/METRIC/PROTOCOL` and, but for the score itself,
    `/KEY`, where the trial was scored along its training. status: of the trial; `running` before its record is there.
    A trial's curves are written when its training ends or is stopped.
    """
    tables = [trial_curves(trial, workspace) for trial in trials]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def trial_curves(trial: TrialSpec, workspace: Workspace) -> pd.DataFrame:
    """The rows of `study_curves` of one trial; none where nothing is written yet."""
    place, path = workspace.trial(trial.id) / "curves.csv", workspace.record(trial.id)
    record = read_record(path) if path.exists() else None
    parts = [pd.DataFrame(scores_along(record) if record else [], columns=["step", "curve", "value"])]
    if place.is_file() and place.stat().st_size > 1:  # a training that was stopped before its first log has no header
        try:
            wide = pd.read_csv(place)
            parts.insert(0, wide.melt("step", var_name="curve", value_name="value"))
        except (ValueError, KeyError) as error:
            raise UserError(f"{place} is damaged ({error}); it holds nothing but curves: remove it.") from error
    rows = pd.concat(parts, ignore_index=True).dropna().astype({"step": "int64", "value": "float64"})
    known: dict[str, Any] = {
        "id": trial.id,
        "dataset": trial.dataset,
        "model": trial.label,
        "configuration": trial.configuration,
    }
    known |= {"seed": trial.seed, "status": record.status if record else "running"}
    return rows.assign(**known)[COLUMNS]


def scores_along(record: Record) -> list[tuple[int, str, float]]:
    """(step, curve, value) of each score along the training and, after those, at its end."""
    if not record.scores_along:
        return []
    last = {"step": record.spec.config.get("steps", 0), "scores": record.scores}
    return [
        (entry["step"], f"score/{metric}/{protocol}" + ("" if key == "score" else f"/{key}"), result[key])
        for entry in [*record.scores_along, last]
        for metric, protocols in entry["scores"].items()
        for protocol, result in protocols.items()
        for key in keys_of(metric)
        if key in result
    ]


def keys_of(metric: str) -> tuple[str, ...]:
    """The results of a metric that are scores; of a plugin's that is not at hand, the score itself."""
    return registry.get("metric", metric).keys if metric in registry.names("metric") else ("score",)


def panel_of(curve: str) -> str:
    """The panel in which a curve is drawn: the bounds of the information share one, and so do `NAME_0`, `NAME_1`, …"""
    family = re.sub(r"_\d+$", "", curve)
    if family == "information":
        return "information_by_code"
    return "information" if curve in BOUNDS else family


def chosen(curves: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The rows whose curve is named, by its own name, its panel's, or what stands before a slash: `loss`, `score/mig`.

    All where nothing is named; `UserError` for a name that names nothing.
    """
    found = list(curves["curve"].unique())
    known = {name for curve in found for name in ways_to_name(curve)}
    for name in names:
        if name not in known:
            raise unknown("curve of the study's trials:", name, known)
    wanted = [curve for curve in found if not names or ways_to_name(curve) & set(names)]
    return curves[curves["curve"].isin(wanted)]


def ways_to_name(curve: str) -> set[str]:
    """All names by which a curve may be asked for; a score's metric, too: `mig`, `mig/robust`."""
    parts = curve.split("/")
    heads = {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
    if parts[0] == "score":
        heads |= {"/".join(parts[1:end]) for end in range(2, len(parts) + 1)}
    return {*heads, panel_of(curve)}


def study_figure(curves: pd.DataFrame) -> Any:
    """A matplotlib figure of these curves, rows of `study_curves`: for each dataset × model one panel a curve.

    8 cm wide where two panels stand side by side, 17 cm where more do. Each seed is a thin line, dashed if it failed
    or diverged; the median of the seeds is a thick one, at each step of those that came so far; from three seeds on the
    band between their quartiles is shaded. A line of more than `POINTS` steps is drawn by the means of as many equal
    parts of the training. `information_lower` and `information_upper` share a panel, and so do families as `kl_0`,
    `kl_1`, …, in the order of each seed's last values: no two seeds have the same dimension 0.
    """
    with paper_style():
        cells = [(heading(cell), cell, panels_of(cell)) for _, cell in curves.groupby(["dataset", "model"], sort=False)]
        columns = min(A_ROW, max(len(names) for _, _, names in cells))
        heights = [-(-len(names) // columns) * PANEL_HEIGHT + HEADING for _, _, names in cells]
        heights[-1] += FOOT
        figure = paper_figure(COLUMN if columns <= 2 else PAGE, sum(heights))
        parts = figure.subfigures(len(cells), 1, height_ratios=heights, squeeze=False).ravel()
        for part, (title, cell, names) in zip(parts, cells, strict=True):
            draw_model(part, cell, names, columns)
            part.suptitle(title, x=0.01, ha="left", fontweight="bold")
        parts[-1].supxlabel(READING, fontsize=STYLE["legend.fontsize"])
    return figure


def model_figure(curves: pd.DataFrame, dataset: str, model: str) -> Any:
    """`study_figure` of one model, by its label, on one dataset; of one trial, where `curves` are of one."""
    return study_figure(curves[(curves["dataset"] == dataset) & (curves["model"] == model)])


def heading(cell: pd.DataFrame) -> str:
    """A model, its dataset, and how many of its seeds are drawn."""
    states = cell.drop_duplicates("id")["status"].value_counts()
    bad = [f"{states[state]} {state}" for state in ("diverged", "failed", "running") if state in states]
    seeds = f"{states.sum()} seed{'s' * bool(states.sum() > 1)}"
    return f"{cell['model'].iloc[0]} on {cell['dataset'].iloc[0]}, {seeds}" + (f" ({', '.join(bad)})" if bad else "")


def panels_of(curves: pd.DataFrame) -> list[str]:
    """The panels that curves need: losses first, then information, then as they were logged, scores last."""
    found = list(dict.fromkeys(panel_of(curve) for curve in curves["curve"].unique()))
    return sorted(found, key=lambda name: (place_of(name), found.index(name)))


def place_of(panel: str) -> int:
    """Which kinds of panels come first."""
    kinds = ("loss/", "information", "kl")
    first = (place for place, kind in enumerate(kinds) if panel.startswith(kind))
    return next(first, len(kinds) + panel.startswith("score/"))


def draw_model(figure: Any, curves: pd.DataFrame, names: list[str], columns: int) -> None:
    """A model's panels on a part of a figure."""
    axes = figure.subplots(-(-len(names) // columns), columns, squeeze=False).ravel()
    of_panel = curves["curve"].map(panel_of)
    for axis, name in zip(axes, names, strict=False):
        draw_panel(axis, curves[of_panel == name])
        axis.set_title(title_of(name))
        axis.set_xlabel("training step")
        axis.xaxis.set_major_formatter(thousands())
        axis.ticklabel_format(axis="y", scilimits=(-3, 4))
        axis.grid(True)
    for axis in axes[len(names) :]:
        axis.set_visible(False)


def title_of(panel: str) -> str:
    """What stands above a panel: names of ours as people write them, others as they are."""
    if panel.startswith("loss/"):
        return f"loss of the {panel.removeprefix('loss/')}".replace("_", " ")
    if panel.startswith("score/"):
        return panel.removeprefix("score/").replace("/", " · ")
    return PANELS.get(panel) or LABELS.get(panel) or panel.replace("_", " ")


def thousands() -> Any:
    """Steps as people write them: 500, 20k, 1.5M."""
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")


def draw_panel(axis: Any, curves: pd.DataFrame) -> None:
    """The seeds of the curves that share a panel; of a family, in order of each seed's last value."""
    names = list(curves["curve"].unique())
    lines = {name: seeds_of(curves[curves["curve"] == name]) for name in names}
    family = len(names) > 1 and names[0] not in BOUNDS
    if family:
        lines = by_last_value(lines)
    colours = shades(len(lines)) if family else COLOURS
    failed = set(curves.loc[curves["status"].isin(["failed", "diverged"]), "seed"])
    for place, (name, seeds) in enumerate(lines.items()):
        colour = colours[place % len(colours)]
        for seed in seeds:
            style = "--" if seed in failed else "-"
            axis.plot(seeds.index, seeds[seed], color=colour, linewidth=0.4, alpha=0.5, linestyle=style)
        middle = seeds.median(axis=1)
        line = "-" if family else LINES[place % len(LINES)]
        axis.plot(middle.index, middle, color=colour, linewidth=1.2, linestyle=line, label=LABELS.get(name, name))
        if seeds.shape[1] >= 3:
            low, high = (seeds.quantile(share, axis=1) for share in QUARTILES)
            axis.fill_between(middle.index, low, high, color=colour, alpha=0.15, linewidth=0)
    if set(names) & set(BOUNDS):
        axis.legend()


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


def shades(count: int) -> list[Any]:
    """So many colours from dark to light, in an order that every eye sees."""
    from matplotlib import colormaps

    return [colormaps["viridis"](share) for share in np.linspace(0, 0.85, count)]
