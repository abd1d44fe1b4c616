"""Which document is of which type: recognised by what it holds, not by its name or folder.

A further family (regulations, no-action letters …) is one `register(DocumentType(…))`: a name, how it is recognised, and a reader
that returns a `Law` with a `kind` of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from retrieval_ko.errors import DataError
from retrieval_ko.legal import law_go_kr, markdown
from retrieval_ko.legal.document import Document
from retrieval_ko.legal.structure import Law


@dataclass(frozen=True, slots=True)
class DocumentType:
    """A family of documents.

    Args:
        name: as the report names it.
        recognises: tells by its fields whether a document belongs to it.
        read: the reader; None for documents that are known and belong to another step.
    """

    name: str
    recognises: Callable[[Document], bool]
    read: Callable[[Document], Law] | None


PRECEDENT = DocumentType("precedent", lambda document: "판례일련번호" in document.fields, None)
"""Cases are no laws: `precedents.read_precedents` reads them."""

_TYPES = [
    DocumentType("statute (law.go.kr)", law_go_kr.is_statute, law_go_kr.read_statute),
    DocumentType("administrative rule (law.go.kr)", law_go_kr.is_admin_rule, law_go_kr.read_admin_rule),
    DocumentType("statute (legalize-kr)", markdown.recognises, markdown.read),
    PRECEDENT,
]


def register(document_type: DocumentType) -> None:
    """Add a type; it is asked after those that are already known."""
    _TYPES.append(document_type)


def type_of(document: Document) -> DocumentType:
    """Return the first type that recognises a document.

    Raises:
        DataError: none does.
    """
    for document_type in _TYPES:
        if document_type.recognises(document):
            return document_type
    known = ", ".join(document_type.name for document_type in _TYPES)
    fields = ", ".join(list(document.fields)[:5]) or "none"
    raise DataError(f"{document.path}: no known type of document (its fields: {fields}; known: {known}).")
