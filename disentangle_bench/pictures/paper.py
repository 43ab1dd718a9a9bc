"""What all plots share: sizes that stand in a two-column paper, colours that every eye tells apart, files that are
always the same.

A plot is drawn at the size at which it is printed, so that its letters are as large there as they are here.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from disentangle_bench.errors import UserError
from disentangle_bench.files import write_file

COLUMN, PAGE = 8.0, 17.0  # cm: widths of one column and of two, in the usual papers
INCH = 2.54  # cm
PNG_DPI = 300
# Okabe & Ito's colours, but for their yellow, which is too light for a line on white, and their black.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BLUE, VERMILION, GREEN = COLOURS[:3]
MARKS = ("o", "s", "^", "D", "v", "P")  # beside the colours: a black-and-white print tells them apart, too
LINES = ("-", "--", ":", "-.")
SUFFIXES = (".png", ".svg", ".pdf")

STYLE: dict[str, Any] = {
    "font.size": 7.0,
    "axes.titlesize": 7.0,
    "axes.labelsize": 7.0,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "figure.titlesize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.3,
    "lines.linewidth": 1.0,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # a name with a $ in it is no formula
    "svg.hashsalt": "disentangle-bench",  # ids within an SVG: the same ones each time
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
}
UNDATED = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def paper_style() -> Any:
    """The context in which a plot is drawn, and written: matplotlib's defaults and `STYLE`, whatever a user's own
    settings are."""
    import matplotlib.style

    return matplotlib.style.context(["default", STYLE])


def paper_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure of so many centimetres; within `paper_style`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / INCH, height / INCH))


def picture_suffix(path: Path) -> str:
    """The kind of picture that a file's name asks for, one of `SUFFIXES`; `UserError` for another."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: a picture is written as {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}; choose one.")
    return suffix


def picture_bytes(figure: Any, kind: str, dpi: int = PNG_DPI) -> bytes:
    """A figure as `png`, `svg` or `pdf`; the same figure gives the same bytes, under the same matplotlib."""
    buffer = io.BytesIO()
    with paper_style():
        figure.draw_without_rendering()  # a layout within a layout needs a second round to settle
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=UNDATED[kind])
    return buffer.getvalue()


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure whole or not at all, as its name ends: .png, .svg or .pdf."""
    write_file(path, picture_bytes(figure, picture_suffix(path).removeprefix(".")))
