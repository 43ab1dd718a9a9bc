"""A leaderboard as papers print it: a row a model, a column a score, mean ± interval, the best ones bold, and notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from disentangle_bench.boards.leaderboard import TOO_FEW
from disentangle_bench.boards.tables import notes
from disentangle_bench.errors import unknown
from disentangle_bench.trials.sweep import variant_of

SCORE = ["metric", "protocol", "key"]
MODEL = ["model", "configuration", "steps", "code_source"]  # what makes a row
OF_MODEL = [*MODEL[1:], "changes"]  # columns that stand once in a row, and not in each score
SAID = ["dataset", *SCORE, "better", "kind", "model"]  # in headings and rows: no columns to choose
ENDS = ("ceiling", "floor")
NOTHING = "–"
BOLD = "bold: no other model is significantly better, by Welch's t with Holm's correction at 5 %"
INTERVAL = "±: half the width of the mean's 95 % interval, by Student's t"


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class PaperTable:
    """One dataset's table.

    groups: headings over the columns, and over how many of them each stands; "" over those that belong to no score.
    columns: their own headings. models: the models' rows. ends: those of ceiling and floor. note: what has to be said
    below.
    """

    dataset: str
    groups: list[tuple[str, int]]
    columns: list[str]
    models: list[list[Cell]]
    ends: list[list[Cell]]
    note: str


def of_scores(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The rows of some scores, `METRIC`, `METRIC/PROTOCOL` or `METRIC/PROTOCOL/KEY`, in the names' order; none: all."""
    parts = table[SCORE].astype(str)
    ways = [parts["metric"], parts["metric"] + "/" + parts["protocol"], parts.agg("/".join, axis=1)]
    found = []
    for name in names:
        if not any((way == name).any() for way in ways):
            raise unknown("score of the leaderboard:", name, {each for way in ways for each in way})
        found.append(table[(ways[0] == name) | (ways[1] == name) | (ways[2] == name)])
    return pd.concat(found).loc[lambda rows: ~rows.index.duplicated()] if names else table


