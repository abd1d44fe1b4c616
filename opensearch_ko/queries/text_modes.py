"""BM25: over Kiwi's content terms, and over what an analyzer of the node cuts."""

from __future__ import annotations

from opensearch_ko.queries.bodies import Clause, analyzed_clause, bm25_clause
from opensearch_ko.queries.context import Context
from opensearch_ko.queries.single_mode import SingleMode


class Bm25Mode(SingleMode):
    """BM25 over content terms that the client cuts, as it did when the index was filled."""

    def encode(self, text: str, context: Context) -> list[str]:
        """Cut the query."""
        return context.content_terms(text)

    def clause(self, encoded: list[str], context: Context) -> Clause:
        """See `SingleMode`."""
        return bm25_clause(encoded)


class AnalyzedMode(SingleMode):
    """BM25 over what an analyzer of the node cuts."""

    def missing(self, context: Context) -> str | None:
        """Say so where the index was made without this analyzer."""
        mapping = next(iter(context.cluster.request("GET", f"/{context.index}/_mapping/field/{self.fields[0]}").values()))
        if mapping["mappings"]:
            return None
        return (
            f"the index has no field {self.fields[0]}: its cluster had no such analyzer when it was made (plugin analysis-nori). "
            "Install it on every node and make the index anew."
        )

    def encode(self, text: str, context: Context) -> str:
        """Leave the query as it is: the node cuts it."""
        return text

    def clause(self, encoded: str, context: Context) -> Clause:
        """See `SingleMode`."""
        return analyzed_clause(encoded, self.fields[0])
