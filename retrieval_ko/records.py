"""The records that everything else exchanges: passages, queries, synonym pairs and hits."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

RecordId = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\s\x00-\x1f]+$")]
"""An id: 1 to 512 characters without white space or control characters (OpenSearch's limit for `_id` is 512 bytes)."""


class _Record(BaseModel):
    model_config = ConfigDict(populate_by_name=True, frozen=True, extra="ignore")


class Passage(_Record):
    """A unit of text that a search returns."""

    id: RecordId = Field(alias="_id")
    title: str = ""
    text: str
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def passage_text(self) -> str:
        """Title and text as every encoder and every baseline reads them: joined by a line break, the title first."""
        return f"{self.title}\n{self.text}" if self.title else self.text


class Query(_Record):
    """A question or a handful of keywords."""

    id: RecordId = Field(alias="_id")
    text: str
    metadata: dict[str, Any] = Field(default_factory=dict)


class TrainingPair(_Record):
    """A query, the passages that answer it, and passages that do not; a line of a pair file (LexDPR's fields, and three more).

    Args:
        query_id: empty where the query stands in no collection.
        hard_negatives: passages that look like answers and are none, hardest first.
        random_negatives: passages drawn by chance.
        meta: where the pair comes from, e.g. {"type": "law", "law_name": "민법", "article": "제750조"}.
        scores: passage → a teacher's score, for losses that learn from one.
    """

    query_id: str = ""
    query_text: Annotated[str, StringConstraints(min_length=1)]
    positive_passages: Annotated[list[RecordId], Field(min_length=1)]
    hard_negatives: list[RecordId] = Field(default_factory=list)
    random_negatives: list[RecordId] = Field(default_factory=list)
    meta: dict[str, str] = Field(default_factory=dict)
    scores: dict[RecordId, float] = Field(default_factory=dict)


class SynonymPair(_Record):
    """A Korean term and an English one that mean the same."""

    ko: Annotated[str, StringConstraints(min_length=1)]
    en: Annotated[str, StringConstraints(min_length=1)]
    source: str = ""
    domain: str = ""


class Hit(_Record):
    """One search result; `terms` are the tokens that matched, with what each added to the score."""

    id: str
    score: float
    title: str = ""
    text: str = ""
    terms: dict[str, float] = Field(default_factory=dict)
