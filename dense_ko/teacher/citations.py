"""What the training data says by itself: similar questions, and what they cite; how often a passage is cited at all.

A court's question is seldom answered for the first time. Whoever looks up what was cited when almost the same was asked knows more than
BM25, and more than a small network learns from some ten thousand pairs. The query's own pair must not speak: of a training query it would
say the label. Left out are the query itself, the same text under another id, and every query of the same group (another issue of the
same case), so that a training query is judged as one is that was never seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retrieval_ko.terms import Tokenization, terms_of_many

NEIGHBOURS = 100
"""Similar queries that speak."""


@dataclass(frozen=True, slots=True)
class Cited:
    """A training query and what it cites.

    Args:
        query: its id; empty where it has none.
        text: of the query.
        group: of the query, e.g. the case it was taken from; empty: none.
        passages: that answer it.
    """

    query: str
    text: str
    group: str
    passages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Votes:
    """What the neighbours of one query say.

    Attributes:
        nearest: passage → cosine of the nearest query that cites it.
        together: passage → Σ cos² of all neighbours that cite it.
        citations: passage → how many training queries cite it, the left-out ones not counted.
    """

    nearest: Mapping[str, float] = field(default_factory=dict)
    together: Mapping[str, float] = field(default_factory=dict)
    citations: Callable[[str], int] = lambda passage: 0


class CitedNeighbours:
    """Training queries by the cosine of their tf·idf vectors, (1 + ln tf) · ln(1 + N / n), and what they cite.

    Args:
        cited: the training queries.
        tokenization: how a query is cut into terms.
        neighbours: that speak for a query.
        workers: processes for Kiwi, where the tokenization needs it.
    """

    def __init__(
        self, cited: Iterable[Cited], tokenization: Tokenization = Tokenization.BIGRAM, neighbours: int = NEIGHBOURS, workers: int = 1
    ) -> None:
        self._cited = list(cited)
        self._tokenization, self._neighbours = tokenization, neighbours
        self._numbers: dict[str, int] = {}
        self._by_key: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._counts: Counter[str] = Counter()
        for row, one in enumerate(self._cited):
            for key in _keys(one.query, one.text, one.group):
                self._by_key[key].append(row)
            self._counts.update(set(one.passages))
        terms = [Counter(found) for found in terms_of_many((one.text for one in self._cited), tokenization, workers=workers)]
        for counted in terms:
            for term in counted:
                self._numbers.setdefault(term, len(self._numbers))
        frequency = np.zeros(len(self._numbers))
        for counted in terms:
            frequency[[self._numbers[term] for term in counted]] += 1
        self._weights = np.log1p(len(self._cited) / np.maximum(frequency, 1))
        self._vectors = self._rows(terms).tocsc()

    def votes(self, query: str, text: str, group: str = "") -> Votes:
        """Return what the neighbours of one query say; `votes_of` for many."""
        return self.votes_of([(query, text, group)])[0]

    def votes_of(self, asked: Sequence[tuple[str, str, str]]) -> list[Votes]:
        """Return what the neighbours of each query say.

        Args:
            asked: (id, text, group) of each query; id and group may be empty.
        """
        texts = (text for _, text, _ in asked)
        rows = self._rows([Counter(found) for found in terms_of_many(texts, self._tokenization)])
        return [self._spoken(rows[[place]], self._left_out(*one)) for place, one in enumerate(asked)]

    def _left_out(self, query: str, text: str, group: str) -> list[int]:
        return sorted({row for key in _keys(query, text, group) for row in self._by_key.get(key, ())})

    def _spoken(self, vector: sparse.csr_array, left_out: list[int]) -> Votes:
        cosines: NDArray[np.float64] = self._vectors[:, vector.indices] @ vector.data
        cosines[left_out] = 0
        nearest: dict[str, float] = {}
        together: dict[str, float] = defaultdict(float)
        for row in _best(cosines, self._neighbours):
            cosine = float(cosines[row])
            for passage in self._cited[row].passages:
                nearest[passage] = max(nearest.get(passage, 0.0), cosine)
                together[passage] += cosine**2
        own = Counter(passage for row in left_out for passage in set(self._cited[row].passages))
        return Votes(nearest, dict(together), lambda passage: self._counts[passage] - own[passage])

    def _rows(self, terms: Sequence[Counter[str]]) -> sparse.csr_array:
        """Return vectors of length 1, shape [texts, terms]; a text without a known term is zeros."""
        indices: list[int] = []
        data: list[float] = []
        ends = [0]
        for counted in terms:
            known = sorted((self._numbers[term], count) for term, count in counted.items() if term in self._numbers)
            values = np.array([(1 + np.log(count)) * self._weights[number] for number, count in known])
            indices += [number for number, _ in known]
            data += (values / np.linalg.norm(values)).tolist() if len(values) else []
            ends.append(len(indices))
        shape = (len(terms), len(self._numbers))
        return sparse.csr_array((np.array(data), np.array(indices, dtype=np.int32), np.array(ends)), shape=shape)


def _keys(query: str, text: str, group: str) -> list[tuple[str, str]]:
    """Return what a query shares with those that must not speak for it."""
    found = [("id", query), ("text", " ".join(text.split())), ("group", group)]
    return [(kind, value) for kind, value in found if value]


def _best(scores: NDArray[np.float64], count: int) -> list[int]:
    """Return the rows of the highest positive scores, at most `count`, best first, equal ones in their order."""
    if count < len(scores):
        limit = np.partition(scores, -count)[-count]
        rows = np.flatnonzero((scores >= limit) & (scores > 0))
    else:
        rows = np.flatnonzero(scores > 0)
    best: list[int] = rows[np.argsort(-scores[rows], kind="stable")][:count].tolist()
    return best