def of_columns(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The leaderboard's columns of these names, in their order; none: all columns."""
    for name in names:
        if name not in table:
            raise unknown("column of the leaderboard:", name, table.columns)
    return table[list(names)] if names else table


def paper_tables(table: pd.DataFrame, columns: Sequence[str] = ()) -> list[PaperTable]:
    """A leaderboard's rows as tables, one a dataset; models stand in the order of the first score, the best on top.

    columns: what to show of each model and each score, by the leaderboard's names; none: the mean and, where a paper
    has one for a row, the published value. Beside `mean` stands half the width of its interval. It is bold in the rows
    of rank 1, those to which no other model is significantly better, where two models or more have a rank.
    """
    of_columns(table.drop(columns=SAID), columns)
    return [one_table(rows, columns) for _, rows in table.groupby("dataset", sort=False)]


def one_table(rows: pd.DataFrame, columns: Sequence[str]) -> PaperTable:
    """The table of one dataset's rows."""
    models = rows[rows["kind"] == "model"]
    lines = [dict(zip(MODEL, key, strict=True)) for key in models[MODEL].drop_duplicates().itertuples(False, None)]
    own = [column for column in columns if column in OF_MODEL]
    scores = [(group, shown_of(group, columns)) for _, group in rows.groupby(SCORE, sort=False)]
    scores = [(group, shown) for group, shown in scores if shown]
    one_protocol = rows["protocol"].nunique() == 1
    body = []
    for line, name in zip(lines, row_names(lines), strict=True):
        found = [match(group, line) for group, _ in scores]
        first = match(models, line)
        cells = [Cell(name), *(cell(first, column, 0) for column in own)]
        for row, (group, shown) in zip(found, scores, strict=True):
            ranked = group["rank"].notna().sum() > 1
            cells += [cell(row, column, decimals(group), ranked) for column in shown]
        body.append(cells)
    return PaperTable(
        dataset=str(rows["dataset"].iloc[0]),
        groups=[("", 1 + len(own)), *((heading(group.iloc[0], one_protocol), len(shown)) for group, shown in scores)],
        columns=["model", *own, *(column for _, shown in scores for column in shown)],
        models=body,
        ends=list(end_rows(scores, len(own))),
        note="; ".join(remarks(rows, columns, body, one_protocol)) + ".",
    )


def shown_of(group: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """The columns of one score."""
    if columns:
        return [column for column in columns if column not in OF_MODEL]
    return ["mean", "published"] if group["published"].notna().any() else ["mean"]


def row_names(lines: list[dict[str, Any]]) -> list[str]:
    """What the rows are called: the model and its swept values; where two are the same, the whole configuration too."""
    short = [line["model"] + variant_of(line["configuration"]) for line in lines]
    whole = [f"{line['model']} {line['configuration']}" for line in lines]
    return [long if short.count(name) > 1 else name for name, long in zip(short, whole, strict=True)]


def match(group: pd.DataFrame, line: dict[str, Any]) -> dict[str, Any] | None:
    """The row of a model among those of a score; None where it has none."""
    rows = group[(group[MODEL] == pd.Series(line)).all(axis=1)]
    return {str(name): value for name, value in rows.iloc[0].items()} if len(rows) else None


def decimals(group: pd.DataFrame) -> int:
    """How many decimals a score's numbers have: three, or one of scores that go far beyond 1, as FID's."""
    return 3 if group["mean"].abs().max() < 10 else 1


def cell(row: dict[str, Any] | None, column: str, places: int, ranked: bool = False) -> Cell:
    """One column of a row, in words."""
    value = None if row is None else row[column]
    if row is None or pd.isna(value) or value == "":
        return Cell(NOTHING)
    if not isinstance(value, float):
        return Cell(str(value))
    text = f"{value:.{places}f}"
    if column == "mean" and pd.notna(row["ci95_t_low"]):
        text += f" ± {(row['ci95_t_high'] - row['ci95_t_low']) / 2:.{places}f}"
    if column == "published" and pd.notna(row["published_spread"]):
        text += f" ± {row['published_spread']:.{places}f}"
    return Cell(text, bold=column == "mean" and ranked and row["rank"] == 1)


def heading(row: pd.Series, one_protocol: bool) -> str:
    """What stands over a score's columns: its name, and which way it is better."""
    parts = [row["metric"], *([] if one_protocol else [row["protocol"]]), *([row["key"]] * (row["key"] != "score"))]
    return " ".join(parts) + (" ↑" if row["better"] == "higher" else " ↓")


def end_rows(scores: list[tuple[pd.DataFrame, list[str]]], own: int) -> Iterator[list[Cell]]:
    """Rows of the ceiling and of the floor, below the means; none where no score has one."""
    for end in ENDS:
        cells = [Cell(end), *[Cell("")] * own]
        for group, shown in scores:
            known = group[end].dropna()
            text = f"{known.iloc[0]:.{decimals(group)}f}" if len(known) else NOTHING
            cells += [Cell(text if column == "mean" else "") for column in shown]
        if any(each.text not in ("", NOTHING) for each in cells[1:]):
            yield cells


def remarks(rows: pd.DataFrame, columns: Sequence[str], body: list[list[Cell]], one_protocol: bool) -> Iterator[str]:
    """What has to be said below one dataset's table."""
    models, with_mean = rows[rows["kind"] == "model"], not columns or "mean" in columns
    if one_protocol:
        yield f"protocol {rows['protocol'].iloc[0]}"
    yield f"seeds: {seeds_in_words(models)}"
    if with_mean and models["ci95_t_low"].notna().any():
        yield INTERVAL
    if with_mean and (models["ci95_t"] == TOO_FEW).any():
        yield f"no ±: it {TOO_FEW}"
    if any(each.bold for line in body for each in line):
        yield BOLD
    references = list(dict.fromkeys(rows.loc[rows["kind"] == "reference", "model"]))
    if references and with_mean:
        yield f"ceiling and floor: the scores of {', '.join(references)}"
    sources = list(models["published_source"].dropna().unique())
    if sources and (not columns or "published" in columns):
        yield f"published: {'; '.join(sources)}"
    yield from dict.fromkeys(notes(rows.drop_duplicates([*MODEL, "skipped", "evaluated"]), []))


def seeds_in_words(models: pd.DataFrame) -> str:
    """How many seeds each model has, and how many failed: once where all have the same."""
    found = {}
    for key, group in models.groupby(MODEL, sort=False):
        low, high, failed = group["seeds"].min(), group["seeds"].max(), group["failures"].max()
        count = f"{low}" if low == high else f"{low} to {high}, by score"
        also = f" and {failed} that failed or diverged, which are in no mean" if failed else ""
        found[str(key[0]) + variant_of(str(key[1]))] = count + also
    if len(set(found.values())) == 1:
        return f"{next(iter(found.values()))} a model"
    return ", ".join(f"{name} {count}" for name, count in found.items())
