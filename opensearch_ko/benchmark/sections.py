"""A benchmark in sentences and tables, once for Markdown and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opensearch_ko.benchmark.doubts import by_reason

Cells = list[list[str]]


@dataclass(frozen=True)
class Section:
    """A heading, what the numbers below it are, a table; either may be missing."""

    heading: str
    text: str
    header: tuple[str, ...] = ()
    rows: Cells = field(default_factory=list)


def sections(report: Mapping[str, Any]) -> list[Section]:
    """Return a benchmark's sections, those that were measured."""
    rows = report["modes"]
    made = [_quality(rows)]
    if report.get("doubts"):
        made.insert(0, Section("What speaks against these numbers", " ".join(report["doubts"])))
    if rows and "service_ms" in rows[0]:
        made.append(_times(rows, report["conditions"]))
    if report.get("sweep"):
        made.append(_sweep(report["sweep"]))
    if report.get("engine_check"):
        made.append(_engine(report["engine_check"]))
    if report.get("approximation"):
        made.append(_approximation(report))
    if report.get("postings"):
        made.append(_postings(report["postings"]))
    if "sizes" in report:
        made.append(_sizes(report))
    if "ingest" in report:
        made.append(_ingest(report["ingest"]))
    if report.get("left_out"):
        left = [[why, ", ".join(modes)] for why, modes in by_reason(report["left_out"])]
        made.append(Section("Not measured", "Modes that could not run on this index.", ("why", "modes"), left))
    return [*made, conditions_section(report["conditions"])]


def _quality(rows: Sequence[Mapping[str, Any]]) -> Section:
    cells = [
        [
            row["mode"],
            row["label"],
            f"{row['ndcg@10']:.3f}",
            "–".join(f"{end:.3f}" for end in row["ndcg@10_interval"]),
            f"{row['mrr@10']:.3f}",
            f"{row['recall@100']:.3f}",
            _p(row.get("p_value")),
            _p(row.get("p_holm")),
        ]
        for row in rows
    ]
    return Section(
        "Quality",
        "Every mode returned 100 passages a query, equal scores by id. The interval is a 95 % bootstrap over queries. p: paired "
        "randomisation test of nDCG@10 against bm25; p Holm: corrected for the number of modes.",
        ("mode", "", "nDCG@10", "95 %", "MRR@10", "Recall@100", "p", "p Holm"),
        cells,
    )


def _times(rows: Sequence[Mapping[str, Any]], conditions: Mapping[str, Any]) -> Section:
    cells = []
    for row in rows:
        parts = [_ms(row["encode_ms"], "p50"), *(_ms(row["service_ms"], share) for share in ("p50", "p90", "p99"))]
        sums = [_ms(row["total_ms"], share) for share in ("p50", "p90", "p99")]
        ratio = row.get("p50_ratio")
        shown = f"{ratio['ratio']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})" if ratio else ""
        cells.append([row["mode"], *parts, *sums, _ms(row["took_ms"], "p50"), shown, f"{row['qps']:.0f}"])
    return Section(
        "Time, milliseconds",
        "Encode: reading the query on the client. Service: from sending the request to the decoded answer; a model in the cluster reads "
        "the query within it. Sum: what a user waits for. Took: the node's own word, p50. Ratio: service p50 over bm25's, with the 95 % "
        "interval of a bootstrap paired by query. p99 is given from 100 samples on. "
        f"One client, {conditions['rounds']} rounds of {conditions['timed_queries']} queries, {conditions['size']} hits a query, "
        "modes interleaved.",
        ("mode", "encode p50", "service p50", "p90", "p99", "sum p50", "p90", "p99", "took", "ratio", "queries/s"),
        cells,
    )


def _sweep(steps_by_mode: Mapping[str, Sequence[Mapping[str, Any]]]) -> Section:
    cells = []
    for name, steps in steps_by_mode.items():
        for step in steps:
            counts = [str(step[key]) for key in ("clients", "requests", "qps")]
            cells.append([name, *counts, *(_ms(step["service_ms"], share) for share in ("p50", "p99")), f"{step['error_rate']:.2%}"])
    return Section(
        "Throughput",
        "So many clients ask at once, each over its own connection, queries encoded before. A mode is asked by no more clients once "
        "more than 0.1 % of its requests fail. Clients are threads of one process: where they share the node's machine, they take "
        "processor time from it.",
        ("mode", "clients", "requests", "queries/s", "p50 ms", "p99 ms", "errors"),
        cells,
    )


def _engine(checks: Mapping[str, Mapping[str, Any]]) -> Section:
    said = [
        f"{name}: not checked, {check['skipped']}."
        if "skipped" in check
        else f"{name}: {check['equal']} of {check['queries']} queries equal, largest difference {check['largest_difference']:.1e}."
        for name, check in checks.items()
    ]
    return Section(
        "Engine check",
        "The first ten of a sample of queries against scores worked out on the client over the whole index (stored weights with their nine "
        "binary digits; Lucene's BM25 formula). Passages of equal score may change places. " + " ".join(said),
    )


def _approximation(report: Mapping[str, Any]) -> Section:
    cells = [[row["mode"], row["exact"], f"{row['recall@10']:.4f}", f"{row['recall@100']:.4f}"] for row in report["approximation"]]
    return Section(
        "Approximate against exact",
        "Share of the exact mode's first places that the approximate one finds.",
        ("mode", "exact", "at 10", "at 100"),
        cells,
    )


def _postings(counted: Mapping[str, Mapping[str, Any]]) -> Section:
    cells = [
        [name, f"{row['terms']:.1f}", f"{row['mean']:,.0f}", *(f"{row[share]:,.0f}" if share in row else "" for share in ("p50", "p90"))]
        for name, row in counted.items()
    ]
    return Section(
        "Postings a query",
        "Σ over a query's terms of the passages that hold the term: the work of a search that skips nothing, on any machine.",
        ("mode", "terms", "mean", "p50", "p90"),
        cells,
    )


def _sizes(report: Mapping[str, Any]) -> Section:
    whole = report["sizes"]["index"]
    cells = [[f"field {field}", f"{size:,.0f}"] for field, size in report["sizes"]["fields"].items()]
    cells.append(["whole index", f"{whole['with_embeddings']:,.0f}"])
    cells.append([f"whole index, without {' and '.join(whole['excluded'])} in _source", f"{whole['without_embeddings']:,.0f}"])
    if "companion" in whole:
        cells.append(["companion index of SEISMIC, whole", f"{whole['companion']:,.0f}"])
    derived = " Vectors are not kept in `_source` (derived source), sparse weights are." if whole["vectors_derived"] else ""
    return Section(
        "Bytes a passage",
        "Lucene's files in one merged segment. A field's own bytes are those of an index of that field alone, without stored fields; they "
        "hold some 20 bytes of ids and sequence numbers." + derived,
        ("", "bytes"),
        cells,
    )


def _ingest(ingest: Mapping[str, Any]) -> Section:
    cells = [[name.replace("_", " "), _plain(value)] for name, value in ingest.items() if not isinstance(value, Mapping | list)]
    return Section("Filling the index", "", ("", ""), cells)


def conditions_section(conditions: Mapping[str, Any]) -> Section:
    """Return the conditions, one a row."""
    return Section("Conditions", "", ("", ""), [[name.replace("_", " "), _plain(value)] for name, value in conditions.items()])


def _plain(value: Any) -> str:  # noqa: ANN401  any JSON value
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(inner) for inner in value) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000 else str(value)


def _ms(values: Mapping[str, float], share: str) -> str:
    return f"{values[share]:.1f}" if share in values else ""


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
