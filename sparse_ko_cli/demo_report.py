"""The demo's report: what was measured, how training went, what was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.report import Report
from retrieval_ko.records import Hit
from retrieval_ko.runs import Run

SHOWN_TERMS = 12
SHOWN_CHARACTERS = 140
SHOWN_CONDITIONS = (
    "opensearch",
    "java",
    "heap_bytes",
    "node_processors",
    "client",
    "passages",
    "queries",
    "rounds",
    "size",
    "segments",
    "cache_hits",
    "load_average_before",
    "load_average_after",
)


@dataclass(frozen=True)
class Example:
    """An example query and what was found for it."""

    query: str
    hits: list[Hit]
    literal: list[frozenset[str]]
    """For each hit the tokens that stand in both texts; a match outside of them is the encoder's doing."""


def write_report(
    target: Path,
    collection: Collection,
    run: Run,
    evaluation: dict[str, Any],
    benchmark: dict[str, Any] | None,
    times: dict[str, list[float]] | None,
    examples: list[Example],
) -> None:
    """Write the report as one HTML file."""
    report = Report("sparse-ko demo")
    report.paragraph(
        f"A static sparse encoder, trained in this run on {evaluation['passages']} Korean passages written for the project, against "
        f"BM25 on Kiwi morphemes. {evaluation['queries']} test queries, about passages that no training query was about."
    )
    _quality(report, evaluation)
    if benchmark and times:
        _node(report, benchmark, times)
    else:
        report.paragraph("This machine has no JDK ≥ 21 with Maven, so nothing was measured inside OpenSearch.", note=True)
    _examples(report, examples)
    _training(report, run)
    report.heading("Conditions")
    metadata = run.metadata()
    rows = [[name, str(metadata[name])] for name in ("git_commit", "seed", "data", "hardware", "versions", "started_at")]
    report.table(["what", "value"], rows)
    report.paragraph(f"Collection: {collection.name}, licence {collection.licence}. Made by: sparse-ko demo", note=True)
    report.write(target)


def _quality(report: Report, evaluation: dict[str, Any]) -> None:
    report.heading("Quality, by exact search in process")
    systems = evaluation["systems"]
    best = max(range(len(systems)), key=lambda place: systems[place]["ndcg@10"])
    rows = [
        [
            row["system"],
            *(f"{row[name]:.3f}" for name in ("ndcg@10", "mrr@10", "recall@100")),
            f"{row['doc_dims']:.0f}" if "doc_dims" in row else "",
            *(f"{row[name]:.4f}" if name in row else "" for name in ("p_value", "p_value_synonyms")),
        ]
        for row in systems
    ]
    report.table(
        ["system", "nDCG@10", "MRR@10", "Recall@100", "dimensions a passage", "p against BM25", "p against BM25 + synonyms"], rows, best
    )
    from retrieval_ko.evaluation.plots import grouped_bars  # matplotlib takes half a second to load

    by_kind = evaluation["ndcg@10_by_kind"]
    kinds = list(next(iter(by_kind.values())))
    series = {system: [values[kind] for kind in kinds] for system, values in by_kind.items()}
    report.figure(
        grouped_bars(kinds, series, "nDCG@10"),
        "nDCG@10 by kind of query: everyday words for official terms, English for Korean, and plain keywords. English is where the synonym "
        "pairs of the collection count most; the BM25 that is given the same pairs shows how much of it is the dictionary alone.",
    )


def _node(report: Report, benchmark: dict[str, Any], times: dict[str, list[float]]) -> None:
    report.heading("Inside OpenSearch")
    rows = [
        [
            row["mode"],
            *(f"{row[name]:.3f}" for name in ("ndcg@10", "mrr@10", "recall@100")),
            *(f"{row['service_ms'][share]:.1f}" for share in ("p50", "p90")),
            f"{row['encode_ms']['p50']:.1f}",
            f"{row['bytes_per_document']:.0f}",
        ]
        for row in benchmark["modes"]
    ]
    report.table(["mode", "nDCG@10", "MRR@10", "Recall@100", "p50 ms", "p90 ms", "encode ms", "bytes a passage"], rows)
    from retrieval_ko.evaluation.plots import distributions

    report.figure(distributions(times, "service time, milliseconds"), "Service time of a query; whiskers: 1st and 99th percentile.")
    shown = [f"{name.replace('_', ' ')}: {benchmark['conditions'][name]}" for name in SHOWN_CONDITIONS]
    report.paragraph(", ".join(shown), note=True)


def _examples(report: Report, examples: list[Example]) -> None:
    report.heading("What matched")
    report.paragraph(
        "Each token with what it added to the score. Orange: the encoder's doing, the word is missing in the query or in the passage."
    )
    for example in examples:
        for hit, literal in zip(example.hits[:1], example.literal, strict=False):
            heaviest = sorted(hit.terms.items(), key=lambda term: -term[1])[:SHOWN_TERMS]
            terms = [(token, added, token not in literal) for token, added in heaviest]
            text = hit.text if len(hit.text) <= SHOWN_CHARACTERS else f"{hit.text[:SHOWN_CHARACTERS]}…"
            report.hit(example.query, hit.title, text, terms)


def _training(report: Report, run: Run) -> None:
    report.heading("Training")
    events = run.events()

    def line(name: str) -> tuple[list[float], list[float]]:
        points = [(event["step"], event[name]) for event in events if name in event]
        return [step for step, _ in points], [value for _, value in points]

    from retrieval_ko.evaluation.plots import curves

    panels = {
        "loss": {"total": line("loss"), "ranking": line("base_loss")},
        "dev nDCG@10": {"nDCG@10": line("dev_ndcg@10")},
        "active dimensions": {"passage": line("dev_document_dims"), "query": line("dev_query_dims")},
    }
    report.figure(
        curves(panels),
        "Step 0 is the encoder before training: weights that start lexical, drawn together by synonym pairs and Kiwi's morpheme "
        "embeddings. Batches of sentences and of synonym pairs alternate, hence two levels of loss. The model kept is the best on dev.",
    )
