"""BM25, the row that every encoder has to beat: three ways to cut text, two sets of parameters, and one that reads synonyms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.evaluation.judging import DEPTH, SystemResult, judge, queries_of
from retrieval_ko.records import SynonymPair
from retrieval_ko.term_cache import TermCache
from retrieval_ko.terms import Tokenization
from retrieval_ko.text import content_terms


class Baseline(StrEnum):
    """A way to cut text that BM25 is asked with."""

    KIWI = "kiwi"
    BIGRAM = "bigram"
    WHITESPACE = "whitespace"

    @property
    def tokenization(self) -> Tokenization:
        """How text becomes terms."""
        return {Baseline.KIWI: Tokenization.KIWI_CONTENT, Baseline.BIGRAM: Tokenization.BIGRAM}.get(self, Tokenization.WHITESPACE)


class Parameters(NamedTuple):
    """BM25's two numbers."""

    k1: float
    b: float


PARAMETERS = (Parameters(1.2, 0.75), Parameters(0.9, 0.4))
"""Lucene's, and so OpenSearch's; and Anserini's, which suits short passages. Neither wins everywhere."""

BASELINE = "bm25-kiwi"
"""BM25 on Kiwi's content morphemes with Lucene's parameters."""

INFORMED_BASELINE = f"{BASELINE}+synonyms"
"""BM25 that reads the collection's synonym pairs, as the encoder did."""


def parse_baselines(text: str) -> list[Baseline]:
    """Return what `--bm25 kiwi,bigram` asks for; "none" asks for nothing.

    Raises:
        UsageError: an unknown name.
    """
    if text.strip() == "none":
        return []
    known = ", ".join([*Baseline, "none"])
    try:
        return list(dict.fromkeys(Baseline(name.strip()) for name in text.split(",")))
    except ValueError as failure:
        raise UsageError(f"--bm25 {text}: there are {known}.", "Several are joined by commas: --bm25 kiwi,bigram") from failure


def system_name(baseline: Baseline, parameters: Parameters) -> str:
    """Return what a BM25 is called in a table: bm25-kiwi with Lucene's parameters, bm25-kiwi-0.9-0.4 with others."""
    return f"bm25-{baseline}" + ("" if parameters == PARAMETERS[0] else f"-{parameters.k1}-{parameters.b}")


def is_baseline(system: str) -> bool:
    """Tell whether a row of the table is a BM25."""
    return system.startswith("bm25-")


def bm25_rows(
    collection: Collection,
    split: str,
    baselines: Sequence[Baseline] = tuple(Baseline),
    *,
    depth: int = DEPTH,
    workers: int = 1,
    cache: TermCache | None = None,
    on_progress: Callable[[str, int], None] = lambda system, done: None,
) -> list[SystemResult]:
    """Return a row for each way to cut text and each set of parameters, and, where there are synonym pairs, one that reads them.

    An encoder that learnt from synonym pairs must be compared with a BM25 that has the same dictionary.

    Args:
        collection: what is searched.
        split: whose queries are asked.
        baselines: how text is cut.
        depth: places of a ranking.
        workers: processes for Kiwi, threads for ranking; the rows are the same for any number.
        cache: Kiwi's analyses of earlier runs.
        on_progress: told the tokenization and how many passages are cut into terms.

    Raises:
        DataError: there is no such split, or the cache is damaged.
    """
    queries = queries_of(collection, split)
    results = []
    for baseline in baselines:
        index: Bm25Index | None = None
        for parameters in PARAMETERS:
            if index is None:
                index = Bm25Index(
                    collection.passages.values(),
                    tokenization=baseline.tokenization,
                    k1=parameters.k1,
                    b=parameters.b,
                    workers=workers,
                    cache=cache,
                    keep_terms=True,
                    on_progress=lambda done, name=baseline: on_progress(str(name), done),  # type: ignore[misc]
                )
            else:
                index.weigh_anew(k1=parameters.k1, b=parameters.b)
            facts = {"tokenization": str(baseline.tokenization), "k1": parameters.k1, "b": parameters.b}
            name = system_name(baseline, parameters)
            rankings = zip(queries, index.rank_many(queries.values(), depth), strict=True)
            results.append(judge(name, rankings, collection, split, depth=depth, **facts))
            if name == BASELINE and collection.synonyms:
                results.append(_informed(index, queries, collection, split, depth, facts))
    return results


def bm25_baselines(collection: Collection, split: str, depth: int = DEPTH) -> list[SystemResult]:
    """Return BM25 on Kiwi morphemes with Lucene's parameters, and, where the collection has synonym pairs, BM25 that is given them too."""
    rows = bm25_rows(collection, split, [Baseline.KIWI], depth=depth)
    return [row for row in rows if row.system in (BASELINE, INFORMED_BASELINE)]


def _informed(
    index: Bm25Index, queries: Mapping[str, str], collection: Collection, split: str, depth: int, facts: Mapping[str, object]
) -> SystemResult:
    dictionary = english_to_korean(collection.synonyms)
    expanded = (f"{text} {' '.join(translations(text, dictionary))}" for text in queries.values())
    rankings = zip(queries, index.rank_many(expanded, depth), strict=True)
    return judge(INFORMED_BASELINE, rankings, collection, split, depth=depth, **facts)


def english_to_korean(pairs: list[SynonymPair]) -> dict[tuple[str, ...], list[str]]:
    """Return the dictionary side of synonym pairs: the English term's words, lower case → its Korean terms."""
    dictionary: dict[tuple[str, ...], list[str]] = {}
    for pair in pairs:
        dictionary.setdefault(tuple(content_terms(pair.en)), []).append(pair.ko)
    dictionary.pop((), None)
    return dictionary


def translations(query: str, dictionary: Mapping[tuple[str, ...], list[str]]) -> list[str]:
    """Return the Korean terms of all English terms in a query."""
    terms = content_terms(query)
    longest = max(map(len, dictionary), default=0)
    spans = (tuple(terms[start : start + length]) for length in range(1, longest + 1) for start in range(len(terms) - length + 1))
    return [korean for span in spans for korean in dictionary.get(span, [])]
