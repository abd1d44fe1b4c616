"""A sweep in a picture: with two objectives every trial against both and the front among them, with one its course."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval_ko.errors import DataError
from retrieval_ko.evaluation.report import Report
from retrieval_ko.files import new_file
from retrieval_ko.sweeps.results import Results, comparable, in_short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 130
_OTHERS, _FRONT = "#9aa5b1", "#0b6e4f"


def write_figures(results: Results, title: str, folder: Path) -> list[Path]:
    """Write pareto.png and pareto.html, a page that needs no network; return both.

    Raises:
        DataError: no trial is finished.
    """
    if not results.front:
        raise DataError(f"{title}: no trial is finished, so there is nothing to draw.")
    image, page = folder / "pareto.png", folder / "pareto.html"
    with new_file(image) as temporary:
        _figure(results).savefig(temporary, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    _page(results, title).write(page)
    return [image, page]


def _figure(results: Results) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axis = figure.add_subplot()
    axis.spines[["top", "right"]].set_visible(False)
    finished = comparable(results.trials)
    front = {trial.number for trial in results.front}
    if len(results.objectives) == 1:
        axis.plot([trial.number for trial in finished], [trial.values[0] for trial in finished], "o", color=_OTHERS, label="trial")
        axis.plot([trial.number for trial in finished], _best_so_far(results), color=_FRONT, label="best so far", drawstyle="steps-post")
        axis.set_xlabel("trial")
        axis.set_ylabel(f"dev {results.objectives[0].words}")
    else:
        quality, cost = 0, 1  # the axes are the first two objectives; the front counts them all
        others = [trial for trial in finished if trial.number not in front]
        axis.plot([t.values[cost] for t in others], [t.values[quality] for t in others], "o", color=_OTHERS, label="beaten")
        best = sorted(results.front, key=lambda trial: trial.values[cost])
        axis.plot([t.values[cost] for t in best], [t.values[quality] for t in best], "o-", color=_FRONT, label="Pareto front")
        for trial in best:
            axis.annotate(str(trial.number), (trial.values[cost], trial.values[quality]), (4, 4), textcoords="offset points", fontsize=8)
        axis.set_xlabel(f"dev {results.objectives[cost].words}")
        axis.set_ylabel(f"dev {results.objectives[quality].words}")
    axis.legend(frameon=False, fontsize=8)
    return figure


def _best_so_far(results: Results) -> list[float]:
    first = results.objectives[0]
    best: list[float] = []
    for trial in comparable(results.trials):
        value = trial.values[0]
        best.append(value if not best or first.better(value, best[-1]) else best[-1])
    return best


def _page(results: Results, title: str) -> Report:
    page = Report(f"Sweep {title}")
    states = ", ".join(f"{count} {state}" for state in ("finished", "pruned", "failed", "running") if (count := results.count(state)))
    page.paragraph(f"{len(results.trials)} trials: {states}.")
    buffer = io.StringIO()
    _figure(results).savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    several = len(results.objectives) > 1
    caption = "Numbers name the trials that no other one beats in every objective." if several else "Each trial, and the best so far."
    page.figure(svg[svg.index("<svg") :], caption)
    keys = list(dict.fromkeys(key for trial in results.trials for key in trial.settings))
    keys = [key for key in keys if len({str(trial.settings.get(key)) for trial in results.trials}) > 1]
    front = {trial.number for trial in results.front}
    header = ["trial", *(one.words for one in results.objectives), *(["front"] if several else []), *keys]
    rows: list[list[str]] = []
    marked = None
    for trial in comparable(results.trials):
        if results.best and trial.number == results.best.number:
            marked = len(rows)
        on_front = ["yes" if trial.number in front else ""] if several else []
        rows.append(
            [str(trial.number), *(f"{value:.4g}" for value in trial.values), *on_front, *(in_short(trial.settings.get(k)) for k in keys)]
        )
    page.heading("Finished trials")
    page.table(header, rows, marked)
    page.paragraph("Measured on the same dev data; the marked one has the best first objective. Its config is best.yaml.", note=True)
    return page
