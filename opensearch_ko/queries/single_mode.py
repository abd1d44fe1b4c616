"""The shape of a mode that asks one question of one field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from opensearch_ko.queries.bodies import Clause, within_filter
from opensearch_ko.queries.context import Answer, Context, SearchRequest, answer_of, post


@dataclass(frozen=True)
class SingleMode(ABC):
    """A mode of one request with one clause, which a hybrid may also use as a part."""

    name: str
    label: str
    fields: tuple[str, ...]

    def missing(self, context: Context) -> str | None:
        """See `Mode`."""
        return None

    @abstractmethod
    def encode(self, text: str, context: Context) -> Any:  # noqa: ANN401  see `Mode`
        """See `Mode`."""

    @abstractmethod
    def clause(self, encoded: Any, context: Context) -> Clause:  # noqa: ANN401  see `Mode`
        """Return the clause without the filter."""

    def filtered(self, encoded: Any, context: Context) -> Clause:  # noqa: ANN401  see `Mode`
        """Return the clause with the filter where this form wants it."""
        return within_filter(self.clause(encoded, context), context.filter)

    def target(self, context: Context) -> str:
        """Return the index that is asked."""
        return context.index

    def extras(self, context: Context) -> dict[str, Any]:
        """Return what stands beside the query in the body."""
        return {}

    def requests(self, encoded: Any, context: Context) -> list[SearchRequest]:  # noqa: ANN401  see `Mode`
        """See `Mode`."""
        body: dict[str, Any] = {
            "size": context.size,
            "query": self.filtered(encoded, context),
            "_source": list(context.source) or False,
            **({"explain": True} if context.explain else {}),
        }
        return [SearchRequest(self.target(context), body | self.extras(context))]

    def ask(self, encoded: Any, context: Context) -> Answer:  # noqa: ANN401  see `Mode`
        """See `Mode`."""
        [request] = self.requests(encoded, context)
        return answer_of(post(context, request))
