"""The tables of a report: what stands in each cell, and by which number or word its column is sorted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from disentangle_bench import registry
from disentangle_bench.boards.tables import IF_ANY, SHOWN, cells, notes
from disentangle_bench.studies.states import State
from disentangle_bench.studies.study import Study
from disentangle_bench.trials.records import Record
from disentangle_bench.trials.spec import TrialSpec
from disentangle_bench.trials.sweep import variant_of

SCORE = ["dataset", "metric", "protocol", "key"]
WIDEST = 6  # scores side by side in a table of single seeds: more would be cut off on paper
SORTED_BY = {
    "rank": "rank", "mean ± sd": "mean", "95 % interval": "ci95_t_low", "sampling": "sampling_sd", "seeds": "seeds",
    "published": "published",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """Text, and the number behind it, by which a column of numbers is sorted; None comes last."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Row:
    """Cells; facets: what the row can be chosen by, {name: value}; reference: it is no model's, and always shown."""

    cells: list[Cell]
    facets: dict[str, str] = field(default_factory=dict)
    reference: bool = False


@dataclass(frozen=True)
class Table:
    """A table with its caption; heads: which column names the row. notes: what has to be said below."""

    caption: str
    columns: list[str]
    numeric: list[bool]
    rows: list[Row]
    heads: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Board:
    """One score of all models on one dataset: the rows of the leaderboard, and as people read them."""

    dataset: str
    score: str
    better: str
    rows: pd.DataFrame
    table: Table


def score_name(metric: str, protocol: str, key: str) -> str:
    """A score's name for people: `dci · robust · completeness`."""
    return f"{metric} · {protocol}" + ("" if key == "score" else f" · {key}")


def label(row: Mapping[Any, Any]) -> str:
    """The model of a row, with its swept values."""
    return f"{row['model']}{variant_of(str(row['configuration']))}"


def number(value: Any) -> Cell:
    """A number's cell; a dash where there is none."""
    return Cell("–") if pd.isna(value) else Cell(f"{value:.3f}", float(value))


def boards(table: pd.DataFrame) -> Iterator[Board]:
    """The leaderboard, a board a score, in its order."""
    for (dataset, metric, protocol, key), group in table.groupby(SCORE, sort=False):
        name, better = score_name(str(metric), str(protocol), str(key)), str(group["better"].iloc[0])
        yield Board(str(dataset), name, better, group, board_table(group, f"{name}, on {dataset}; {better} is better"))


def board_table(group: pd.DataFrame, caption: str) -> Table:
    """The rows of one score as people read them, floor and ceiling among them."""
    rows = [{str(name): value for name, value in row.items()} for row in group.to_dict("records")]
    texts = [cells(row) for row in rows]
    columns = [column for column in SHOWN if column not in IF_ANY or any(text[column] for text in texts)]
    columns.sort(key=lambda column: column == "codes from")  # the last: on a phone the means are seen first
    made = []
    for row, text in zip(rows, texts, strict=True):
        values = {name: row[column] for name, column in SORTED_BY.items()}
        line = [Cell(text[c], number(values.get(c)).value) for c in columns]
        reference = row["kind"] == "reference"
        made.append(Row(line, {} if reference else {"model": label(row)}, reference))
    said = list(notes(group, columns))
    sources = [str(source) for source in group["published_source"].dropna().unique() if source]
    if sources:
        said.append(f"published: {'; '.join(sources)}")
    return Table(caption, columns, [c in SORTED_BY for c in columns], made, columns.index("model"), said)


def seeds_of(count: int) -> str:
    """So many seeds, in words."""
    return f"{count} seed{'s' if count > 1 else ''}"


def with_notes_once(found: Sequence[Board]) -> tuple[list[Board], list[str]]:
    """The boards without the notes that are the same below all of several, and these notes."""
    if len(found) < 2:
        return list(found), []
    shared = [note for note in found[0].table.notes if all(note in board.table.notes for board in found)]
    own = [[note for note in board.table.notes if note not in shared] for board in found]
    return [
        replace(board, table=replace(board.table, notes=notes)) for board, notes in zip(found, own, strict=True)
    ], shared


