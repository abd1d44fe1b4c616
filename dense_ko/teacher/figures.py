"""Distributions of scores as PNG. Labels are English, since matplotlib's own fonts have no Hangul."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from retrieval_ko.evaluation.plots import COLOURS
from retrieval_ko.files import new_file

_BINS = 40


def write_histograms(
    target: Path, series: Mapping[str, NDArray[np.float64] | Sequence[float]], label: str, lines: Mapping[str, float] | None = None
) -> None:
    """Write histograms over each other, each of area 1, as one PNG.

    Args:
        target: the file.
        series: name → values; one without values is left out.
        label: of the value axis, with the unit.
        lines: name → a value that is marked, e.g. a target.
    """
    there = {name: np.asarray(values, dtype=np.float64) for name, values in series.items() if len(values)}
    figure = Figure(figsize=(6.4, 3.2), dpi=120, layout="constrained")
    axis = figure.add_subplot()
    if there:
        everything = np.concatenate(list(there.values()))
        low, high = float(everything.min()), float(everything.max())
        bins = np.linspace(low, high if high > low else low + 1, _BINS + 1)
        for place, (name, values) in enumerate(there.items()):
            colour = COLOURS[(2 + place) % len(COLOURS)]
            axis.hist(values, bins=bins.tolist(), density=True, alpha=0.55, label=f"{name} ({len(values):,})", color=colour)
    for name, value in (lines or {}).items():
        axis.axvline(value, color="black", linewidth=1, linestyle="--")
        axis.annotate(name, (value, 0.96), xycoords=("data", "axes fraction"), fontsize=7, rotation=90, va="top", ha="right")
    axis.set_xlabel(label)
    axis.set_yticks([])
    axis.spines[["top", "right", "left"]].set_visible(False)
    if there:
        axis.legend(frameon=False, fontsize=8)
    FigureCanvasAgg(figure)
    with new_file(target) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
