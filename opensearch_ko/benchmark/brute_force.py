"""Scores worked out here from what the index stores, passage by passage: the truth that an engine's ranking is held against."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from opensearch_ko.queries import stored_weight
from retrieval_ko.bm25 import Ranking

K1, B = 1.2, 0.75
"""Lucene's, and so OpenSearch's."""


@dataclass
class BestPassages:
    """The first places of a query, and the scores of passages that somebody asked after.

    Args:
        places: how many are kept.
        watched: ids whose scores are kept wherever they stand.
    """

    places: int
    watched: frozenset[str] = frozenset()
    scores: dict[str, float] = field(default_factory=dict)
    """Of the watched passages that share a term with the query."""
    _best: list[tuple[float, str]] = field(default_factory=list)

    def add(self, passage: str, score: float) -> None:
        """Take note of a passage's score, above 0."""
        if passage in self.watched:
            self.scores[passage] = score
        if len(self._best) < self.places:
            heapq.heappush(self._best, (score, passage))
        elif score > self._best[0][0]:
            heapq.heapreplace(self._best, (score, passage))

    @property
    def ranking(self) -> Ranking:
        """The best first, ties by id."""
        return sorted(((passage, score) for score, passage in self._best), key=lambda hit: (-hit[1], hit[0]))


def dot_products(
    passages: Iterable[tuple[str, Mapping[str, float]]], queries: Mapping[str, Mapping[str, float]], best: Mapping[str, BestPassages]
) -> None:
    """Score every passage for every query by Σ query weight × stored weight, as rank_features store it.

    Args:
        passages: (id, weights by token as `_source` has them).
        queries: query id → weights by token.
        best: query id → where its scores go.
    """
    asking = _by_term(queries)
    for passage, weights in passages:
        sums: dict[str, float] = {}
        for token, weight in weights.items():
            if token in asking:
                kept = stored_weight(weight)
                for query, asked in asking[token]:
                    sums[query] = sums.get(query, 0.0) + asked * kept
        for query, score in sums.items():
            best[query].add(passage, score)


def bm25_scores(
    passages: Iterable[tuple[str, Sequence[str]]], queries: Mapping[str, Sequence[str]], best: Mapping[str, BestPassages]
) -> None:
    """Score every passage for every query by Lucene's BM25, lengths rounded as Lucene stores them.

    Args:
        passages: (id, its terms), all of one shard, none deleted.
        queries: query id → its terms; a repeated one counts as often.
        best: query id → where its scores go.
    """
    asking = _by_term({query: {term: float(count) for term, count in Counter(terms).items()} for query, terms in queries.items()})
    frequencies: Counter[str] = Counter()
    matching: list[tuple[str, int, dict[str, int]]] = []
    passages_with_terms = all_terms = 0
    for passage, terms in passages:
        if not terms:
            continue
        passages_with_terms += 1
        all_terms += len(terms)
        occurring = Counter(term for term in terms if term in asking)
        if occurring:
            frequencies.update(occurring.keys())
            matching.append((passage, len(terms), dict(occurring)))
    mean_length = all_terms / max(passages_with_terms, 1)
    weights = {term: math.log(1 + (passages_with_terms - n + 0.5) / (n + 0.5)) for term, n in frequencies.items()}
    for passage, length, counts in matching:
        held_back = K1 * (1 - B + B * stored_length(length) / mean_length)
        sums: dict[str, float] = {}
        for term, count in counts.items():
            added = weights[term] * count / (count + held_back)
            for query, asked in asking[term]:
                sums[query] = sums.get(query, 0.0) + asked * added
        for query, score in sums.items():
            best[query].add(passage, score)


def stored_length(terms: int) -> int:
    """Return the length that Lucene keeps of a field in one byte (SmallFloat.intToByte4): exact up to 40, then rounded down ever more."""
    exact = 24
    if terms < exact:
        return terms
    rest = terms - exact
    shift = max(rest.bit_length() - 4, 0)
    return exact + (rest >> shift << shift)


def _by_term(queries: Mapping[str, Mapping[str, float]]) -> dict[str, list[tuple[str, float]]]:
    asking: dict[str, list[tuple[str, float]]] = {}
    for query, weights in queries.items():
        for term, weight in weights.items():
            asking.setdefault(term, []).append((query, weight))
    return asking
