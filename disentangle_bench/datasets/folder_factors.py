"""What a user's factors.csv says of the images beside it."""

from __future__ import annotations

import csv
import io
import math
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from disentangle_bench.errors import UserError

LABEL = "label"


@dataclass(frozen=True)
class Annotation:
    """Factors and classes of N images, which `images` names in the order that they are to be stored in.

    factors: int64 (N, K), or None where their images are a full grid and in its order, or K is 0.
    labels: int64 (N,), or None without a column `label`; class_names: what they count.
    """

    images: list[str]
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()
    factors: np.ndarray | None = None
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()


def annotation(where: str, text: str, images: Sequence[str]) -> Annotation:
    """Read a factors.csv: a header, then a row for each image, whose first cell is its name.

    where: the file, for the messages. images: all names there are, relative to it. A column's values, in any text, are
    numbered in sorted order, by size where all are numbers. Raises `UserError` with the line that is wrong.
    """
    separator = _separator(text)
    header, rows = _rows(where, text, separator, set(images))
    columns = {
        name: _numbered(where, name, {n: row[k] for n, row in rows.items()}, decimal_comma=separator != ",")
        for k, name in enumerate(header)
        if k
    }
    names = [row[0] for row in rows.values()]
    classes, labels = columns.pop(LABEL, ((), None))
    factor_names, sizes = tuple(columns), tuple(len(values) for values, _ in columns.values())
    factors = np.array([numbers for _, numbers in columns.values()], dtype=np.int64).reshape(len(sizes), len(rows)).T
    if full_grid := _is_full_grid(factors, sizes):
        order = np.ravel_multi_index(tuple(factors.T), sizes).argsort()
    else:
        order = np.argsort(names)
    return Annotation(
        [names[i] for i in order],
        factor_names,
        sizes,
        None if full_grid or not sizes else factors[order],
        None if labels is None else labels[order],
        classes,
    )


def _separator(text: str) -> str:
    """What divides the header's cells: a comma, a semicolon (as spreadsheets write where the comma is the decimal
    mark), or a tab; that which gives most cells."""
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _rows(where: str, text: str, separator: str, images: set[str]) -> tuple[list[str], dict[int, list[str]]]:
    """The header, and by its number a row of stripped cells for each image, checked."""
    if "\0" in text:
        raise UserError(f"{where} holds NUL characters, as text in UTF-16 does; save it in UTF-8.")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        cells = [[cell.strip() for cell in row] for row in reader]
    except csv.Error as error:
        raise UserError(f"{where} is no CSV file: {error}.") from error
    if not cells:
        raise UserError(f"{where} is empty; it needs a header such as 'file,shape,colour'.")
    header, rows = cells[0], {}
    seen: set[str] = set()
    if len(header) < 2 or not all(header[1:]) or len(set(header[1:])) < len(header) - 1:
        raise UserError(
            f"{where}: its header must name different columns after the file's, with commas, semicolons or tabs "
            f"between them, such as 'file,shape,colour', not {separator.join(header)!r}."
        )
    for number, row in enumerate(cells[1:], 2):
        if not any(row):
            continue
        if len(row) != len(header) or not all(row):
            raise UserError(
                f"{where}, row {number} must have {len(header)} cells with text, not {separator.join(row)!r}."
            )
        row[0] = posixpath.normpath(row[0])
        if row[0] not in images or row[0] in seen:
            reason = "appears twice" if row[0] in seen else "is no image beside it"
            raise UserError(f"{where}, row {number}: '{row[0]}' {reason}.")
        seen.add(row[0])
        rows[number] = row
    if images - seen:
        raise UserError(f"{where} has no row for the image '{min(images - seen)}'; add one, or remove the image.")
    return header, rows


def _numbered(where: str, column: str, rows: dict[int, str], decimal_comma: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """The different values of a column in order, as written, and each cell's number among them, int64 (N,).

    rows: the cell in each numbered row. decimal_comma: 0,5 is a number, too. `UserError` for nan or an infinity where
    all cells are numbers.
    """
    cells = list(rows.values())
    values: np.ndarray
    try:
        values = np.array([float(cell.replace(",", ".") if decimal_comma else cell) for cell in cells])
    except ValueError:
        values = np.array(cells)
    else:
        for (row, cell), value in zip(rows.items(), values, strict=True):
            if not math.isfinite(value):
                raise UserError(
                    f"{where}, row {row}: '{cell}' is no finite number, as the others in column '{column}' are; give "
                    "one, or a word such as 'none', which makes the column text."
                )
    _, first, numbers = np.unique(values, return_index=True, return_inverse=True)
    return tuple(cells[i] for i in first), numbers.astype(np.int64)


def _is_full_grid(factors: np.ndarray, sizes: tuple[int, ...]) -> bool:
    """Whether each combination of values occurs once: factors int64 (N, K)."""
    if not sizes or math.prod(sizes) != len(factors):
        return False
    return len(np.unique(np.ravel_multi_index(tuple(factors.T), sizes))) == len(factors)
