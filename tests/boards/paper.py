"""What every plot must keep to, so that it stands in a two-column paper."""

from matplotlib.figure import FigureBase
from matplotlib.text import Text

from disentangle_bench.pictures.paper import COLUMN, INCH, PAGE, paper_style


def stands_in_a_paper(figure) -> None:
    """One or two columns wide, no letter below six points, and nothing beyond the edge."""
    assert round(figure.get_figwidth() * INCH, 6) in (COLUMN, PAGE)
    with paper_style():
        for _ in range(2):  # as it is written
            figure.draw_without_rendering()
        for text in figure.findobj(Text):
            assert text.get_fontsize() >= 6, text
        parts = figure.findobj(FigureBase)
        drawn = [axis for part in parts for axis in part.axes if axis.get_visible()]
        drawn += [each for part in parts for each in (*part.texts, *part.legends)]
        edge = figure.bbox.padded(1)
        for each in drawn:
            box = each.get_tightbbox()
            assert (edge.x0 <= box.x0) & (box.x1 <= edge.x1) & (edge.y0 <= box.y0) & (box.y1 <= edge.y1), (each, box)
