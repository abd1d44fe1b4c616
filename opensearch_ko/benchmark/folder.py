"""What `sparse-ko benchmark --out` writes: benchmark.json, report.md, report.html, figures, and every query's values and times."""

from __future__ import annotations

import base64
from pathlib import Path

from opensearch_ko.benchmark.measure import Benchmark
from opensearch_ko.benchmark.sections import Section, sections
from retrieval_ko.evaluation.per_query import file_name, write_values
from retrieval_ko.evaluation.report import Report
from retrieval_ko.files import check_replaceable, write_json, write_text
from retrieval_ko.markdown import table

REPORT = "benchmark.json"
OWN_FILES = frozenset({REPORT, "report.md", "report.html", "runs", "times", "quality-time.png", "latency.png", "throughput.png"})
CAPTIONS = {
    "quality-time.png": "Quality over time: up and to the left is better.",
    "latency.png": "Service times: quartiles, whiskers from the 1st to the 99th percentile.",
    "throughput.png": "Answers a second by the number of clients; a cross marks where more than 0.1 % failed.",
}


def check_benchmark_folder(folder: Path) -> None:
    """Make sure that nothing but an earlier benchmark would be replaced.

    Raises:
        UsageError: `folder` is a file or holds something else.
    """
    check_replaceable(folder, OWN_FILES, REPORT)


def write_progress(folder: Path, benchmark: Benchmark) -> None:
    """Write what is measured so far, each file whole or not at all: a later phase that fails takes nothing with it."""
    write_json(folder / REPORT, benchmark.report)
    for result in benchmark.results:
        write_values(folder / "runs" / file_name(result.system), result)
    for name, timings in benchmark.timings.items():
        lines = ["query-id\tencode_ms\tservice_ms\ttook_ms"]
        lines += [f"{t.query}\t{t.encode_ms:.3f}\t{t.service_ms:.3f}\t{t.took_ms:.0f}" for t in timings]
        write_text(folder / "times" / file_name(name), "\n".join(lines) + "\n")


def write_reports(folder: Path, benchmark: Benchmark, title: str) -> None:
    """Write report.md, report.html (which needs no other file) and the figures of a benchmark; all of benchmark.json and no more.

    Raises:
        RetrievalError: the folder cannot be written.
    """
    from opensearch_ko.benchmark.figures import write_latencies, write_throughput, write_trade  # matplotlib loads for a second

    folder.mkdir(parents=True, exist_ok=True)
    figures = []
    if benchmark.timings:
        write_trade(folder / "quality-time.png", benchmark.report["modes"])
        service = {name: [timing.service_ms for timing in timings] for name, timings in benchmark.timings.items()}
        write_latencies(folder / "latency.png", service)
        figures += ["quality-time.png", "latency.png"]
    if benchmark.report.get("sweep"):
        write_throughput(folder / "throughput.png", benchmark.report["sweep"])
        figures.append("throughput.png")
    parts = sections(benchmark.report)
    shown = [(name, CAPTIONS[name]) for name in figures]
    write_text(folder / "report.md", markdown(title, parts, shown))
    write_page(folder / "report.html", title, parts, [(folder / name, caption) for name, caption in shown])


def markdown(title: str, parts: list[Section], figures: list[tuple[str, str]]) -> str:
    """Return a report as Markdown; `figures` are (file beside it, caption)."""
    texts = [f"# {title}\n"]
    first = _first_table(parts)
    for part in parts:
        texts.append(f"## {part.heading}\n")
        texts += [f"{part.text}\n"] if part.text else []
        texts += [table(part.header, part.rows)] if part.rows else []
        texts += [f"![{caption}]({name})\n" for name, caption in figures] if part is first else []
    return "\n".join(texts)


def write_page(target: Path, title: str, parts: list[Section], figures: list[tuple[Path, str]]) -> None:
    """Write a report as one HTML file with its figures inside."""
    page = Report(title)
    first = _first_table(parts)
    for part in parts:
        page.heading(part.heading)
        if part.text:
            page.paragraph(part.text, note=bool(part.rows))
        if part.rows:
            page.table(part.header, part.rows)
        if part is first:
            for file, caption in figures:
                data = base64.b64encode(file.read_bytes()).decode()
                page.figure(f'<img alt="" style="max-width:100%" src="data:image/png;base64,{data}">', caption)
    page.write(target)


def _first_table(parts: list[Section]) -> Section | None:
    """Return the section that figures stand behind."""
    return next((part for part in parts if part.rows), None)
