"""What a report says in words: what its numbers stand on, what failed and why, and every setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from disentangle_bench.boards.report import Contents
from disentangle_bench.boards.statistics import LEVEL, MIN_SEEDS
from disentangle_bench.display import duration
from disentangle_bench.studies.config import seed_ranges
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.trials.records import Record
from disentangle_bench.trials.spec import TrialSpec
from disentangle_bench.trials.why import explain


@dataclass(frozen=True)
class Failure:
    """A cause, the trials that ended by it, and what `why` tells of the first of them."""

    title: str
    trials: list[TrialSpec]
    text: str


@dataclass(frozen=True)
class Setting:
    """What the seeds of one model on one dataset have in common."""

    title: str
    about: list[tuple[str, str]]
    fields: list[tuple[str, str]]
    changed: frozenset[str]


def counts(contents: Contents) -> list[tuple[str, int]]:
    """How many trials there are, and how many in each state."""
    found = list(contents.states.values())
    states = ("finished", "failed", "diverged", "running", "interrupted", "waiting")
    return [("trials", len(found)), *((each, found.count(each)) for each in states if each in found)]


def ground(contents: Contents) -> list[tuple[str, str]]:
    """What the numbers stand on: (what, in sentences)."""
    models = contents.table[contents.table["kind"] == "model"]
    if models.empty:
        return [("Scores", "There are none yet.")]
    return [
        ("Seeds", seeds_in_words(models)),
        (
            "Intervals",
            f"Of the mean over seeds, 95 %, by Student's t, from {MIN_SEEDS} seeds on. They hold for seeds that "
            "scatter evenly; where one seed in ten collapses, intervals of few seeds are too narrow.",
        ),
        (
            "Ranks",
            "One more than the number of models that are significantly better, by Welch's t at "
            f"{100 * LEVEL:.0f} % with Holm's correction over all pairs of models of the same score. Equal ranks are "
            "no proof of equality: few seeds tell only large gaps apart." + among_themselves(contents),
        ),
        ("Floor and ceiling", ends_in_words(models)),
        ("Selection", "None: each score is of a training's last step, and no seed was left out for its score."),
        ("Device", device_in_words(contents.records)),
        ("Published values", published_in_words(models)),
    ]


def among_themselves(contents: Contents) -> str:
    """What has to be said of seeds that are scored by one another, where there are any."""
    names = ", ".join(contents.study.comparisons)
    return f" {names}: seeds are scored by one another, so these ranks are too sure of themselves." if names else ""


def seeds_in_words(models: pd.DataFrame) -> str:
    """How many seeds are behind the rows, and what became of the others."""
    few, many = int(models["seeds"].min()), int(models["seeds"].max())
    failed = int(models.groupby(["model", "configuration", "dataset"])["failures"].max().sum())
    text = f"{many} a model" if few == many else f"{few} to {many} a model and score; each table says how many"
    lost = "None failed or diverged." if not failed else f"{failed} failed or diverged; they are in no mean."
    return f"{text}. {lost}"


def ends_in_words(models: pd.DataFrame) -> str:
    """What the two ends of each score are, and of which they are not known."""
    text = (
        "What random codes and the true factors score on the very dataset; of images, what noise and real ones score."
    )
    without = list(dict.fromkeys(models.loc[models["floor"].isna() & models["mean"].notna(), "metric"]))
    return f"{text} There are none of {', '.join(without)}." if without else text


def device_in_words(records: Sequence[Record]) -> str:
    """On what the trials were computed, and whether all were computed alike."""
    machines = sorted({record.environment.get("device", "") for record in records} - {""})
    ways = sorted({in_words(record.spec.numerics) for record in records})
    alike = "All trials alike" if len(ways) == len(machines) == 1 else "Not all trials alike"
    return f"{alike}: {'; or '.join(ways)}; on {', or '.join(machines) or 'an unknown machine'}."


def in_words(numerics: Numerics) -> str:
    """How the arithmetic was done: `cpu, 1 thread, float32, eager`."""
    threads = "1 thread" if numerics.threads == 1 else f"{numerics.threads} threads"
    words = [numerics.device, threads, numerics.precision, numerics.mode]
    return ", ".join([*words, "deterministic"] if numerics.deterministic else words)


def published_in_words(models: pd.DataFrame) -> str:
    """Whether papers' numbers stand beside, of how many rows."""
    count = int(models["published"].notna().sum())
    if not count:
        return "None stands beside: no paper's table that is kept here has a number for these very configurations."
    return f"{count} of {len(models)} rows have a paper's number beside, for the very configuration and protocol."


def failures(contents: Contents) -> list[Failure]:
    """The trials that crashed or diverged, those of one model and cause together."""
    groups: dict[str, list[Record]] = {}
    for record in contents.records:
        if record.status != "finished":
            title = f"{record.spec.label} on {record.spec.dataset} {record.status}: {record.cause}"
            groups.setdefault(title, []).append(record)
    found = []
    for title, records in groups.items():
        lines = explain(records[0], contents.workspace)[:-1]  # the last names a file, which the reader may not have
        found.append(Failure(title, [record.spec for record in records], "\n".join(lines).strip()))
    return found


def settings(contents: Contents) -> list[Setting]:
    """Every setting of every model, once for all seeds that share it."""
    known = {record.id: record for record in contents.records}
    groups: dict[str, list[TrialSpec]] = {}
    for trial in contents.study.trials:
        groups.setdefault(str(trial.without_seed()), []).append(trial)
    found = []
    for trials in groups.values():
        first = trials[0]
        records = [known[trial.id] for trial in trials if trial.id in known]
        about = [
            ("configuration", first.configuration), ("seeds", seed_ranges(trial.seed for trial in trials)),
            ("numerics", in_words(first.numerics)),
        ]  # fmt: skip
        if first.model_source is not None:
            about.append(("plugin's sha256", first.model_source))
        if records:
            one = records[0]
            sizes = ", ".join(f"{name} {count:,}" for name, count in one.parameters.items())
            about += [("paper", one.paper), ("codes from", one.code_source), ("parameters", sizes)]
            about += [("plugin", one.plugin)] if one.plugin else []
            about += [(f"{name}, mean time", duration(mean)) for name, mean in times(records).items()]
        about = [(name, value) for name, value in about if value]
        fields = [(name, str(value)) for name, value in first.config.items()]
        found.append(Setting(f"{first.label} on {first.dataset}", about, fields, frozenset(first.changes())))
    return found


def times(records: Sequence[Record]) -> dict[str, float]:
    """Mean seconds a trial of training, encoding and scoring."""
    sums: dict[str, float] = {}
    for record in records:
        for name, seconds in record.seconds.items():
            part = name.partition("/")[0]
            sums[part] = sums.get(part, 0.0) + seconds
    return {name: total / len(records) for name, total in sums.items()}
