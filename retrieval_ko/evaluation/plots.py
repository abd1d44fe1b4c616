"""Figures as SVG text, to be set into a report. Labels are English, since matplotlib's own fonts have no Hangul."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

COLOURS = ("#9aa5b1", "#5b7c99", "#0b6e4f", "#c8553d", "#f2a541")
_WIDTH_INCHES, _HEIGHT_INCHES = 6.4, 3.2


def _figure(columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH_INCHES * columns * (1 if columns == 1 else 0.75), _HEIGHT_INCHES), layout="constrained")
    axes = [figure.add_subplot(1, columns, number + 1) for number in range(columns)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "sparse-ko"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def grouped_bars(groups: Sequence[str], series: Mapping[str, Sequence[float]], label: str) -> str:
    """Return bars side by side: one group a name in `groups`, one bar a series, its value on top.

    Args:
        groups: names under the axis.
        series: name → one value a group.
        label: of the value axis.
    """
    figure, [axis] = _figure()
    width = 0.8 / max(len(series), 1)
    for place, (name, values) in enumerate(series.items()):
        positions = [group + (place - (len(series) - 1) / 2) * width for group in range(len(groups))]
        bars = axis.bar(positions, values, width * 0.92, label=name, color=COLOURS[place % len(COLOURS)])
        axis.bar_label(bars, fmt="%.2f", fontsize=7, padding=1)
    axis.set_xticks(range(len(groups)), groups)
    axis.set_ylabel(label)
    axis.margins(y=0.12)
    figure.legend(loc="outside upper left", ncols=len(series), frameon=False, fontsize=8)
    return _svg(figure)


def curves(panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]]) -> str:
    """Return one panel beside the other, each with lines over the training step.

    Args:
        panels: panel title → line name → (steps, values).
    """
    figure, axes = _figure(len(panels))
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for place, (name, (steps, values)) in enumerate(lines.items()):
            axis.plot(
                steps, values, label=name, color=COLOURS[(place + 2) % len(COLOURS)], marker="o" if len(steps) < 30 else "", markersize=3
            )
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        if len(lines) > 1:
            axis.legend(frameon=False, fontsize=8)
    return _svg(figure)


def distributions(series: Mapping[str, Sequence[float]], label: str) -> str:
    """Return one box a series: median, quartiles, and whiskers from the 1st to the 99th percentile.

    Args:
        series: name → values.
        label: of the value axis, with the unit.
    """
    figure, [axis] = _figure()
    axis.boxplot(
        list(series.values()),
        tick_labels=list(series),
        orientation="horizontal",
        whis=(1, 99),
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": COLOURS[0]},
        medianprops={"color": COLOURS[3]},
    )
    axis.set_xlabel(label)
    axis.set_xlim(left=0)
    return _svg(figure)
