"""What all plots share: the kinds of file, their bytes, and that a user's own settings change nothing."""

import os
import subprocess
import sys

import matplotlib
import pytest

from disentangle_bench.errors import UserError
from disentangle_bench.pictures.paper import (
    COLOURS,
    COLUMN,
    INCH,
    paper_figure,
    paper_style,
    picture_bytes,
    picture_suffix,
    write_figure,
)

DRAW = """
import sys, time
from pathlib import Path
from tests.pictures.test_paper import drawn
from disentangle_bench.pictures.paper import picture_bytes
time.sleep(1.1 if sys.argv[1] == "late" else 0)  # a date would be another one
for kind in ("png", "svg", "pdf"):
    Path(sys.argv[2], f"{sys.argv[1]}.{kind}").write_bytes(picture_bytes(drawn(), kind))
"""


def drawn():
    with paper_style():
        figure = paper_figure(COLUMN, 5)
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], label="β ± 1")
        axis.scatter([0.5], [0.5], label="$I^L$")
        axis.legend()
    return figure


def test_the_same_plot_is_the_same_bytes_in_another_process_at_another_time(tmp_path):
    for when, seed in (("now", "1"), ("late", "2")):
        subprocess.run(
            [sys.executable, "-c", DRAW, when, str(tmp_path)], check=True, env=os.environ | {"PYTHONHASHSEED": seed}
        )
    for kind in ("png", "svg", "pdf"):
        now, late = ((tmp_path / f"{when}.{kind}").read_bytes() for when in ("now", "late"))
        assert now == late, kind


def test_a_users_own_settings_change_nothing_and_stay():
    before = picture_bytes(drawn(), "svg")
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 10, "lines.linewidth": 9, "savefig.bbox": "tight"}):
        assert picture_bytes(drawn(), "svg") == before
        assert matplotlib.rcParams["font.size"] == 30


def test_a_png_has_the_size_of_print():
    width = int.from_bytes(picture_bytes(drawn(), "png")[16:20])
    assert width == pytest.approx(COLUMN / INCH * 300, abs=1)


def test_letters_in_a_pdf_are_no_bitmaps():
    assert b"/Type3" not in picture_bytes(drawn(), "pdf")


def test_a_name_that_is_no_pictures_is_a_mistake(tmp_path):
    assert picture_suffix(tmp_path / "A.PDF") == ".pdf"
    with pytest.raises(UserError, match=r"a picture is written as \.png, \.svg or \.pdf"):
        write_figure(drawn(), tmp_path / "a.jpg")


def light(colour):
    """Relative luminance, WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_colours_are_seen_on_white():
    assert len(set(COLOURS)) == len(COLOURS)
    assert all(1.05 / (light(colour) + 0.05) > 2 for colour in COLOURS), "contrast to white"
