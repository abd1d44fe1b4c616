"""An article while it is being read: pieces arrive in order, each with the lines that belong to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from retrieval_ko.legal.cleaning import before_effective_dates, is_deleted, unwrapped, without_remarks, without_tables, without_title
from retrieval_ko.legal.identity import inserted_date
from retrieval_ko.legal.structure import Article, Item, Paragraph, Subitem


@dataclass(slots=True)
class _Piece:
    label: str
    lines: list[str]
    parts: list[_Piece] = field(default_factory=list)
    text: str = ""


_ITEM, _SUBITEM = 1, 2
"""How deep below the 항."""


class ArticleDraft:
    """Collects 항, 호 and 목 as a reader meets them; `finish` cleans them and leaves out what is deleted."""

    def __init__(self, number: str, title: str) -> None:
        self.number = number
        self.title = unwrapped(without_remarks(title))
        self._paragraphs: list[_Piece] = [_Piece("", [])]
        self._open: list[_Piece] = [self._paragraphs[0]]
        self._among_dates = False
        self._deleted_something = False
        self._inserted = ""

    def paragraph(self, number: int, text: str) -> None:
        """Begin the 항 `number`."""
        piece = _Piece(str(number), [])
        self._paragraphs.append(piece)
        self._open = [piece]
        self._among_dates = False
        self.more([text])

    def item(self, number: str, text: str) -> None:
        """Begin a 호 of the open 항."""
        self._begin(_ITEM, number, text)

    def subitem(self, label: str, text: str) -> None:
        """Begin a 목 of the open 호; without an open 호 it is text of the 항."""
        if len(self._open) == 1:
            self.more([f"{label}. {text}"])
        else:
            self._begin(_SUBITEM, label, text)

    def more(self, lines: Iterable[str]) -> None:
        """Add lines to whatever was begun last."""
        for line in lines:
            self.remark(line)
            if not self._among_dates:
                kept, self._among_dates = before_effective_dates(line)
                self._open[-1].lines.append(kept)

    def remark(self, line: str) -> None:
        """Note since when the article stands under its number, where `line` says so ([본조신설 …])."""
        self._inserted = max(self._inserted, inserted_date(line))

    def _begin(self, level: int, label: str, text: str) -> None:
        if self._among_dates:
            return
        piece = _Piece(label, [])
        self._open[level - 1].parts.append(piece)
        self._open = [*self._open[:level], piece]
        self.more([text])

    def finish(self) -> Article:
        """Return the article: NFC, no amendment marks, no tables, nothing that is deleted."""
        kept = [piece for piece in self._paragraphs if self._clean(piece)]
        paragraphs = tuple(
            Paragraph(
                int(piece.label) if piece.label else None,
                piece.text,
                tuple(Item(item.label, item.text, tuple(Subitem(sub.label, sub.text) for sub in item.parts)) for item in piece.parts),
            )
            for piece in kept
        )
        return Article(self.number, self.title, paragraphs, not paragraphs and self._deleted_something, self._inserted)

    def _clean(self, piece: _Piece) -> bool:
        piece.text = without_remarks(" ".join(without_tables(piece.lines)))
        if piece is self._paragraphs[0]:
            piece.text = without_title(piece.text, self.title)
        piece.parts = [part for part in piece.parts if self._clean(part)]
        if not piece.parts and is_deleted(piece.text):
            self._deleted_something = True
            return False
        return bool(piece.text or piece.parts)
