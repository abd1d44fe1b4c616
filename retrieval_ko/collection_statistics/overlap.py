"""How many of a query's terms stand in the passages that answer it, found out while the passages stream by."""

from __future__ import annotations

import sys
from collections.abc import Collection as Terms
from collections.abc import Iterable
from typing import NamedTuple


class AskedQuery(NamedTuple):
    """A query with the passages (or parents) that answer it, as a split or a pair file names them."""

    group: str
    id: str
    text: str
    positives: tuple[str, ...]


class Overlap:
    """Meets every query with its positives when they stream by; a positive's terms are not kept.

    Args:
        queries: the queries with positives.
        terms: the distinct terms of each of them.
    """

    def __init__(self, queries: list[AskedQuery], terms: Iterable[Terms[str]]) -> None:
        self.queries = queries
        self._terms = [tuple(sys.intern(term) for term in sorted(of_query)) for of_query in terms]
        self._found = [0] * len(queries)  # a bit a term
        self._asking: dict[str, list[int]] = {}
        for number, query in enumerate(queries):
            for positive in query.positives:
                self._asking.setdefault(positive, []).append(number)

    def wants(self, passage_id: str) -> bool:
        """Return whether some query names the passage."""
        return passage_id in self._asking

    def meet(self, passage_id: str, terms: Terms[str]) -> None:
        """Note which terms of its queries the passage has."""
        for number in self._asking.get(passage_id, ()):
            for bit, term in enumerate(self._terms[number]):
                if term in terms:
                    self._found[number] |= 1 << bit

    def shares(self) -> list[float | None]:
        """Return, for each query, the share of its terms that its positives together have; None for a query without a term."""
        return [found.bit_count() / len(terms) if terms else None for found, terms in zip(self._found, self._terms, strict=True)]
