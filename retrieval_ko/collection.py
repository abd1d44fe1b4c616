"""A collection: passages, queries and judgements, read from and written to a BEIR folder.

corpus.jsonl            {"_id", "title", "text", "metadata"?} a line
queries.jsonl           {"_id", "text", "metadata"?} a line
qrels/{split}.tsv       header `query-id corpus-id score`, tab-separated
collection.json         optional: {"name", "language", "licence", "sources", "judged", "splits"}
synonyms.jsonl          optional: {"ko", "en", "source", "domain"?} a line
pairs/{split}.jsonl     optional: what training reads, `retrieval_ko.pairs.training_pairs`

With "judged": "parent" the judgements name parents (a page of an encyclopaedia, an article of a law), and each passage says in
`metadata.parent_id` of which parent it is a part. Splits are named train, dev and test; a second way to part the same queries puts
its own name before them (article-train, article-dev), and "splits" says by which rule: {"": {"by": "date"}, "article": {"by": "passage"}}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from retrieval_ko.errors import DataError
from retrieval_ko.files import new_folder, read_json, read_jsonl, read_lines, write_json, write_jsonl, write_text
from retrieval_ko.records import Passage, Query, SynonymPair

PASSAGE_LIMIT_CHARACTERS = 1_000_000
"""Longer than any statute article or article of an encyclopaedia; a text above it is a file that was not split into passages."""

OWN_FILES = frozenset({"collection.json", "corpus.jsonl", "queries.jsonl", "synonyms.jsonl", "qrels", "pairs"})
"""What a collection folder holds; a command that writes one replaces nothing else."""

Judged = Literal["passage", "parent"]
"""What judgements name: passages, or the parents that passages are parts of."""


class SplitRule(BaseModel):
    """How a collection's judgements were parted into train, dev and test, as collection.json promises it.

    Args:
        by: `date`; `group`, by chance and never through a group; `passage`, so that no relevant passage stands in two parts.
        train_before: for `date`: train is what is older (ISO).
        dev_before: for `date`: dev is what is older and not train; empty where there is no test part.
        seed: for `group` and `passage`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    by: Literal["date", "group", "passage"]
    train_before: str = ""
    dev_before: str = ""
    seed: int = 0


Judgements = dict[str, dict[str, int]]
"""query id → passage id (or parent id) → grade; 0 is judged and not relevant."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

RecordType = TypeVar("RecordType", Passage, Query)


@dataclass
class Collection:
    """Passages and queries by id, and the judgements of each split."""

    name: str
    passages: dict[str, Passage]
    queries: dict[str, Query] = field(default_factory=dict)
    judgements: dict[str, Judgements] = field(default_factory=dict)
    synonyms: list[SynonymPair] = field(default_factory=list)
    licence: str = ""
    sources: list[str] = field(default_factory=list)
    judged: Judged = "passage"
    splits: dict[str, SplitRule] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Collection:
        """Read and check a BEIR folder.

        Raises:
            DataError: a file is missing, empty or damaged; an id is missing, repeated or unknown. Names file and line.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise DataError(
                f"There is no collection folder {folder}.", "A collection is a folder with corpus.jsonl, queries.jsonl and qrels/."
            )
        passages = _read_records(folder / "corpus.jsonl", Passage)
        queries = _read_records(folder / "queries.jsonl", Query) if (folder / "queries.jsonl").exists() else {}
        card = _read_card(folder / "collection.json") if (folder / "collection.json").exists() else _Card()
        splits = sorted((folder / "qrels").glob("*.tsv"))
        judgeable = parents_of(passages.values(), folder / "corpus.jsonl").values() if card.judged == "parent" else passages
        return cls(
            name=folder.name if card.name is None else card.name,
            passages=passages,
            queries=queries,
            judgements={split.stem: _read_judgements(split, queries, set(judgeable)) for split in splits},
            synonyms=read_synonyms(folder / "synonyms.jsonl") if (folder / "synonyms.jsonl").exists() else [],
            licence=card.licence,
            sources=card.sources,
            judged=card.judged,
            splits=card.splits,
        )

    def write(self, folder: Path) -> None:
        """Write the collection as a BEIR folder, whole or not at all."""
        with new_folder(folder) as target:
            write_json(target / "collection.json", self.card())
            write_jsonl(target / "corpus.jsonl", (_row(passage) for passage in self.passages.values()))
            if self.queries:
                write_jsonl(target / "queries.jsonl", (_row(query) for query in self.queries.values()))
            for split, judgements in self.judgements.items():
                write_judgements(target / "qrels" / f"{split}.tsv", judgements)
            if self.synonyms:
                write_jsonl(target / "synonyms.jsonl", (_row(pair) for pair in self.synonyms))

    def card(self) -> dict[str, Any]:
        """Return what collection.json says of the collection."""
        splits = {scheme: rule.model_dump(exclude_defaults=True) for scheme, rule in self.splits.items()}
        card = {"name": self.name, "language": "ko", "licence": self.licence, "sources": self.sources, "judged": self.judged}
        return {**card, "splits": splits} if splits else card

    def relevant(self, split: str) -> dict[str, list[str]]:
        """Return the relevant passages of each query of a split, ids in file order; queries without one are left out.

        Raises:
            DataError: the collection has no such split.
        """
        if split not in self.judgements:
            known = ", ".join(sorted(self.judgements)) or "none at all"
            raise DataError(f"The collection {self.name} has no judgements for the split '{split}'; it has: {known}.")
        found = {query: [p for p, grade in grades.items() if grade > 0] for query, grades in self.judgements[split].items()}
        return {query: passages for query, passages in found.items() if passages}


