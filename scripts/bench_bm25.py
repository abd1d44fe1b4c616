"""Measure BM25 side by side with rank-bm25: the same passages, the same terms, the 100 best of each query.

python scripts/bench_bm25.py COLLECTION --passages 50000 --queries 200

Terms are cut beforehand and both get the same, so that only indexing and ranking are measured, on one core.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rank_bm25 import BM25Okapi

from retrieval_ko.bm25 import Bm25Index, Formula, Ranking, ranked
from retrieval_ko.collection import sample_folder
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl
from retrieval_ko.records import Passage
from retrieval_ko.terminal import exit_on_error, print_json
from retrieval_ko.terms import Tokenization, available_cores, terms_of_many

SIZE = 100
QUERY_TERMS = 30
"""Terms of a query where the collection has none of its own: the first of a passage, about an issue of a decision."""


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("source", type=Path, nargs="?", help="a collection folder or a corpus.jsonl; none: made of the sample's words")
    arguments.add_argument("--passages", type=int, default=50_000)
    arguments.add_argument("--queries", type=int, default=200, help="for this package; rank-bm25 gets a tenth of them")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--tokenization", type=Tokenization, choices=list(Tokenization), default=Tokenization.BIGRAM)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    with exit_on_error():
        report = measure(options.source, options.passages, options.queries, options.repeats, options.tokenization)
    if options.json:
        print_json(report)
        return
    print(
        f"{report['passages']:,} passages of {report['terms_per_passage']} terms, queries of {report['terms_per_query']}, {report['cpu']}"
    )
    for system in ("retrieval_ko", "rank_bm25"):
        low, middle, high = (report[system]["queries_per_second"][name] for name in ("min", "median", "max"))
        print(
            f"{system:<13} index {report[system]['index_seconds']:.1f} s   queries/s min {low:,.1f}  median {middle:,.1f}  max {high:,.1f}"
        )
    print(f"{report['ratio']['median']:,.0f} times as many (slowest against fastest run: {report['ratio']['worst']:,.0f} times)")


def measure(source: Path | None, size: int, queries: int, repeats: int, tokenization: Tokenization) -> dict[str, Any]:
    """Return the figures of both.

    Raises:
        DataError: the source is missing, damaged or smaller than asked for.
    """
    texts = list(islice(_texts(source, size), size))
    if len(texts) < size:
        raise DataError(f"{source} holds {len(texts):,} passages, {size:,} were asked for.", "Ask for fewer with --passages.")
    workers = available_cores()
    corpus = list(terms_of_many(texts, tokenization, workers=workers))
    asked = list(terms_of_many(_queries(source, texts, queries), tokenization, workers=workers))
    if _queries_file(source) is None:
        asked = [terms[:QUERY_TERMS] for terms in asked]
    few = asked[: max(1, len(asked) // 10)]
    passages = [Passage(id=f"p{number:07}", text=" ".join(terms)) for number, terms in enumerate(corpus)]
    ids = [passage.id for passage in passages]

    start = time.perf_counter()
    own = Bm25Index(passages, terms_of=str.split, formula=Formula.LUCENE)
    own_index = time.perf_counter() - start
    start = time.perf_counter()
    other = BM25Okapi(corpus)
    other_index = time.perf_counter() - start

    def rank_own(terms: list[str]) -> Ranking:
        return own.rank(" ".join(terms), SIZE)

    def rank_other(terms: list[str]) -> Ranking:
        return ranked(ids, other.get_scores(terms), SIZE)

    own_rates, other_rates = [], []
    for _ in range(repeats):  # in turn, so that a busy moment of the machine meets both
        own_rates.append(_rate(rank_own, asked))
        other_rates.append(_rate(rank_other, few))
    return {
        "passages": len(passages),
        "terms_per_passage": round(statistics.mean(map(len, corpus))),
        "terms_per_query": round(statistics.mean(map(len, asked))),
        "tokenization": tokenization,
        "cpu": f"{available_cores()} cores, Python {platform.python_version()}",
        "retrieval_ko": {"index_seconds": own_index, "queries": len(asked), "queries_per_second": _spread(own_rates)},
        "rank_bm25": {"index_seconds": other_index, "queries": len(few), "queries_per_second": _spread(other_rates)},
        "ratio": {
            "median": statistics.median(own_rates) / statistics.median(other_rates),
            "worst": min(own_rates) / max(other_rates),
        },
    }


def _rate(rank: Callable[[list[str]], Ranking], queries: list[list[str]]) -> float:
    start = time.perf_counter()
    for terms in queries:
        rank(terms)
    return len(queries) / (time.perf_counter() - start)


def _spread(rates: list[float]) -> dict[str, float]:
    return {"min": min(rates), "median": statistics.median(rates), "max": max(rates)}


def _texts(source: Path | None, size: int) -> Iterator[str]:
    if source is None:
        words = [word for _, row in read_jsonl(sample_folder() / "corpus.jsonl") for word in row["text"].split()]
        chance = random.Random(0)
        for _ in range(size):
            yield " ".join(chance.choices(words, k=60))
        return
    corpus = source / "corpus.jsonl" if source.is_dir() else source
    for _, row in read_jsonl(corpus):
        yield f"{row.get('title', '')}\n{row.get('text', '')}"


def _queries_file(source: Path | None) -> Path | None:
    file = source / "queries.jsonl" if source is not None and source.is_dir() else None
    return file if file is not None and file.exists() else None


def _queries(source: Path | None, texts: list[str], count: int) -> list[str]:
    if file := _queries_file(source):
        return [str(row.get("text", "")) for _, row in islice(read_jsonl(file), count)]
    return random.Random(1).sample(texts, min(count, len(texts)))


if __name__ == "__main__":
    main()