def shown_by_ranks(found: Iterable[Board]) -> Table:
    """What the ranks of each score show: the best mean, and the models that are, and are not, told apart."""
    columns = ["score", "best mean", "rank 1: no model is significantly better", "other ranks: some model is"]
    rows = []
    for board in found:
        models = board.rows[(board.rows["kind"] == "model") & board.rows["mean"].notna()]
        best, first, later = "no score", "", ""
        if len(models):
            top = models.to_dict("records")[0]
            best = f"{label(top)}  {top['mean']:.3f} "
            best += str(top["ci95_t"]) if pd.notna(top["ci95_t_low"]) else f"(no rank: {seeds_of(int(top['seeds']))})"
            ranked = models[models["rank"].notna()]
            first = ", ".join(label(row) for row in ranked[ranked["rank"] == 1].to_dict("records"))
            later = ", ".join(label(row) for row in ranked[ranked["rank"] > 1].to_dict("records"))
            first, later = first or "no ranks: too few seeds", later or ("none" if first else "")
        name = f"{board.score}, on {board.dataset}"
        rows.append(Row([Cell(text) for text in (name, best, first, later)]))
    caption = "What the ranks show, score by score: Welch's t, Holm's correction over all pairs of models, 5 %"
    return Table(caption, columns, [False] * 4, rows)


def seed_tables(trials: Sequence[TrialSpec], states: Mapping[str, State], seeds: pd.DataFrame) -> Iterator[Table]:
    """Every trial's own scores: a table a dataset, a row a trial, also of those that have none; a column a score.

    seeds: the table of single seeds.
    """
    rows = zip(*(seeds[name] for name in ("id", *SCORE[1:], "value", "skip")), strict=True)
    values = {(id, (metric, protocol, key)): (value, skip) for id, metric, protocol, key, value, skip in rows}
    for dataset in dict.fromkeys(trial.dataset for trial in trials):
        of_dataset = [trial for trial in trials if trial.dataset == dataset]
        ids = {trial.id for trial in of_dataset}
        scores = list(dict.fromkeys(score for id, score in values if id in ids))
        each = -(-len(scores) // max(1, -(-len(scores) // WIDEST)))  # of 7, four and three: not six and one
        parts = [scores[i : i + each] for i in range(0, len(scores), each or 1)] or [[]]
        for part, shown in enumerate(parts, start=1):
            more = f" ({part} of {len(parts)})" if len(parts) > 1 else ""
            yield seed_table(f"Single seeds on {dataset}{more}", of_dataset, states, shown, values)


def seed_table(
    caption: str,
    trials: Sequence[TrialSpec],
    states: Mapping[str, State],
    scores: Sequence[tuple[str, str, str]],
    values: Mapping[tuple[str, tuple[str, str, str]], tuple[Any, Any]],
) -> Table:
    """One table of single seeds: `scores` are its columns."""
    rows, reasons = [], {}
    for trial in trials:
        line = [Cell(trial.label), Cell(str(trial.seed), trial.seed), Cell(states[trial.id])]
        for score in scores:
            value, skip = values.get((trial.id, score), (None, None))
            if isinstance(skip, str) and skip:
                reasons[score_name(*score)] = skip
            line.append(number(value))
        line.append(Cell(trial.id))
        rows.append(Row(line, {"model": trial.label, "state": states[trial.id], "dataset": trial.dataset}))
    names = [score_name(*score) for score in scores]
    columns = ["model", "seed", "state", *names, "trial"]
    said = [f"{name}: no score, as {reason}" for name, reason in reasons.items()]
    return Table(caption, columns, [False, True, False, *[True] * len(names), False], rows, 0, said)


def protocols(study: Study) -> Table:
    """What each score is: by which protocol, after whom, and which way is better."""
    rows = []
    kinds: tuple[registry.Kind, registry.Kind] = ("metric", "comparison")
    for kind, asked in zip(kinds, (study.scoring.metrics, study.comparisons), strict=True):
        for name, names in asked.items():
            chosen = registry.get(kind, name)
            better = "higher" if getattr(chosen, "higher_is_better", True) else "lower"
            for protocol in names:
                rows.append(Row([Cell(text) for text in (name, protocol, chosen.title, chosen.cite, better)]))
    columns = ["metric", "protocol", "what it is", "after", "better"]
    return Table("Metrics and their protocols", columns, [False] * 5, rows)


def versions(records: Sequence[Record]) -> Table:
    """What the trials were computed with: each thing, each of its values, and of how many trials."""
    counts: dict[tuple[str, str], int] = {}
    for record in records:
        found = {**record.environment, "engine": record.engine, "numerics": str(record.spec.numerics)}
        found["code format"] = str(record.spec.code_format)
        found[f"checksum of {record.spec.dataset}"] = record.spec.dataset_checksum
        for name, value in found.items():
            if value:
                counts[name, value] = counts.get((name, value), 0) + 1
    rows = [Row([Cell(name), Cell(value), Cell(str(count), count)]) for (name, value), count in sorted(counts.items())]
    return Table("Versions and machines", ["what", "which", "trials"], [False, False, True], rows)
