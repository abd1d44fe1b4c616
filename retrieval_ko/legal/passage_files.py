"""Passage files of LexDPR: {"id", "parent_id", "type", "text", "law_name", "article"} a line; read, and merged into one corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from retrieval_ko.collection import first_complaint
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl, write_jsonl
from retrieval_ko.records import Passage, RecordId


class PassageRow(BaseModel):
    """One line of a passage file; only `id` and `text` must be there."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    id: RecordId
    parent_id: str = ""
    type: str = ""
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    law_name: str = ""
    article: str = ""

    def passage(self) -> Passage:
        """Return it as collections hold passages."""
        metadata = {"parent_id": self.parent_id, "type": self.type, "law_name": self.law_name, "article": self.article}
        return Passage(_id=self.id, text=self.text, metadata={name: value for name, value in metadata.items() if value})


def read_passages(source: Path) -> Iterator[PassageRow]:
    """Yield the passages of a file in its order.

    Raises:
        DataError: a line is damaged, has no id or no text, or repeats an id. Names the line.
    """
    lines: dict[str, int] = {}
    for number, row in read_jsonl(source):
        try:
            passage = PassageRow.model_validate(row)
        except ValidationError as failure:
            raise DataError(f"{source}, line {number}: {first_complaint(failure)}.") from failure
        if passage.id in lines:
            raise DataError(f"{source}, line {number}: the id {passage.id!r} was used before, in line {lines[passage.id]}.")
        lines[passage.id] = number
        yield passage


def merge_passages(sources: Iterable[Path], target: Path) -> Counter[str]:
    """Write the passages of several files into one, in their order, whole or not at all; return how many there are of each type.

    Raises:
        DataError: an id stands in two files, or a file is damaged.
    """
    counts: Counter[str] = Counter()
    file_of_id: dict[str, Path] = {}

    def rows() -> Iterator[dict[str, str]]:
        for source in sources:
            for passage in read_passages(source):
                if passage.id in file_of_id:
                    raise DataError(
                        f"{source}: the id {passage.id!r} stands in {file_of_id[passage.id]} too.",
                        "One of the files holds what the other holds; leave it out.",
                    )
                file_of_id[passage.id] = source
                counts[passage.type or "(no type)"] += 1
                yield passage.model_dump()

    write_jsonl(target, rows())
    return counts
