"""Figures of a benchmark as PNG. Labels are English, since matplotlib's own fonts have no Hangul."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from retrieval_ko.evaluation.plots import COLOURS

_DOTS_PER_INCH = 120
_MARKERS = "osD^vP*Xh"


def write_trade(target: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a dot a mode: nDCG@10 over the p50 of what a user waits for, on a logarithmic axis; up and to the left is better."""
    figure, axis = _figure(7.2, 4.6)
    for place, row in enumerate(rows):
        axis.scatter(
            row["total_ms"]["p50"],
            row["ndcg@10"],
            s=46,
            color=_colour(place),
            marker=_marker(place),
            label=row["mode"],
            zorder=3,
            alpha=0.85,
        )
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    _logarithmic(axis)
    axis.set_xlabel("encode + service, p50, milliseconds", fontsize=9)
    axis.set_ylabel("nDCG@10", fontsize=9)
    axis.margins(0.12)
    axis.grid(alpha=0.25)
    _save(figure, target)


def write_latencies(target: Path, milliseconds: Mapping[str, Sequence[float]]) -> None:
    """Write a box a mode: quartiles of its service times, whiskers from the 1st to the 99th percentile, on a logarithmic axis."""
    figure, axis = _figure(7.2, 1.2 + 0.3 * len(milliseconds))
    axis.boxplot(
        list(milliseconds.values()),
        tick_labels=list(milliseconds),
        orientation="horizontal",
        whis=(1, 99),
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": COLOURS[0]},
        medianprops={"color": COLOURS[3]},
    )
    axis.invert_yaxis()
    _logarithmic(axis)
    axis.set_xlabel("service time, milliseconds", fontsize=9)
    axis.tick_params(labelsize=8)
    _save(figure, target)


def write_throughput(target: Path, sweep: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write a line a mode: answers a second over clients; a cross where more than 0.1 % failed and the mode was asked no more."""
    figure, axis = _figure(7.2, 4.2)
    for place, (name, steps) in enumerate(sweep.items()):
        clients, rates = [step["clients"] for step in steps], [step["qps"] for step in steps]
        axis.plot(clients, rates, marker=_marker(place), markersize=4, color=_colour(place), label=name)
        if steps and steps[-1]["errors"] and steps[-1]["error_rate"] > 0.001:
            axis.plot(clients[-1], rates[-1], marker="x", markersize=12, color=COLOURS[3])
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("clients", fontsize=9)
    axis.set_ylabel("answers a second", fontsize=9)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.25)
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    _save(figure, target)


def write_growth(target: Path, panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float], tuple[float, float]]]]) -> None:
    """Write one panel beside the other: dots that were measured at growing sizes, and the line that was fitted to them.

    Args:
        target: the PNG file.
        panels: title → line → (passages, values, (base, slope for a million passages)).
    """
    figure = Figure(figsize=(4.2 * len(panels), 3.6), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, lines) in enumerate(panels.items(), start=1):
        axis = figure.add_subplot(1, len(panels), number)
        for place, (name, (sizes, values, (base, slope))) in enumerate(lines.items()):
            axis.scatter(sizes, values, s=24, color=_colour(place), marker=_marker(place), label=name, zorder=3)
            ends = [0, max(sizes)]
            axis.plot(ends, [base + slope * end / 1e6 for end in ends], color=_colour(place), linewidth=1)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("passages", fontsize=8)
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=7, frameon=False)
    _save(figure, target)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


def _logarithmic(axis: Axes) -> None:
    """Scale the milliseconds by powers, and write them as plain numbers."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def _colour(place: int) -> str:
    return COLOURS[(place + 2) % len(COLOURS)]


def _marker(place: int) -> str:
    return _MARKERS[place // len(COLOURS) % len(_MARKERS)]


def _save(figure: Figure, target: Path) -> None:
    figure.savefig(target, format="png", metadata={"Software": None})
