"""Laws as a BEIR folder: corpus.jsonl and collection.json, written law by law."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from retrieval_ko.collection import OWN_FILES
from retrieval_ko.errors import DataError
from retrieval_ko.files import check_replaceable, new_folder, write_json, write_jsonl
from retrieval_ko.legal.passages import LegalPassage, Unit, passages_of
from retrieval_ko.legal.structure import Law
from retrieval_ko.records import Passage


def passage_record(passage: LegalPassage) -> Passage:
    """Return the passage as collections hold it: the heading is the title, so that title and text together are the passage's text."""
    law = passage.law
    metadata = {
        "law_name": law.name,
        "article": passage.article,
        "parent_id": law.law_id,
        "type": law.kind,
        "kind": law.level,
        "effective_date": law.effective_date,
    }
    return Passage(
        _id=passage.id, title=passage.heading, text=passage.body, metadata={name: value for name, value in metadata.items() if value}
    )


def write_collection(laws: Iterable[Law], folder: Path, unit: Unit = Unit.ARTICLE) -> int:
    """Write the laws' passages as a BEIR folder, whole or not at all, and return how many passages there are.

    Raises:
        DataError: `folder` holds other files, or there is no passage.
    """
    check_replaceable(folder, OWN_FILES, "collection.json")
    with new_folder(folder) as target:
        count = write_jsonl(target / "corpus.jsonl", _rows(laws, unit))
        if not count:
            raise DataError("There is no article to write.")
        card = {
            "name": folder.resolve().name,
            "language": "ko",
            "licence": "not protected works (Korean Copyright Act, article 7)",
            "sources": ["law.go.kr"],
        }
        write_json(target / "collection.json", card)
    return count


def _rows(laws: Iterable[Law], unit: Unit) -> Iterator[dict[str, Any]]:
    for law in laws:
        for passage in passages_of(law, unit):
            yield passage_record(passage).model_dump(by_alias=True, exclude_defaults=True)
