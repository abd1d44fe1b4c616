"""BM25 on Kiwi morphemes, in process: the baseline that every encoder has to beat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import bm25s
import numpy as np

from retrieval_ko.records import Hit, Passage
from retrieval_ko.text import content_terms, content_terms_of_many

Ranking = list[tuple[str, float]]
"""(passage id, score), best first; equal scores by id, so that a ranking never depends on the order of a file."""


def ranked(ids: Sequence[str], scores: np.ndarray, size: int) -> Ranking:
    """Return the `size` best of the positive scores, ties broken by id ascending.

    Args:
        ids: the passages' ids.
        scores: their scores, shape [len(ids)].
        size: how many to return at most.
    """
    candidates = np.flatnonzero(scores > 0)
    if len(candidates) > size:
        kth_best = np.partition(scores[candidates], -size)[-size]
        candidates = candidates[scores[candidates] >= kth_best]
    best = sorted(candidates.tolist(), key=lambda i: (-scores[i], ids[i]))[:size]
    return [(ids[i], float(scores[i])) for i in best]


class Bm25Index:
    """Passages indexed for BM25 in Lucene's form (idf never negative).

    Args:
        passages: what to search.
        terms_of: cuts a text into terms; by default Kiwi's content morphemes.
        k1: how fast repetitions of a term stop counting.
        b: how much long passages are held back, 0 to 1.
    """

    def __init__(
        self,
        passages: Iterable[Passage],
        *,
        terms_of: Callable[[str], list[str]] | None = None,
        k1: float = 1.2,
        b: float = 0.75,
    ) -> None:
        self._passages = list(passages)
        self._ids = [passage.id for passage in self._passages]
        self._terms_of = terms_of or content_terms
        texts = [passage.passage_text for passage in self._passages]
        terms = [terms_of(text) for text in texts] if terms_of else list(content_terms_of_many(texts))
        self._numbers: dict[str, int] = {}
        ids = [[self._numbers.setdefault(term, len(self._numbers)) for term in passage] for passage in terms]
        self._has_terms = bool(self._numbers)
        self._bm25 = bm25s.BM25(k1=k1, b=b, method="lucene")
        if self._has_terms:
            self._bm25.index((ids, self._numbers), show_progress=False)

    def rank(self, query: str, size: int = 100) -> Ranking:
        """Return the best passages for `query` that share a term with it."""
        known = [self._numbers[term] for term in self._terms_of(query) if term in self._numbers]
        if not known:
            return []
        return ranked(self._ids, self._bm25.get_scores_from_ids(known), size)

    def search(self, query: str, size: int = 10) -> list[Hit]:
        """Return the best passages for `query` as hits."""
        by_id = {passage.id: passage for passage in self._passages}
        return [Hit(id=i, score=score, title=by_id[i].title, text=by_id[i].text) for i, score in self.rank(query, size)]
