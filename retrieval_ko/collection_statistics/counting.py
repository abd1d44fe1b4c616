"""One pass over queries, judgements and pairs, one over the passages; what is kept grows with ids and queries, not with passages' texts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np

from retrieval_ko.collection_statistics.distribution import Distribution
from retrieval_ko.collection_statistics.overlap import AskedQuery, Overlap
from retrieval_ko.collection_statistics.reading import count_lines, stream_judgements, stream_records
from retrieval_ko.collection_statistics.scripts import SCRIPTS, script_of
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_json, read_jsonl
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.records import Passage, Query
from retrieval_ko.terms import Tokenization, terms_of_many
from retrieval_ko.validation.rows import fingerprint

HARDEST = 10
_TEXTS_AT_ONCE = 1000


@dataclass
class SplitStatistics:
    """A split: its queries, and how they are judged."""

    queries: int = 0
    judgements: int = 0
    grades: Counter[int] = field(default_factory=Counter)
    positives_per_query: Distribution = field(default_factory=Distribution)
    overlap: Distribution = field(default_factory=Distribution)


@dataclass
class PairStatistics:
    """A pair file."""

    pairs: int = 0
    positives_per_query: Distribution = field(default_factory=Distribution)
    hard_negatives: Distribution = field(default_factory=Distribution)
    random_negatives: Distribution = field(default_factory=Distribution)
    overlap: Distribution = field(default_factory=Distribution)


@dataclass
class CollectionStatistics:
    """What a collection holds. Lengths are in characters; overlaps are shares of a query's distinct terms, 0 to 1."""

    name: str
    licence: str = ""
    tokenization: Tokenization = Tokenization.BIGRAM
    passages: int = 0
    queries: int = 0
    synonyms: int = 0
    passage_characters: Distribution = field(default_factory=Distribution)
    query_characters: Distribution = field(default_factory=Distribution)
    splits: dict[str, SplitStatistics] = field(default_factory=dict)
    pairs: dict[str, PairStatistics] = field(default_factory=dict)
    scripts: dict[str, Counter[str]] = field(default_factory=dict)
    passage_terms: int = 0
    query_terms: int = 0
    query_terms_in_passages: int = 0
    duplicate_passages: int = 0
    duplicate_queries: int = 0
    hardest: list[tuple[AskedQuery, float]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return everything as a JSON object."""
        return {
            "name": self.name,
            "licence": self.licence,
            "passages": self.passages,
            "queries": self.queries,
            "synonyms": self.synonyms,
            "duplicates": {"passages": self.duplicate_passages, "queries": self.duplicate_queries},
            "characters": {"passages": self.passage_characters.as_json(), "queries": self.query_characters.as_json()},
            "scripts": {name: self.script_shares(name) for name in self.scripts},
            "vocabulary": {
                "tokenization": str(self.tokenization),
                "passages": self.passage_terms,
                "queries": self.query_terms,
                "queries_in_passages": self.query_terms_in_passages,
            },
            "splits": {
                name: {
                    "queries": split.queries,
                    "judgements": split.judgements,
                    "grades": {str(grade): split.grades[grade] for grade in sorted(split.grades)},
                    "positives_per_query": split.positives_per_query.as_json(),
                    "overlap": split.overlap.as_json(),
                }
                for name, split in self.splits.items()
            },
            "pairs": {
                name: {
                    "pairs": pairs.pairs,
                    "positives_per_query": pairs.positives_per_query.as_json(),
                    "hard_negatives": pairs.hard_negatives.as_json(),
                    "random_negatives": pairs.random_negatives.as_json(),
                    "overlap": pairs.overlap.as_json(),
                }
                for name, pairs in self.pairs.items()
            },
            "hardest": [
                {"group": query.group, "id": query.id, "text": query.text, "positives": list(query.positives), "overlap": round(share, 4)}
                for query, share in self.hardest
            ],
        }

    def script_shares(self, name: str) -> dict[str, float]:
        """Return the share of each script among the letters and digits of the passages or the queries."""
        counts = self.scripts[name]
        total = counts.total()
        return {script: round(counts[script] / total, 4) for script in SCRIPTS} if total else {}


class _TextCounts:
    """Lengths, characters, terms and repetitions of one kind of text."""

    def __init__(self) -> None:
        self.lengths = Distribution()
        self.terms: set[str] = set()
        self.duplicates = 0
        self._characters = np.zeros(sys.maxunicode + 1, dtype=np.int64)
        self._waiting: list[str] = []
        self._prints: set[int] = set()

    def add(self, text: str, terms: Iterable[str]) -> None:
        self.lengths.add(len(text))
        self.terms.update(terms)
        known = len(self._prints)
        self._prints.add(fingerprint(text))
        self.duplicates += len(self._prints) == known
        self._waiting.append(text)
        if len(self._waiting) == _TEXTS_AT_ONCE:
            self._count_characters()

    def scripts(self) -> Counter[str]:
        self._count_characters()
        counts: Counter[str] = Counter()
        for point in np.flatnonzero(self._characters).tolist():
            if script := script_of(chr(point)):
                counts[script] += int(self._characters[point])
        return counts

    def _count_characters(self) -> None:
        points = np.frombuffer("".join(self._waiting).encode("utf-32-le", "replace"), dtype=np.uint32)
        self._characters += np.bincount(points, minlength=len(self._characters))
        self._waiting.clear()


def lines_to_read(folder: Path) -> int:
    """Return how many lines `collect_statistics` will read of the passages, which is where the time goes."""
    source = Path(folder) / "corpus.jsonl"
    return count_lines(source) if source.exists() else 0


def collect_statistics(
    folder: Path, tokenization: Tokenization = Tokenization.BIGRAM, on_passage: Callable[[], None] = lambda: None
) -> CollectionStatistics:
    """Count what a collection folder holds.

    Args:
        folder: a BEIR folder.
        tokenization: what vocabulary and overlap are counted in.
        on_passage: called for each passage.

    Raises:
        DataError: a file is missing or damaged; names file and line.
    """
    folder = Path(folder)
    if not (folder / "corpus.jsonl").exists():
        raise DataError(f"There is no collection at {folder}: it has no corpus.jsonl.", "`sparse-ko data list DIR` finds collections.")
    card = read_json(folder / "collection.json") if (folder / "collection.json").exists() else {}
    statistics = CollectionStatistics(card.get("name") or folder.resolve().name, card.get("licence", ""), tokenization)
    if (folder / "synonyms.jsonl").exists():
        statistics.synonyms = sum(1 for _ in read_jsonl(folder / "synonyms.jsonl"))

    queries = _TextCounts()
    texts = _count_queries(folder, queries, tokenization)
    asked = [*_count_judgements(folder, statistics, texts), *_count_pairs(folder, statistics)]
    overlap = Overlap(asked, map(set, terms_of_many((query.text for query in asked), tokenization)))
    passages = _TextCounts()
    by_parent = card.get("judged") == "parent"
    for passage, terms in _with_terms(folder / "corpus.jsonl", tokenization):
        passages.add(passage.passage_text, terms)
        for name in {passage.id, str(passage.metadata.get("parent_id")) if by_parent else passage.id}:
            if overlap.wants(name):
                overlap.meet(name, set(terms))
        on_passage()

    statistics.passages, statistics.queries = passages.lengths.size, queries.lengths.size
    statistics.passage_characters, statistics.query_characters = passages.lengths, queries.lengths
    statistics.scripts = {"passages": passages.scripts(), "queries": queries.scripts()}
    statistics.passage_terms, statistics.query_terms = len(passages.terms), len(queries.terms)
    statistics.query_terms_in_passages = len(passages.terms & queries.terms)
    statistics.duplicate_passages, statistics.duplicate_queries = passages.duplicates, queries.duplicates
    _take_overlap(statistics, overlap)
    return statistics


def _with_terms(source: Path, tokenization: Tokenization) -> Iterator[tuple[Passage, list[str]]]:
    passages, again = tee(stream_records(source, Passage))
    return zip(passages, terms_of_many((passage.passage_text for passage in again), tokenization), strict=True)


def _count_queries(folder: Path, counts: _TextCounts, tokenization: Tokenization) -> dict[str, str]:
    """Count the queries, and return the text of each by its id."""
    source = folder / "queries.jsonl"
    texts = {query.id: query.text for query in stream_records(source, Query)} if source.exists() else {}
    for text, terms in zip(texts.values(), terms_of_many(texts.values(), tokenization), strict=True):
        counts.add(text, terms)
    return texts


def _count_judgements(folder: Path, statistics: CollectionStatistics, texts: dict[str, str]) -> Iterator[AskedQuery]:
    """Count the splits, and yield their queries that have a positive."""
    for source in sorted((folder / "qrels").glob("*.tsv")):
        split = statistics.splits.setdefault(source.stem, SplitStatistics())
        positives: dict[str, list[str]] = {}
        for query, passage, grade in stream_judgements(source):
            split.judgements += 1
            split.grades[grade] += 1
            found = positives.setdefault(query, [])
            if grade > 0:
                found.append(passage)
        split.queries = len(positives)
        for query, passages in positives.items():
            split.positives_per_query.add(len(passages))
            if query not in texts:
                raise DataError(f"{source} judges the query {query!r}, which queries.jsonl does not hold.")
            if passages:
                yield AskedQuery(source.stem, query, texts[query], tuple(passages))


def _count_pairs(folder: Path, statistics: CollectionStatistics) -> Iterator[AskedQuery]:
    """Count the pair files, and yield their queries."""
    for source in sorted((folder / "pairs").glob("*.jsonl")):
        counts = statistics.pairs.setdefault(source.stem, PairStatistics())
        for pair in read_pairs(source):
            counts.pairs += 1
            counts.positives_per_query.add(len(pair.positive_passages))
            counts.hard_negatives.add(len(pair.hard_negatives))
            counts.random_negatives.add(len(pair.random_negatives))
            yield AskedQuery(f"pairs/{source.stem}", pair.query_id, pair.query_text, tuple(pair.positive_passages))


def _take_overlap(statistics: CollectionStatistics, overlap: Overlap) -> None:
    shares = [(query, share) for query, share in zip(overlap.queries, overlap.shares(), strict=True) if share is not None]
    for query, share in shares:
        group = query.group
        of = statistics.pairs[group.removeprefix("pairs/")] if group.startswith("pairs/") else statistics.splits[group]
        of.overlap.add(share)
    distinct: dict[str, tuple[AskedQuery, float]] = {}
    for query, share in sorted(shares, key=lambda entry: (entry[1], entry[0].text)):
        distinct.setdefault(query.text, (query, share))
        if len(distinct) == HARDEST:
            break
    statistics.hardest = list(distinct.values())
