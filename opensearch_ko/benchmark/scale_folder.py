"""What `sparse-ko benchmark scale --out` writes: scale.json, report.md, report.html and the figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opensearch_ko.benchmark.folder import markdown, write_page
from opensearch_ko.benchmark.sections import Section, conditions_section
from retrieval_ko.files import check_replaceable, write_json, write_text

REPORT = "scale.json"
FIGURE = "growth.png"
OWN_FILES = frozenset({REPORT, "report.md", "report.html", FIGURE})
CAPTION = "Dots are measured; the line is a fit of least squares through them."


def check_scale_folder(folder: Path) -> None:
    """Make sure that nothing but an earlier measurement would be replaced.

    Raises:
        UsageError: `folder` is a file or holds something else.
    """
    check_replaceable(folder, OWN_FILES, REPORT)


def write_scale(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the files of a finished measurement."""
    write_json(folder / REPORT, report)
    figures = []
    if "fits" in report:
        _write_figure(folder / FIGURE, report)
        figures.append((FIGURE, CAPTION))
    title = "Cost as the collection grows"
    parts = growth_sections(report)
    write_text(folder / "report.md", markdown(title, parts, figures))
    write_page(folder / "report.html", title, parts, [(folder / name, caption) for name, caption in figures])


def growth_sections(report: Mapping[str, Any]) -> list[Section]:
    """Return what was measured, the lines, and what they say of a large collection."""
    modes = list(report["sizes"][0]["modes"])
    rows = [
        [
            f"{row['passages']:,}",
            f"{row['synthetic']:,}",
            f"{row['docs_per_second']:,.0f}",
            f"{row['bytes_per_document']:,.0f}",
            *(f"{row['modes'][mode]['service_ms']['p50']:.2f}" for mode in modes),
            *(f"{row['postings'][mode]:,.0f}" for mode in row["postings"]),
        ]
        for row in report["sizes"]
    ]
    header = ("passages", "of these synthetic", "docs/s", "bytes a passage", *(f"{mode} p50 ms" for mode in modes))
    text = (
        "Measured: one index that grows, merged into one segment at each size. docs/s is the node's speed for this step, weights given by "
        "the client. Service time of one client, modes interleaved. Postings: of all terms of a query."
    )
    made = [Section("Measured", text, (*header, *(f"{mode} postings" for mode in report["sizes"][0]["postings"])), rows)]
    if "fits" in report:
        lines = {
            "index bytes": report["fits"]["index_bytes"],
            "seconds to index": report["fits"]["ingest_seconds"],
            **{f"{mode} p50 ms": line for mode, line in report["fits"]["service_p50_ms"].items()},
            **{f"{mode} postings": line for mode, line in report["fits"]["postings"].items()},
        }
        cells = [
            [name, f"{line['base']:,.5g}", f"{line['per_million']:,.5g}", str(line["points"]), _share(line["largest_residual"])]
            for name, line in lines.items()
        ]
        fitted = (
            "Least squares over the sizes above: base + slope for each million passages. The last column is how far a point lies "
            "off at most."
        )
        made.append(Section("Fitted", fitted, ("", "base", "a million passages add", "points", "off by at most"), cells))
        plan = report["sizing"]
        said = "What the lines say beyond the sizes that were measured: a calculation. How it is made: docs/sizing.md"
        cells = [[name.replace("_", " "), _value(value)] for name, value in plan.items()]
        made.append(Section(f"Calculated for {plan['documents']:,} passages", said, ("", ""), cells))
    if report.get("doubts"):
        made.insert(0, Section("What speaks against these numbers", " ".join(report["doubts"])))
    return [*made, conditions_section(report["conditions"])]


def _write_figure(target: Path, report: Mapping[str, Any]) -> None:
    from opensearch_ko.benchmark.figures import write_growth  # matplotlib loads for a second

    sizes = [row["passages"] for row in report["sizes"]]

    def line(values: list[float], fit: Mapping[str, float]) -> tuple[list[int], list[float], tuple[float, float]]:
        return sizes, values, (fit["base"], fit["per_million"])

    fits = report["fits"]
    megabytes = {name: fits["index_bytes"][name] / 1e6 for name in ("base", "per_million")}
    panels = {
        "service time, p50, ms": {
            mode: line([row["modes"][mode]["service_ms"]["p50"] for row in report["sizes"]], fit)
            for mode, fit in fits["service_p50_ms"].items()
        },
        "postings a query": {mode: line([row["postings"][mode] for row in report["sizes"]], fit) for mode, fit in fits["postings"].items()},
        "index, MB": {"index": line([row["index_bytes"] / 1e6 for row in report["sizes"]], megabytes)},
    }
    write_growth(target, {title: lines for title, lines in panels.items() if lines})


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _value(value: Any) -> str:  # noqa: ANN401  any JSON value
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    return "not known: it did not grow" if value is None else f"{value:,}"