class _Card(BaseModel):
    """What collection.json may say; other keys are passed over."""

    name: str | None = None
    licence: str = ""
    sources: list[str] = []
    judged: Judged = "passage"
    splits: dict[str, SplitRule] = {}


def _read_card(source: Path) -> _Card:
    try:
        return _Card.model_validate(read_json(source))
    except ValidationError as failure:
        raise DataError(f"{source}: {first_complaint(failure)}.") from failure


def _row(record: BaseModel) -> dict[str, Any]:
    return record.model_dump(by_alias=True, exclude_defaults=True)


def first_complaint(failure: ValidationError) -> str:
    """Say the first thing wrong with a record or a settings file in one line: the field, what was wanted, what was found."""
    error = failure.errors()[0]
    where = ".".join(str(part) for part in error["loc"]) or "the record"
    found = "" if error["type"] == "missing" else f" (found {str(error['input'])[:60]!r})"
    return f"{where}: {error['msg'].lower()}{found}"


def _read_records(source: Path, record_type: type[RecordType]) -> dict[str, RecordType]:
    records: dict[str, RecordType] = {}
    lines: dict[str, int] = {}
    for number, row in read_jsonl(source):
        if "_id" not in row and "id" not in row:
            raise DataError(f"{source}, line {number}: has no _id.", 'Every line needs one: {"_id": "…", "text": "…"}')
        for key in ("_id", "id"):
            if isinstance(row.get(key), int) and not isinstance(row[key], bool):
                row[key] = str(row[key])
        try:
            record = record_type.model_validate(row)
        except ValidationError as failure:
            raise DataError(f"{source}, line {number}: {first_complaint(failure)}.") from failure
        if record.id in records:
            raise DataError(f"{source}, line {number}: the _id {record.id!r} was used before, in line {lines[record.id]}.")
        if not record.text.strip():
            raise DataError(f"{source}, line {number}: the text of {record.id!r} is empty.")
        if _LONE_SURROGATE.search(f"{row.get('title', '')}{row.get('text', '')}"):
            raise DataError(
                f"{source}, line {number}: the text of {record.id!r} holds half a character (a lone surrogate, \\ud800 to \\udfff)."
            )
        if len(record.text) > PASSAGE_LIMIT_CHARACTERS:
            raise DataError(
                f"{source}, line {number}: the text of {record.id!r} has {len(record.text):,} characters; "
                f"the limit is {PASSAGE_LIMIT_CHARACTERS:,}.",
                "Split it into passages (an encoder reads at most 512 tokens of each, about 1,000 characters).",
            )
        records[record.id] = record
        lines[record.id] = number
    if not records:
        raise DataError(f"{source} is empty: it holds no record.", 'Write one JSON object a line: {"_id": "…", "title": "…", "text": "…"}')
    return records


def _read_judgements(source: Path, queries: dict[str, Query], judgeable: set[str]) -> Judgements:
    judgements: Judgements = {}
    for number, line in read_lines(source):
        if not line.strip() or (number == 1 and line.startswith("query-id")):
            continue
        parts = line.split("\t")
        if len(parts) != 3:
            raise DataError(f"{source}, line {number}: expected 3 tab-separated fields (query-id, corpus-id, score), found {len(parts)}.")
        query, passage, grade = parts
        if query not in queries:
            raise DataError(f"{source}, line {number}: judges the query {query!r}, which queries.jsonl does not hold.")
        if passage not in judgeable:
            raise DataError(f"{source}, line {number}: judges the passage {passage!r}, which corpus.jsonl does not hold.")
        if not re.fullmatch(r"-?[0-9]{1,9}", grade.strip()):
            raise DataError(f"{source}, line {number}: the score {grade!r} is not a whole number.")
        known = judgements.setdefault(query, {})
        if known.setdefault(passage, int(grade)) != int(grade):
            raise DataError(
                f"{source}, line {number}: judges {passage!r} for {query!r} as {grade.strip()}, an earlier line as {known[passage]}."
            )
    if not judgements:
        raise DataError(f"{source} holds no judgement.")
    return judgements


def write_judgements(target: Path, judgements: Judgements) -> None:
    """Write the judgements of one split (qrels), whole or not at all."""
    rows = (f"{query}\t{passage}\t{grade}\n" for query, grades in judgements.items() for passage, grade in grades.items())
    write_text(target, "query-id\tcorpus-id\tscore\n" + "".join(rows))


def parents_of(passages: Iterable[Passage], source: Path | str = "the collection") -> dict[str, str]:
    """Return passage id → parent id, from `metadata.parent_id`.

    Raises:
        DataError: a passage names no parent.
    """
    parents: dict[str, str] = {}
    for passage in passages:
        parent = passage.metadata.get("parent_id")
        if not isinstance(parent, str) or not parent:
            raise DataError(
                f"{source}: the passage {passage.id!r} has no metadata.parent_id, but collection.json says that judgements name parents.",
                'Give every passage one, or write "judged": "passage".',
            )
        parents[passage.id] = parent
    return parents


def read_synonyms(source: Path) -> list[SynonymPair]:
    """Read synonym pairs, {ko, en, source, domain?} a line.

    Raises:
        DataError: a line is damaged or has no `ko` or `en`.
    """
    pairs = []
    for number, row in read_jsonl(source):
        try:
            pairs.append(SynonymPair.model_validate(row))
        except ValidationError as failure:
            raise DataError(f"{source}, line {number}: {first_complaint(failure)}.") from failure
    return pairs


def sample_folder() -> Path:
    """Return the folder of the Korean sample collection that comes with the package."""
    return Path(__file__).parent / "sample"


def texts_of(passages: Iterable[Passage]) -> list[str]:
    """Return what an encoder or a baseline reads of each passage."""
    return [passage.passage_text for passage in passages]
