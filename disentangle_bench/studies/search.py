"""A search over a model's settings, judged without labels unless the user asks for them.

A candidate is one drawing of the settings that the model says are worth searching, trained with a few seeds. Budgets
grow by three from rung to rung; at each rung its seeds are judged by an objective, and a scheduler may stop it.
Candidates are ordinary trials, cut short: those that reach the full budget are finished trials of a study.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from disentangle_bench import datasets, registry
from disentangle_bench.contracts import CodeTable, Dataset
from disentangle_bench.errors import UserError, unknown
from disentangle_bench.evaluation.codes import encode_grid
from disentangle_bench.evaluation.scoring import protocols
from disentangle_bench.files import write_file
from disentangle_bench.metrics import score_table
from disentangle_bench.metrics.model_centrality import model_centrality
from disentangle_bench.metrics.udr import udr
from disentangle_bench.models.base import Between, Model
from disentangle_bench.studies.comparisons import peer
from disentangle_bench.studies.config import StudyConfig, resolve_trials
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.trainer import Diverged, Intervals, Trainer, build_model
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec

REDUCTION = 3  # a rung's budget over the one below, and how many candidates a scheduler keeps one of
RUNGS = 3
ROWS = 2_000  # images whose codes UDR compares while searching
FAILED = -1.0  # the objective of a candidate that diverged: below what any can be


@dataclass(frozen=True)
class Candidate:
    """Settings, and the trials that try them: the same but for the seed."""

    number: int
    values: dict[str, Any]
    trials: list[TrialSpec]


@dataclass(frozen=True)
class Outcome:
    """How far a candidate came, and what the objective said of it there."""

    candidate: int
    steps: int
    objective: float


def candidates(study: StudyConfig, data: Mapping[str, Dataset], samples: int, seed: int) -> list[Candidate]:
    """`samples` drawings from the search space of the study's one model; the same seed gives the same ones."""
    (model,) = study.models
    space = registry.get("model", model).search_space
    if not space:
        raise UserError(
            f"{model} declares no search_space; name what to search in its class, or use `run` with a sweep."
        )
    rng = np.random.default_rng(seed)
    drawn = []
    for number in range(samples):
        values = {field: draw(choices, rng) for field, choices in space.items()}
        one = study.model_copy(update={"sweep": {model: {field: [value] for field, value in values.items()}}})
        drawn.append(Candidate(number, values, resolve_trials(one, data)))
    return drawn


def draw(choices: Between | tuple[Any, ...], rng: np.random.Generator) -> Any:
    """One value: of a range, to three digits, so that people can type it; or one of several."""
    if isinstance(choices, Between):
        low, high = (np.log(choices.low), np.log(choices.high)) if choices.log else (choices.low, choices.high)
        value = rng.uniform(low, high)
        return float(f"{np.exp(value) if choices.log else value:.3g}")
    return choices[int(rng.integers(len(choices)))]


def rungs(steps: int) -> list[int]:
    """The budgets at which candidates are judged: a ninth, a third, and all of the steps."""
    if steps < REDUCTION ** (RUNGS - 1):
        raise UserError(f"a search judges candidates at {RUNGS} budgets, which takes 9 steps or more, not {steps}.")
    first = steps // REDUCTION ** (RUNGS - 1)
    return [first * REDUCTION**k for k in range(RUNGS - 1)] + [steps]


def objective_named(name: str, labels: bool) -> Callable[[list[Trainer]], float]:
    """The objective, higher is better: `udr`, `model-centrality`, `information`; or METRIC or METRIC/PROTOCOL.

    A metric sees the factors, and is refused unless `labels` says that this is meant.
    """
    known = {"udr": by_udr, "model-centrality": by_centrality, "information": by_information}
    if name in known:
        return known[name]
    metric = name.partition("/")[0]
    if metric not in registry.names("metric"):
        raise unknown("objective", name, [*known, *registry.names("metric")])
    pairs = protocols(name)
    if not labels:
        raise UserError(f"the objective '{name}' sees the factors, so the winner is chosen with labels; say --labels.")
    if len(pairs) > 1:
        raise UserError(f"the objective '{name}' is {len(pairs)} protocols; a search raises one number, so name one.")
    if not registry.get("metric", metric).higher_is_better:
        raise UserError(f"the objective '{name}' is better when lower; a search raises its objective.")
    return lambda trainers: by_metric(trainers, *pairs[0])


def by_udr(trainers: list[Trainer]) -> float:
    """Mean UDR (Spearman) of the seeds' codes of the same images."""
    rows = np.random.default_rng(0).choice(len(trainers[0].images), min(ROWS, len(trainers[0].images)), replace=False)
    images = trainers[0].images(torch.from_numpy(np.sort(rows)))
    with torch.inference_mode():
        codes = [trainer.model.eval().encode(images).cpu().numpy() for trainer in trainers]
    return float(np.mean(udr(codes, "spearman")["scores"]))


