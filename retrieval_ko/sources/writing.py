"""A collection written line by line: its passages are never held in memory, and the folder appears whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from retrieval_ko.collection import OWN_FILES, PASSAGE_LIMIT_CHARACTERS, Collection, Judged, SplitRule, first_complaint
from retrieval_ko.errors import DataError
from retrieval_ko.files import check_replaceable, new_folder, write_json
from retrieval_ko.pairs.near_duplicates import near_duplicates
from retrieval_ko.records import Passage, Query, TrainingPair
from retrieval_ko.sources.report import SourceReport

_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")


class CollectionWriter:
    """Takes passages, then queries, then judgements and pairs, each checked as it comes and written at once.

    Every method raises `DataError` for a record that no collection may hold, and has then written nothing.
    """

    def __init__(self, folder: Path, files: ExitStack, report: SourceReport) -> None:
        self._folder = folder
        self._files = files
        self._open: dict[str, TextIO] = {}
        self._report = report
        self._judged: dict[tuple[str, str, str], int] = {}
        self.passages: set[str] = set()
        self.parents: set[str] = set()
        self.queries: dict[str, str] = {}

    def add_passage(self, passage_id: str, text: str, *, title: str = "", metadata: Mapping[str, Any] | None = None) -> None:
        """Write a passage."""
        if passage_id in self.passages:
            raise DataError(f"the id {passage_id!r} was used before.")
        if len(text) > PASSAGE_LIMIT_CHARACTERS:
            raise DataError(f"the text has {len(text):,} characters; the limit is {PASSAGE_LIMIT_CHARACTERS:,}.")
        kept = {name: value for name, value in (metadata or {}).items() if value}
        self._write("corpus.jsonl", Passage, {"_id": passage_id, "title": title, "text": text, "metadata": kept})
        self.passages.add(passage_id)
        if isinstance(parent := kept.get("parent_id"), str):
            self.parents.add(parent)
        self._report.written["passages"] += 1

    def add_query(self, query_id: str, text: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Write a query."""
        if query_id in self.queries:
            raise DataError(f"the query id {query_id!r} was used before.")
        self._write("queries.jsonl", Query, {"_id": query_id, "text": text, "metadata": {k: v for k, v in (metadata or {}).items() if v}})
        self.queries[query_id] = text
        self._report.written["queries"] += 1

    def add_judgement(self, split: str, query_id: str, judged_id: str, grade: int) -> None:
        """Write a judgement of a split; the same one again is passed over."""
        if query_id not in self.queries:
            raise DataError(f"judges the query {query_id!r}, which there is not.")
        if judged_id not in self.passages and judged_id not in self.parents:
            raise DataError(f"judges the passage {judged_id!r}, which there is not.")
        known = self._judged.get((split, query_id, judged_id))
        if known is None:
            self._judged[split, query_id, judged_id] = grade
            self._file(f"qrels/{split}.tsv", "query-id\tcorpus-id\tscore\n").write(f"{query_id}\t{judged_id}\t{grade}\n")
            self._report.written[f"judgements {split}"] += 1
        elif known != grade:
            raise DataError(f"judges {judged_id!r} for {query_id!r} as {grade}, an earlier line as {known}.")

    def add_pair(self, name: str, query_text: str, positives: Iterable[str], *, query_id: str = "", meta: Mapping[str, str]) -> None:
        """Write a training pair to pairs/`name`.jsonl."""
        passages = list(positives)
        if unknown := sorted(set(passages) - self.passages):
            raise DataError(f"names the passage {unknown[0]!r}, which there is not.")
        pair = {"query_id": query_id, "query_text": query_text, "positive_passages": passages, "meta": dict(meta)}
        self._write(f"pairs/{name}.jsonl", TrainingPair, pair)
        self._report.written[f"pairs {name}"] += 1

    def _write(self, name: str, record_type: type[Passage | Query | TrainingPair], values: dict[str, Any]) -> None:
        try:
            record = record_type.model_validate(values)
        except ValidationError as failure:
            raise DataError(f"{first_complaint(failure)}.") from failure
        if not values.get("text", values.get("query_text", "")).strip():
            raise DataError("the text is empty.")
        line = json.dumps(record.model_dump(by_alias=True, exclude_defaults=True), ensure_ascii=False)
        if _HALF_A_CHARACTER.search(line):
            raise DataError("the text holds half a character (a lone surrogate, \\ud800 to \\udfff).")
        self._file(name).write(line + "\n")

    def _file(self, name: str, header: str = "") -> TextIO:
        if name not in self._open:
            target = self._folder / name
            target.parent.mkdir(exist_ok=True)
            self._open[name] = self._files.enter_context(target.open("w", encoding="utf-8", newline="\n"))
            self._open[name].write(header)
        return self._open[name]


def near_copies(train: Sequence[str], held_out: Sequence[str]) -> set[str]:
    """Return the texts of training that say almost the same as one that is held out (character 8-gram containment above a half)."""
    return {train[found.left] for found in near_duplicates(train, held_out)}


@contextmanager
def new_collection(
    folder: Path,
    report: SourceReport,
    *,
    licence: str,
    sources: Iterable[str],
    judged: Judged = "passage",
    splits: Mapping[str, SplitRule] | None = None,
) -> Iterator[CollectionWriter]:
    """Yield a writer; the collection takes `folder`'s place when the block ends without an error.

    Raises:
        DataError: `folder` holds other files, or no passage was written.
    """
    check_replaceable(folder, OWN_FILES, "collection.json")
    with new_folder(folder) as target:
        with ExitStack() as files:
            writer = CollectionWriter(target, files, report)
            yield writer
        if not writer.passages:
            first = f" The first problem: {report.problems[0]}" if report.problems else ""
            raise DataError(f"There is no passage to write.{first}")
        card = Collection(folder.resolve().name, {}, licence=licence, sources=list(sources), judged=judged, splits=dict(splits or {}))
        write_json(target / "collection.json", card.card())
