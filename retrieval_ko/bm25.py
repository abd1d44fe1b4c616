"""BM25 in process: the baseline that every encoder has to beat, and the finder of hard negatives."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from functools import cached_property
from itertools import islice

import bm25s
import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval_ko.records import Hit, Passage
from retrieval_ko.term_cache import TermCache
from retrieval_ko.terms import Tokenization, terms_of_many

Ranking = list[tuple[str, float]]
"""(passage id, score), best first; equal scores by id, so that a ranking never depends on the order of a file."""

_QUERIES_AT_ONCE = 32


class Formula(StrEnum):
    """What a term that occurs `tf` times in a passage adds to its score, with K = k1 (1 - b + b · length / mean length).

    Both weigh a term by the passages n of N that hold it. They rank alike but for that weight: where a term stands in half of the
    passages or more, Okapi's logarithm is negative.
    """

    LUCENE = "lucene"
    """ln(1 + (N - n + ½) / (n + ½)) · tf / (tf + K): Lucene ≥ 8, and so OpenSearch. Never negative."""
    OKAPI = "okapi"
    """ln((N - n + ½) / (n + ½)) · tf (k1 + 1) / (tf + K): rank-bm25's BM25Okapi, but 0 for a term of half of the passages or more, where
    rank-bm25 puts a quarter of the mean weight."""


_BM25S_NAMES = {Formula.LUCENE: ("lucene", "lucene"), Formula.OKAPI: ("atire", "robertson")}


def ranked(ids: Sequence[str], scores: np.ndarray, size: int) -> Ranking:
    """Return the `size` best of the positive scores, ties broken by id ascending.

    Args:
        ids: the passages' ids.
        scores: their scores, shape [len(ids)].
        size: how many to return at most.
    """
    if size < len(scores) and (kth_best := np.partition(scores, -size)[-size]) > 0:
        candidates = np.flatnonzero(scores >= kth_best)
    else:
        candidates = np.flatnonzero(scores > 0)
    best = sorted(zip((-scores[candidates]).tolist(), (ids[i] for i in candidates.tolist()), strict=True))[:size]
    return [(passage, -score) for score, passage in best]


class Bm25Index:
    """Passages indexed for BM25; bm25s computes what each term adds to each passage, once.

    Args:
        passages: what to search.
        tokenization: how text becomes terms.
        terms_of: cuts a text into terms, in place of `tokenization`.
        formula: Lucene's unless another is to be compared with.
        k1: how fast repetitions of a term stop counting.
        b: how much long passages are held back, 0 to 1.
        workers: processes for Kiwi and threads for `rank_many`; results are the same for any number.
        cache: Kiwi's analyses from earlier runs, `terms.terms_of_many`.
        keep_terms: hold the passages' terms (4 bytes each), so that `weigh_anew` need not cut the passages again.
        on_progress: told how many passages are cut into terms.

    Raises:
        RetrievalError: as `terms.terms_of_many`.
    """

    def __init__(
        self,
        passages: Iterable[Passage],
        *,
        tokenization: Tokenization = Tokenization.KIWI_CONTENT,
        terms_of: Callable[[str], list[str]] | None = None,
        formula: Formula = Formula.LUCENE,
        k1: float = 1.2,
        b: float = 0.75,
        workers: int = 1,
        cache: TermCache | None = None,
        keep_terms: bool = False,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        self._passages = list(passages)
        self.ids = [passage.id for passage in self._passages]
        self._tokenization, self._own_terms_of = tokenization, terms_of
        self._workers, self._cache = workers, cache
        self._numbers: dict[str, int] = {}
        terms = self._terms_of_many((passage.passage_text for passage in self._passages), on_progress)
        self._formula = formula
        flat, ends = self._numbered(terms)
        self._weights = self._weigh(flat, ends, k1, b)
        self._terms = (flat, ends) if keep_terms else None

    def weigh_anew(self, *, k1: float, b: float) -> None:
        """Rank with other parameters from now on.

        Raises:
            ValueError: the index was made without `keep_terms`.
        """
        if self._terms is None:
            raise ValueError("an index that did not keep its passages' terms cannot weigh them anew: keep_terms=True")
        self._weights = self._weigh(*self._terms, k1, b)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Passage id → its place in `ids` and in `scores`."""
        return {passage: row for row, passage in enumerate(self.ids)}

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        """Return the score of every passage, shape [passages], in the order of `ids`."""
        return self._scores(self._known(next(self._terms_of_many([query]))))

    def rank(self, query: str, size: int = 100) -> Ranking:
        """Return the best passages for `query` that share a term with it."""
        return ranked(self.ids, self.scores(query), size)

    def rank_many(self, queries: Iterable[str], size: int = 100) -> Iterator[Ranking]:
        """Yield `rank` of each query, in order; queries are read as they are needed, a few ahead."""
        known = map(self._known, self._terms_of_many(queries))
        if self._workers == 1:
            yield from (ranked(self.ids, self._scores(numbers), size) for numbers in known)
            return
        waiting: deque[Future[list[Ranking]]] = deque()
        with ThreadPoolExecutor(self._workers) as pool:  # SciPy and NumPy let go of the interpreter's lock where the time is spent
            try:
                while batch := list(islice(known, _QUERIES_AT_ONCE)):
                    waiting.append(pool.submit(self._rank_batch, batch, size))
                    if len(waiting) > 2 * self._workers:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def search(self, query: str, size: int = 10) -> list[Hit]:
        """Return the best passages for `query` as hits."""
        found = ((self._passages[self.rows[passage]], score) for passage, score in self.rank(query, size))
        return [Hit(id=passage.id, score=score, title=passage.title, text=passage.text) for passage, score in found]

    def _terms_of_many(self, texts: Iterable[str], on_progress: Callable[[int], None] | None = None) -> Iterator[list[str]]:
        if self._own_terms_of is not None:
            return map(self._own_terms_of, texts)
        return terms_of_many(texts, self._tokenization, workers=self._workers, cache=self._cache, on_progress=on_progress)

    def _known(self, terms: Iterable[str]) -> npt.NDArray[np.int32]:
        return np.array([self._numbers[term] for term in terms if term in self._numbers], dtype=np.int32)

    def _rank_batch(self, batch: Sequence[npt.NDArray[np.int32]], size: int) -> list[Ranking]:
        return [ranked(self.ids, self._scores(numbers), size) for numbers in batch]

    def _scores(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Return what the terms add to each passage, summed in one order whatever theirs is, so that equal passages score equal."""
        terms, counts = np.unique(numbers, return_counts=True)
        scores: npt.NDArray[np.float32] = self._weights[:, terms] @ counts.astype(np.float32)
        return scores

    def _numbered(self, terms: Iterable[list[str]]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the passages' terms one after the other as numbers, and where each passage ends.

        Terms are held as 4-byte numbers in one array, so that 42 million of them (the bigrams of 172,000 articles) take 168 MB.
        """
        flat, ends = array("i"), array("q")
        for passage in terms:
            flat.extend([self._numbers.setdefault(term, len(self._numbers)) for term in passage])
            ends.append(len(flat))
        return np.frombuffer(flat, dtype=np.int32), np.frombuffer(ends, dtype=np.int64)

    def _weigh(self, flat: npt.NDArray[np.int32], ends: npt.NDArray[np.int64], k1: float, b: float) -> sparse.csc_array:
        """Return what each term adds to each passage, shape [passages, terms]."""
        if not self._numbers:
            return sparse.csc_array((len(ends), 0), dtype=np.float32)
        method, idf_method = _BM25S_NAMES[self._formula]
        bm25 = bm25s.BM25(k1=k1, b=b, method=method, idf_method=idf_method, csc_backend="scipy")
        bm25.index((np.split(flat, ends[:-1]), self._numbers), create_empty_token=False, show_progress=False)
        parts = (bm25.scores["data"], bm25.scores["indices"], bm25.scores["indptr"])
        return sparse.csc_array(parts, shape=(len(ends), len(self._numbers)))
