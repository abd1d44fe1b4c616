"""The texts of an embedding run: JSON lines, read one at a time, and checked to the last line before the first is encoded.

A passage is a line of a collection's corpus.jsonl, {"_id", "title"?, "text", "metadata"?}, or of a passage file, {"id", "parent_id",
"type", "text", "law_name", "article"}. A query is {"_id", "text"} or {"query_id", "query_text"}. A field of any other name is an error:
it is a slip of the pen more often than something to pass over.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from retrieval_ko.collection import PASSAGE_LIMIT_CHARACTERS, first_complaint
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl, sha256
from retrieval_ko.records import Passage, Query

Kind = Literal["query", "passage"]
"""What texts are: the template, and the length at which a text is cut, are those of the side."""

ID_NAMES: dict[Kind, tuple[str, ...]] = {"query": ("_id", "id", "query_id"), "passage": ("_id", "id")}
TEXT_NAMES: dict[Kind, tuple[str, ...]] = {"query": ("text", "query_text"), "passage": ("text",)}
OTHER_NAMES: dict[Kind, tuple[str, ...]] = {
    "query": ("metadata",),
    "passage": ("title", "metadata", "parent_id", "type", "law_name", "article"),
}
EXAMPLES: dict[Kind, str] = {"query": '{"_id": "…", "text": "…"}', "passage": '{"_id": "…", "title": "…", "text": "…"}'}


@dataclass(frozen=True)
class CheckedTexts:
    """A file in which every line is in order.

    Args:
        source: the file.
        kind: what its texts are.
        count: how many.
        longest_id: characters of the longest id, which is the width of the array of ids.
        sha256: of the file's bytes.
    """

    source: Path
    kind: Kind
    count: int
    longest_id: int
    sha256: str

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield (id, text) in the order of the file."""
        return read_texts(self.source, self.kind)


def check_texts(source: Path, kind: Kind, on_progress: Callable[[int], None] | None = None) -> CheckedTexts:
    """Read a file to its end and return what it holds; no text is kept.

    Args:
        source: JSON lines, plain, `.gz` or `.zst`.
        kind: what the texts are.
        on_progress: told how many lines are in order.

    Raises:
        DataError: as `read_texts`, or the file holds no text.
    """
    count = longest = 0
    for record, _ in read_texts(source, kind):
        count, longest = count + 1, max(longest, len(record))
        if on_progress and count % 1000 == 0:
            on_progress(count)
    if not count:
        raise DataError(f"{source} is empty: it holds no {kind}.", f"Write one JSON object a line: {EXAMPLES[kind]}")
    return CheckedTexts(Path(source), kind, count, longest, sha256(source))


def read_texts(source: Path, kind: Kind) -> Iterator[tuple[str, str]]:
    """Yield (id, text as an encoder reads it) of each line; a passage's title stands before its text.

    Raises:
        DataError: a line is no JSON object, has no id, no text or an unknown field, or repeats an id. Names file and line.
    """
    lines: dict[str, int] = {}
    for number, row in read_jsonl(source):
        where = f"{source}, line {number}"
        record = _record(row, kind, where)
        if record.id in lines:
            raise DataError(f"{where}: the id {record.id!r} was used before, in line {lines[record.id]}.")
        lines[record.id] = number
        yield record.id, _text(record, where)


def _record(row: dict[str, Any], kind: Kind, where: str) -> Passage | Query:
    known = (*ID_NAMES[kind], *TEXT_NAMES[kind], *OTHER_NAMES[kind])
    for name in row:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            raise DataError(
                f"{where}: the field {name!r} is unknown{f'; {nearest[0]!r} may be meant' if nearest else ''}.",
                f"A {kind} has {EXAMPLES[kind]}. Whatever else is known of it belongs below metadata.",
            )
    ids = [name for name in ID_NAMES[kind] if name in row]
    texts = [name for name in TEXT_NAMES[kind] if name in row]
    for names, wanted in ((ids, "_id"), (texts, "text")):
        if len(names) != 1:
            found = f"has two of them, {' and '.join(names[:2])}" if names else f"has no {wanted}"
            raise DataError(f"{where}: {found}.", f"Every line needs one: {EXAMPLES[kind]}")
    identity = row[ids[0]]
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = str(identity)
    try:
        if kind == "query":
            return Query.model_validate({"_id": identity, "text": row[texts[0]]})
        return Passage.model_validate({"_id": identity, "title": row.get("title", ""), "text": row[texts[0]]})
    except ValidationError as failure:
        raise DataError(f"{where}: {first_complaint(failure)}.") from failure


def _text(record: Passage | Query, where: str) -> str:
    if not record.text.strip():
        raise DataError(f"{where}: the text of {record.id!r} is empty.")
    if len(record.text) > PASSAGE_LIMIT_CHARACTERS:
        raise DataError(
            f"{where}: the text of {record.id!r} has {len(record.text):,} characters; the limit is {PASSAGE_LIMIT_CHARACTERS:,}.",
            "Split it into passages (an encoder reads at most 512 tokens of each, about 1,000 characters).",
        )
    text = record.passage_text if isinstance(record, Passage) else record.text
    try:
        text.encode()
    except UnicodeEncodeError as failure:
        raise DataError(f"{where}: the text of {record.id!r} holds half a character (a lone surrogate, \\ud800 to \\udfff).") from failure
    return text
