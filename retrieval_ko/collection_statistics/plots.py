"""Histograms as PNG files. Labels are English, since matplotlib's own fonts have no Hangul."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from retrieval_ko.collection_statistics.distribution import Distribution
from retrieval_ko.evaluation.plots import COLOURS

_WIDTH_INCHES, _HEIGHT_INCHES, _DOTS_PER_INCH = 4.4, 3.2, 120


def write_histograms(target: Path, panels: Mapping[str, Distribution], label: str, counted: str) -> None:
    """Write one panel beside the other, each with the histogram of a distribution.

    Args:
        target: the PNG file.
        panels: panel title → distribution, of one value at least.
        label: of the axis of values, with the unit.
        counted: what the bars count.
    """
    figure = Figure(figsize=(_WIDTH_INCHES * len(panels), _HEIGHT_INCHES), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, distribution) in enumerate(panels.items()):
        axis = figure.add_subplot(1, len(panels), number + 1)
        bars = distribution.histogram()
        reach = bars[-1][0] + (bars[0][1] - bars[0][0])  # the last bar holds all above, but is drawn as wide as the others
        widths = [high - low for low, high, _ in bars[:-1]] + [reach - bars[-1][0]]
        axis.bar([low for low, _, _ in bars], [count for _, _, count in bars], widths, align="edge", color=COLOURS[1], edgecolor="white")
        axis.axvline(distribution.quantile(0.5), color=COLOURS[3], label=f"median {distribution.quantile(0.5):g}")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(label)
        axis.set_ylabel(counted)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(target, format="png", metadata={"Software": None})
