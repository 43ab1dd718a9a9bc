"""Pictures within a page: scaled until they fit a share of its size, and as text that needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, UnidentifiedImageError

from disentangle_bench.boards.curves import model_figure, study_curves
from disentangle_bench.boards.picture import FRAME, PANEL, ROW, draw_panel, of_panel
from disentangle_bench.boards.report import KINDS, Contents
from disentangle_bench.boards.report_tables import Board
from disentangle_bench.display import Bar
from disentangle_bench.pictures.paper import paper_figure, paper_style, picture_bytes

MOST = 11_000_000  # bytes of all pictures of trials together; base64 makes 14.7 MB of them, of the page's 20
MOST_CURVES = 2_400_000  # of all models' curves: 3.2 MB
LARGEST = 150_000  # of one picture, however few there are
PLOT = 8.0  # cm: an interval plot
DPI = (160, 120, 90, 70, 50)  # of curves whose SVG is too large
SIDES = (1000, 800, 640, 520, 420, 320, 240, 160, 100)  # pixels; the first that fits is taken, or the last
QUALITY = 80  # of JPEG


@dataclass(frozen=True)
class Picture:
    """A picture in a page: its address, which holds it all; its size in pixels; what it shows, in words."""

    uri: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Gallery:
    """The pictures of one model on one dataset: by kind, each seed's."""

    title: str
    kinds: dict[str, list[tuple[int, Picture]]]


@dataclass(frozen=True)
class Curves:
    """The curves of one model on one dataset."""

    title: str
    model: str
    picture: Picture


def data_uri(content: bytes, kind: str) -> str:
    """An address that is the content itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def share(of: int, count: int) -> int:
    """The bytes that each of so many pictures may take of what there is for all."""
    return min(LARGEST, of // max(1, count))


def scaled(path: Path, most: int, alt: str) -> Picture | None:
    """A picture file in no more than `most` bytes, unless it is the smallest side's; None where it is no picture.

    A small file is taken as it is; else the largest side of `SIDES` that fits, as JPEG.
    """
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()  # a file that was cut off is found out here
            if image.format == "PNG" and len(content) <= most and max(image.size) <= SIDES[0]:
                return Picture(data_uri(content, "image/png"), *image.size, alt)
            whole = image.convert("RGB")
    except (UnidentifiedImageError, OSError):  # cut off, or something else under this name
        return None
    for side in SIDES:
        small = whole.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        buffer = io.BytesIO()
        small.save(buffer, format="JPEG", quality=QUALITY, optimize=True)
        if buffer.tell() <= most:
            break
    return Picture(data_uri(buffer.getvalue(), "image/jpeg"), *small.size, alt)


def plots(found: Sequence[Board], seeds: pd.DataFrame) -> Iterator[Picture | None]:
    """Each board's seeds, means and intervals, drawn; None where there is no score."""
    with Bar("interval plots") as progress:
        for done, board in enumerate(found, start=1):
            yield plot(board, seeds)
            progress(done, len(found))


def plot(board: Board, seeds: pd.DataFrame) -> Picture | None:
    """One board's seeds, means and intervals; None where there is no score."""
    shown = board.rows[(board.rows["kind"] == "model") & board.rows["mean"].notna()]
    if shown.empty:
        return None
    first = board.rows.iloc[0]
    with paper_style():
        figure = paper_figure(PLOT, FRAME + 1.4 * ROW * len(shown))  # about as high as the table beside it
        axis = figure.subplots()
        draw_panel(axis, shown.iloc[::-1], of_panel(seeds, [first[name] for name in PANEL]))  # the best on top
        axis.set_title("")  # the page has it above
    ends = [f"{end} {first[end]:.3f}, {how}" for end, how in (("floor", "dashed"), ("ceiling", "dotted"))
            if pd.notna(first[end])]  # fmt: skip
    shows = ["seeds as small dots", "means as large ones", "95 % intervals as whiskers", *ends]
    alt = f"{board.score} on {board.dataset}, {len(shown)} models: {'; '.join(shows)}. The table has the numbers."
    return within(figure, LARGEST, alt)


def galleries(contents: Contents) -> list[Gallery]:
    """Each trial's pictures, scaled to fit together."""
    most, done, found = share(MOST, len(contents.pictures)), 0, []
    with Bar("pictures") as progress:
        for (dataset, label), trials in contents.study.cells().items():
            kinds: dict[str, list[tuple[int, Picture]]] = {}
            for kind in KINDS:
                for trial in trials:
                    path = contents.pictures.get((trial.id, kind))
                    if path is None:
                        continue
                    what = "what each code changes" if kind == "traversal" else "images from random codes"
                    picture = scaled(path, most, f"{kind} of {label} on {dataset}, seed {trial.seed}: {what}")
                    if picture is not None:
                        kinds.setdefault(kind, []).append((trial.seed, picture))
                    done += 1
                    progress(done, len(contents.pictures))
            if kinds:
                found.append(Gallery(f"{label} on {dataset}", kinds))
    return found


def curves(contents: Contents) -> list[Curves]:
    """The training curves of each model's seeds, drawn over one another."""
    table = study_curves(contents.study.trials, contents.workspace)
    cells = table[["dataset", "model"]].drop_duplicates().to_numpy(dtype=str).tolist()
    most, found = share(MOST_CURVES, len(cells)), []
    with Bar("curves") as progress:
        for done, (dataset, model) in enumerate(cells, start=1):
            figure = model_figure(table, dataset, model)
            alt = f"Training curves of {model} on {dataset}, seeds over one another: losses, then what the model logs"
            found.append(Curves(f"{model} on {dataset}", model, within(figure, most, alt)))
            progress(done, len(cells))
    return found


def within(figure: Any, most: int, alt: str) -> Picture:
    """A figure as SVG, or where that has more than `most` bytes, as the largest PNG of `DPI` that fits, or the last."""
    width, height = (round(inches * 144) for inches in figure.get_size_inches())  # 1.5 times as large as in a paper
    content, kind = picture_bytes(figure, "svg"), "image/svg+xml"
    for dpi in DPI:
        if len(content) <= most:
            break
        content, kind = picture_bytes(figure, "png", dpi), "image/png"
    return Picture(data_uri(content, kind), width, height, alt)