def by_centrality(trainers: list[Trainer]) -> float:
    """Mean ModelCentrality of the seeds."""
    return float(np.mean(model_centrality([peer(trainer.model.eval()) for trainer in trainers])["scores"]))


def by_information(trainers: list[Trainer]) -> float:
    """Mean over the seeds of the model's own lower bound on its codes' information, in nats."""
    rows = [trainer.diagnose() for trainer in trainers]
    if any("information_lower" not in row for row in rows):
        raise UserError(f"{trainers[0].model.name} has no lower bound on information; search by udr.")
    return float(np.mean([row["information_lower"] for row in rows]))


def by_metric(trainers: list[Trainer], metric: str, protocol: str) -> float:
    """Mean over the seeds of the metric's first score, on the codes of all images."""
    key = registry.get("metric", metric).keys[0]
    tables = [CodeTable.of(t.images.dataset, encode_grid(t.model, t.images)) for t in trainers]
    results = [score_table(metric, table, protocol) for table in tables]
    reason = next((result["skip"] for result in results if "skip" in result), None)
    if reason:
        raise UserError(f"the objective {metric}/{protocol} skips {trainers[0].images.dataset.name}: {reason}.")
    return float(np.mean([result[key] for result in results]))


def train_candidate(
    candidate: Candidate, budgets: list[int], objective: str, workspace: Workspace
) -> Iterator[Outcome]:
    """Train the candidate's seeds from rung to rung, judged at each by the objective of this name.

    What was judged before is read, and training goes on from checkpoints, so a search that was interrupted ends as one
    that was not.
    """
    set_up_process(candidate.trials[0].numerics.precision, candidate.trials[0].numerics.deterministic)
    for plugin in workspace.plugins:
        registry.load_plugin(plugin)
    judge = objective_named(objective, labels=True)
    path = workspace.trial(candidate.trials[0].id) / "search.json"
    known = read_judged(path)
    trainers: list[Trainer] = []
    with threads(candidate.trials[0].numerics.threads):
        for budget in budgets:
            key = "/".join([objective, str(budget), *(trial.id for trial in candidate.trials)])
            if key not in known:
                trainers = trainers or [trainer_of(trial, workspace) for trial in candidate.trials]
                try:
                    for trial, trainer in zip(candidate.trials, trainers, strict=True):
                        with workspace.lock(trial.id):
                            trainer.train(Intervals(), until=budget)
                    known[key] = judge(trainers)
                except Diverged:
                    known[key] = FAILED
                write_file(path, json.dumps(known, indent=1))
            yield Outcome(candidate.number, budget, known[key])
            if known[key] == FAILED:
                return


def read_judged(path: Path) -> dict[str, float]:
    """What a candidate's folder says of its objectives; nothing where the file is missing or damaged."""
    try:
        return {str(key): float(value) for key, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def trainer_of(trial: TrialSpec, workspace: Workspace) -> Trainer:
    """A trial's trainer in the trial's own folder, so that what the search trains is there for a study."""
    dataset = datasets.load(trial.dataset, workspace.data, prepare=False)
    cls: type[Model] = registry.get("model", trial.model)
    config, numerics = trial.typed_config(), trial.numerics
    model = build_model(cls, config, dataset.image_shape, trial.seed, dataset.classes()).to(numerics.device)
    images = DeviceImages(dataset, model.device, model.image_range)
    checkpoint = workspace.trial(trial.id) / "checkpoint.pt"
    return Trainer(model, images, config, trial.seed, trial.id, checkpoint, numerics.precision, numerics.mode)


def halve(
    drawn: list[Candidate], budgets: list[int], train: Callable[[Candidate], Iterator[Outcome]], keep_all: bool
) -> Iterator[Outcome]:
    """Successive halving in this process: all candidates to a rung, and the best third of them to the next."""
    running = {candidate.number: train(candidate) for candidate in drawn}
    for _ in budgets:
        reached = [outcome for steps in running.values() if (outcome := next(steps, None)) is not None]
        yield from reached
        alive = sorted((each for each in reached if each.objective > FAILED), key=lambda each: -each.objective)
        kept = alive if keep_all else alive[: max(1, len(alive) // REDUCTION)]
        running = {each.candidate: running[each.candidate] for each in kept}


def outcomes_table(drawn: list[Candidate], outcomes: list[Outcome], objective: str) -> pd.DataFrame:
    """One row a candidate, the best first: those that came farther, and of those the higher objective."""
    last = {outcome.candidate: outcome for outcome in outcomes}
    rows = [
        {"candidate": each.number, **each.values, "objective": objective, "value": last[each.number].objective}
        | {"steps": last[each.number].steps, "labels": "/" in objective or objective in registry.names("metric")}
        | {"seeds": len(each.trials), "outcome": "diverged" if last[each.number].objective == FAILED else "judged"}
        for each in drawn
        if each.number in last
    ]
    table = pd.DataFrame(rows).sort_values(["outcome", "steps", "value"], ascending=[False, False, False])
    table["value"] = table["value"].where(table["outcome"] == "judged")
    return table.reset_index(drop=True)
