"""Figures of an evaluation as PNG files. Labels are English, since matplotlib's own fonts have no Hangul."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from retrieval_ko.evaluation.plots import COLOURS

_DOTS_PER_INCH = 120


def write_quality(target: Path, names: Sequence[str], means: Sequence[float], intervals: Sequence[tuple[float, float]], label: str) -> None:
    """Write a bar a system with its 95 % interval, the first system on top."""
    figure = Figure(figsize=(6.8, 0.9 + 0.36 * len(names)), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    places = list(range(len(names)))
    lows = [mean - low for mean, (low, _) in zip(means, intervals, strict=True)]
    highs = [high - mean for mean, (_, high) in zip(means, intervals, strict=True)]
    colours = [COLOURS[0] if name.startswith("bm25-") else COLOURS[2] for name in names]
    axis.barh(places, means, color=colours, xerr=[lows, highs], error_kw={"ecolor": "#33404d", "capsize": 3, "linewidth": 1})
    for place, mean, (_, high) in zip(places, means, intervals, strict=True):
        axis.annotate(f"{mean:.3f}", (high, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks(places, names, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(f"{label}, 95 % bootstrap interval", fontsize=9)
    axis.margins(x=0.12)
    axis.set_xlim(left=0)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, format="png", metadata={"Software": None})


def write_scatter(target: Path, first: tuple[str, Mapping[str, float]], second: tuple[str, Mapping[str, float]], label: str) -> None:
    """Write a dot a query: its value by the first system over its value by the second; equal queries make a darker dot.

    Args:
        target: the PNG file.
        first: name and per-query values; the vertical axis.
        second: the same, on the same queries; the horizontal axis.
        label: what the values are.
    """
    figure = Figure(figsize=(4.6, 4.6), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    queries = sorted(first[1])
    above = sum(first[1][query] > second[1][query] for query in queries)
    below = sum(first[1][query] < second[1][query] for query in queries)
    axis.plot([0, 1], [0, 1], color=COLOURS[0], linewidth=1, zorder=1)
    axis.scatter(
        [second[1][query] for query in queries], [first[1][query] for query in queries], s=22, color=COLOURS[2], alpha=0.25, linewidths=0
    )
    axis.set_title(f"{above} better, {below} worse, {len(queries) - above - below} equal", fontsize=9)
    axis.set_xlabel(f"{second[0]}, {label}", fontsize=9)
    axis.set_ylabel(f"{first[0]}, {label}", fontsize=9)
    axis.set_xlim(-0.03, 1.03)
    axis.set_ylim(-0.03, 1.03)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, format="png", metadata={"Software": None})
