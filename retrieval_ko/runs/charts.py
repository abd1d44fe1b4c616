"""Several runs in one picture: losses, quality and sparsity over the steps, as PNG or as a page with a table.

Labels are English, since matplotlib's own fonts have no Hangul; in a page the browser's fonts set them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.evaluation.report import Report
from retrieval_ko.files import new_file
from retrieval_ko.runs.curves import Curve, curve, quality, train_loss
from retrieval_ko.runs.folder import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".html")
COLOURS = ("#0b6e4f", "#c8553d", "#2f6fb0", "#e09f1f", "#7b4ea3", "#5b7c99", "#8c564b", "#d16ba5")
POINTS = 200
"""Of a curve, at most: more than these are averaged, or a long run is a grey carpet and a page of megabytes."""
TALL = 20
"""Times the median: a curve that goes higher, as one that diverges, would press all others flat, and the axis becomes logarithmic."""
_DOTS_PER_INCH = 130
_LINE_STYLES = ("-", "--", ":", "-.")


class Panel(NamedTuple):
    """One chart: its title, its axis, and what it draws: event name → words in the legend."""

    title: str
    axis: str
    lines: dict[str, str]


PANELS = (
    Panel("Loss", "loss", {"ranking": "train (ranking)", "loss": "train", "dev_loss": "valid"}),
    Panel("Quality on dev", "share", {"dev_ndcg@10": "nDCG@10", "dev_recall@10": "Recall@10", "dev_accuracy": "accuracy"}),
    Panel("Active dimensions on dev", "dimensions", {"dev_document_dims": "passage", "dev_query_dims": "query"}),
    Panel("Learning rate", "rate", {"learning_rate": "rate"}),
)
"""What is drawn, as far as a run recorded it."""


class Drawn(NamedTuple):
    """One run as it is drawn."""

    name: str
    events: list[dict[str, Any]]


def plot_runs(runs: Sequence[Run], target: Path) -> None:
    """Draw runs into one picture, whole or not at all.

    Args:
        runs: at least one; the picture names them by their folders.
        target: .png or .html; a file that is there is replaced.

    Raises:
        UsageError: another ending.
        DataError: no run recorded anything.
    """
    if target.suffix not in SUFFIXES:
        raise UsageError(f"--out {target}: a picture ends in {' or '.join(SUFFIXES)}.", "For example: --out runs.png")
    drawn = [Drawn(name, run.events()) for name, run in zip(names_of(runs), runs, strict=True)]
    panels = [panel for panel in PANELS if any(_curves(panel, one) for one in drawn)]
    if not panels:
        raise DataError(f"{', '.join(str(run.folder) for run in runs)}: no loss and no metric was recorded.")
    if target.suffix == ".png":
        figure = _figure(panels, drawn, columns=2)
        with new_file(target) as temporary:
            figure.savefig(temporary, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
        return
    page = Report("Training runs")
    page.table(
        ["run", "state", "steps", "best dev", "train loss", "valid loss"], [_row(one, run) for one, run in zip(drawn, runs, strict=True)]
    )
    for panel in panels:
        page.figure(_svg(_figure([panel], drawn, columns=1)), _caption(panel))
    page.write(target)


def names_of(runs: Sequence[Run]) -> list[str]:
    """Return the shortest name of each run that tells it from the others: its folder's, with as many parents as it takes."""
    parts = [run.folder.resolve().parts for run in runs]
    names = []
    for own in parts:
        length = next(
            (length for length in range(1, len(own) + 1) if sum(other[-length:] == own[-length:] for other in parts) == 1), len(own)
        )
        names.append("/".join(own[-length:]))
    return names


def _curves(panel: Panel, run: Drawn) -> list[tuple[str, Curve]]:
    """Return (words, curve) of what a run recorded of a panel; of the total loss and its ranking part only the one that is judged."""
    loss_name, _ = train_loss(run.events)
    left_out = {"ranking", "loss"} - {loss_name}
    found = [(words, curve(run.events, name).finite()) for name, words in panel.lines.items() if name not in left_out]
    return [(words, one) for words, one in found if len(one)]


def _figure(panels: Sequence[Panel], drawn: Sequence[Drawn], columns: int) -> Figure:
    from matplotlib.figure import Figure

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(6.6 * columns, 3.4 * rows + 0.5), layout="constrained")
    for number, panel in enumerate(panels):
        _draw(figure.add_subplot(rows, columns, number + 1), panel, drawn)
    handles = [_run_mark(COLOURS[place % len(COLOURS)]) for place in range(len(drawn))]
    figure.legend(handles, [one.name for one in drawn], loc="outside upper left", ncols=min(len(drawn), 4), frameon=False, fontsize=9)
    return figure


def _run_mark(colour: str) -> Any:  # noqa: ANN401  matplotlib has no types
    from matplotlib.patches import Patch

    return Patch(color=colour)


def _draw(axis: Axes, panel: Panel, drawn: Sequence[Drawn]) -> None:
    from matplotlib.lines import Line2D

    words = list(dict.fromkeys(words for one in drawn for words, _ in _curves(panel, one)))
    for place, one in enumerate(drawn):
        for name, values in _curves(panel, one):
            shown = values.averaged(POINTS)
            axis.plot(
                shown.steps,
                shown.values,
                color=COLOURS[place % len(COLOURS)],
                linestyle=_LINE_STYLES[words.index(name) % len(_LINE_STYLES)],
                marker="o" if len(shown) < 30 else "",
                markersize=3,
                linewidth=1.4,
            )
    heights = sorted(value for one in drawn for _, found in _curves(panel, one) for value in found.averaged(POINTS).values)
    middle = heights[len(heights) // 2]
    if middle > 0 and heights[-1] > TALL * middle:
        axis.set_yscale("symlog", linthresh=middle)
    axis.set_title(panel.title, fontsize=10)
    axis.set_xlabel("step", fontsize=9)
    axis.set_ylabel(panel.axis, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    if len(words) > 1:
        marks = [Line2D([], [], color="#52606d", linestyle=_LINE_STYLES[number % len(_LINE_STYLES)]) for number in range(len(words))]
        axis.legend(marks, words, frameon=False, fontsize=8)


def _svg(figure: Figure) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "sparse-ko", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _caption(panel: Panel) -> str:
    return f"{panel.title}: {', '.join(panel.lines.values())}, as far as it was recorded; one colour a run."


def _row(drawn: Drawn, run: Run) -> list[str]:
    _, measured = quality(drawn.events)
    _, train = train_loss(drawn.events)
    valid = curve(drawn.events, "dev_loss")
    best = f"{max(measured.finite().values):.4f}" if len(measured.finite()) else ""
    last = [f"{one.values[-1]:.4g}" if len(one) else "" for one in (train, valid)]
    steps = max((int(event.get("step", 0)) for event in drawn.events), default=0)
    return [drawn.name, str(run.look()["state"]), str(steps), best, *last]
