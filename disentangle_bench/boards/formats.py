"""A leaderboard as text: CSV, and tables of a paper as Markdown and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from disentangle_bench.boards.paper_table import Cell, PaperTable, of_columns, paper_tables
from disentangle_bench.boards.tables import csv_text

WIDE = 4  # numbers a row; a table of more stands across both columns of a paper
LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}", "*": "{*}",  # the last ones are read after a row's \\
    "±": r"$\pm$", "–": "--", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "·": r"$\cdot$",
    "…": r"\ldots{}", "−": "$-$", "×": r"$\times$",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "λ": r"$\lambda$", "σ": r"$\sigma$",
}  # fmt: skip


def as_text(table: pd.DataFrame, kind: str, columns: Sequence[str] = ()) -> str:
    """A leaderboard as `csv`, `md` or `latex`; one table a dataset, but for CSV. columns: what to show, by name."""
    if kind == "csv":
        return csv_text(of_columns(table, columns))
    write = {"md": markdown, "latex": latex}[kind]
    return "\n".join(write(each) for each in paper_tables(table, columns))


def markdown(table: PaperTable) -> str:
    """The table as Markdown with pipes, as GitHub reads it."""
    spans = [title for title, count in table.groups for _ in range(count)]
    heads = [
        markdown_text(column if not title else title if column == "mean" else f"{title[:-2]}, {column}")
        for title, column in zip(spans, table.columns, strict=True)
    ]
    rows = [[markdown_cell(each) for each in row] for row in [*table.models, *table.ends]]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**{markdown_text(table.dataset)}**\n\n{body}\n\n{markdown_text(table.note)}\n"


def markdown_cell(cell: Cell) -> str:
    """A cell of it."""
    text = markdown_text(cell.text)
    return f"**{text}**" if cell.bold else text


def markdown_text(text: str) -> str:
    """Text of which nothing is read as Markdown, or HTML, or the end of a cell."""
    return re.sub(r"([\\`*_\[\]<>|~$#&])", r"\\\1", " ".join(text.split()))


def latex(table: PaperTable) -> str:
    """The table as LaTeX, which needs the package booktabs; across both columns where it has many numbers."""
    numbers = len(table.columns) - table.groups[0][1]
    environment = "table*" if numbers > WIDE else "table"
    own = table.groups[0][1]
    body = [r"\toprule", *latex_heads(table), r"\midrule", *map(latex_row, table.models)]
    if table.ends:
        body += [r"\midrule", *map(latex_row, table.ends)]
    return "\n".join(
        [
            rf"\begin{{{environment}}}",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{Scores on {latex_text(table.dataset)}.}}",
            rf"\begin{{tabular}}{{{'l' * own}{'r' * numbers}}}",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
            r"\smallskip",
            rf"\parbox{{\linewidth}}{{\footnotesize {latex_text(table.note)}}}",
            rf"\end{{{environment}}}",
            "",
        ]
    )


def latex_heads(table: PaperTable) -> list[str]:
    """The lines of headings: one; or two, with rules between them, where a score has several columns."""
    own = table.groups[0][1]
    titles = [stacked(title) for title, _ in table.groups[1:]]
    names = [latex_text(column) for column in table.columns]
    if all(count == 1 for _, count in table.groups[1:]) and set(table.columns[own:]) == {"mean"}:
        return [" & ".join([*names[:own], *titles]) + r" \\"]
    spans, rules, first = [], [], own + 1
    for title, (_, count) in zip(titles, table.groups[1:], strict=True):
        spans.append(rf"\multicolumn{{{count}}}{{c}}{{{title}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + count - 1}}}")
        first += count
    return [" & ".join([*[""] * own, *spans]) + r" \\", " ".join(rules), " & ".join(names) + r" \\"]


def stacked(title: str) -> str:
    """A score's name on lines of its words, so that its column is no wider than its numbers."""
    words = title.split()
    lines = [latex_text(word) for word in words[:-2]] + [
        latex_text(" ".join(words[-2:]))
    ]  # the arrow stays with a word
    return lines[0] if len(lines) == 1 else r"\shortstack{" + r" \\ ".join(lines) + "}"


def latex_row(row: list[Cell]) -> str:
    """A row of it."""
    cells = [rf"\textbf{{{latex_text(each.text)}}}" if each.bold else latex_text(each.text) for each in row]
    return " & ".join(cells) + r" \\"


def latex_text(text: str) -> str:
    """Text of which nothing is read as a command."""
    return "".join(LATEX.get(letter, letter) for letter in " ".join(text.split()))
