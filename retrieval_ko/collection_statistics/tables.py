"""The statistics as rows of words, for a terminal and for a report alike."""

from __future__ import annotations

from retrieval_ko.collection_statistics.counting import CollectionStatistics
from retrieval_ko.collection_statistics.distribution import Distribution

LENGTH_HEADER = ["characters", "mean", "min", "median", "p90", "p99", "max"]
GROUP_HEADER = ["split or pairs", "queries", "judgements by grade", "positives a query", "hard + random negatives", "overlap", "no overlap"]


def overview(statistics: CollectionStatistics) -> list[tuple[str, str]]:
    """Return the facts about the whole collection as (name, value) for people."""
    shares = ", ".join(f"{script} {share:.1%}" for script, share in statistics.script_shares("passages").items() if share)
    known = statistics.query_terms_in_passages / statistics.query_terms if statistics.query_terms else 0.0
    duplicates = f"{statistics.duplicate_passages:,} passages, {statistics.duplicate_queries:,} queries"
    facts = [
        ("passages", f"{statistics.passages:,}"),
        ("queries", f"{statistics.queries:,}"),
        ("synonym pairs", f"{statistics.synonyms:,}"),
        ("licence", statistics.licence or "not stated"),
        ("said twice", duplicates),
        ("scripts of the passages", shares),
        ("distinct terms of the passages", f"{statistics.passage_terms:,} ({statistics.tokenization})"),
    ]
    if statistics.queries:
        facts.append(("distinct terms of the queries", f"{statistics.query_terms:,}, {known:.1%} of them in passages"))
    return facts


def length_rows(statistics: CollectionStatistics) -> list[list[str]]:
    """Return rows of numbers on lengths: what, mean, min, median, p90, p99, max."""
    named = {"passages": statistics.passage_characters, "queries": statistics.query_characters}
    return [
        [name, f"{lengths.mean:,.1f}", *(f"{lengths.quantile(share):,.0f}" for share in (0, 0.5, 0.9, 0.99, 1))]
        for name, lengths in named.items()
        if lengths.size
    ]


def group_rows(statistics: CollectionStatistics) -> list[list[str]]:
    """Return a row for each split and each pair file, under `GROUP_HEADER`."""
    rows = []
    for name, split in statistics.splits.items():
        grades = ", ".join(f"{grade}: {split.grades[grade]:,}" for grade in sorted(split.grades, reverse=True))
        rows.append([name, f"{split.queries:,}", grades, f"{split.positives_per_query.mean:.2f}", "", *_overlap(split.overlap)])
    for name, pairs in statistics.pairs.items():
        negatives = f"{pairs.hard_negatives.mean:.1f} + {pairs.random_negatives.mean:.1f}"
        positives = f"{pairs.positives_per_query.mean:.2f}"
        rows.append([f"pairs/{name}", f"{pairs.pairs:,}", "", positives, negatives, *_overlap(pairs.overlap)])
    return rows


def _overlap(shares: Distribution) -> list[str]:
    return [f"{shares.mean:.1%}", f"{shares.count(0):,}"] if shares.size else ["", ""]
