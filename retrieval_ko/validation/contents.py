"""What the checks of a collection share: its ids and the fingerprints of its texts, but not the texts of its passages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from retrieval_ko.collection import Judged, Judgements, SplitRule
from retrieval_ko.records import Query


@dataclass
class Contents:
    """A collection folder as far as it was read; each check of `checks.CHECKS` adds what it has read for those after it.

    Args:
        folder: the collection.
        on_line: called for each line that is read, with the file.
        passages: passage id → fingerprint of its text.
        titles: fingerprints of the passages' titles.
        parents: the ids that judgements may name where they name parents.
        rules: scheme of splits → the rule that collection.json promises.
        queries: the queries by id.
        query_lines: query id → line.
        judgements: of each split, as far as its lines are sound.
        judged_queries: queries with a judgement or a pair.
        pairs: pair file → how many sound pairs it has.
    """

    folder: Path
    on_line: Callable[[Path], None] = lambda _: None
    judged: Judged = "passage"
    passages: dict[str, int] = field(default_factory=dict)
    titles: set[int] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)
    rules: dict[str, SplitRule] = field(default_factory=dict)
    queries: dict[str, Query] = field(default_factory=dict)
    query_lines: dict[str, int] = field(default_factory=dict)
    judgements: dict[str, Judgements] = field(default_factory=dict)
    judged_queries: set[str] = field(default_factory=set)
    pairs: dict[str, int] = field(default_factory=dict)

    @property
    def corpus_file(self) -> Path:
        """Where the passages stand."""
        return self.folder / "corpus.jsonl"

    @property
    def query_file(self) -> Path:
        """Where the queries stand."""
        return self.folder / "queries.jsonl"

    @property
    def judgement_files(self) -> list[Path]:
        """Where the judgements stand, a file a split."""
        return sorted((self.folder / "qrels").glob("*.tsv"))

    @property
    def pair_files(self) -> list[Path]:
        """Where training pairs stand."""
        return sorted((self.folder / "pairs").glob("*.jsonl"))
