"""Pages cut into passages that an encoder can read whole, and never in the middle of a sentence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from retrieval_ko.text import normalize

PASSAGE_CHARACTERS = 500
"""An encoder of this project reads 256 tokens, about 500 characters of Korean prose; what is longer would be cut off unread."""

_HEADING_CHARACTERS = 40
_INSIDE_PARAGRAPH = 0.2
_INSIDE_SENTENCE = 1.0
_AFTER_HEADING = 1.0
"""Prices of an ugly break, against the price of an empty passage, which is 1; between paragraphs a break costs nothing."""

_SENTENCE_END = re.compile(
    r"(?<=[가-힣)][.!?。])(?=[가-힣“‘(「『《※√①-⑳○●▪]|\d{1,2}\.\s?[가-힣])"  # 다.그, 다.3. 경 → a space was lost
    r"|(?<=[^\s\d][.!?。])(?<!\b[A-Za-z]\.)\s+"
    r"|(?<=[.!?。][\"'”’)」』\]])\s+"
)
_ENDED = re.compile(r"[.!?。…][\"'”’)」』\]]*$")
_OPENS = re.compile(r"(다음과 같[가-힣 ]*\.|다음[^.]{0,12}같습니다[^.]{0,80}\.|[:：])$")


class _Piece(NamedTuple):
    """Text that is not cut further, what joins it to the piece before, and what a break after it costs."""

    text: str
    joint: str
    price: float


def clean_line(line: str) -> str:
    """Return a line in NFC without control characters, white space made single; the quick way round `normalize` for plain lines."""
    return " ".join(line.split()) if line.isprintable() and unicodedata.is_normalized("NFC", line) else normalize(line)


def clean_text(text: str) -> str:
    """Return a text with every line clean and blank lines kept: they part paragraphs."""
    return "\n".join(clean_line(line) for line in unicodedata.normalize("NFC", text).splitlines()).strip()


def sentences(paragraph: str) -> list[str]:
    """Cut a paragraph at the ends of its sentences. "1. ", "2018. 9. 1." and "J. R." are no ends.

    Rules, not Kiwi: 90 million characters take seconds this way, and a missed end only makes a piece longer.
    """
    return [part for part in _SENTENCE_END.split(paragraph) if part]


def cut_into_passages(text: str, limit: int = PASSAGE_CHARACTERS) -> list[str]:
    """Cut a clean text into passages of at most `limit` characters.

    Paragraphs are parted by blank lines. A paragraph that fits stays whole; a longer one is cut between its lines, then between
    sentences, and only a sentence longer than `limit` between words. Of all ways to pack the pieces the one with the lowest price is
    taken: the square of the room that each passage leaves unused, plus the price of breaks inside a paragraph or after a heading. So
    short lines join their neighbours, and headings and "다음과 같다." stay with what follows.
    """
    pieces = list(_pieces(text, limit))
    best = [0.0, *(float("inf") for _ in pieces)]
    starts = [0] * (len(pieces) + 1)
    for end in range(1, len(pieces) + 1):
        length = 0
        price = pieces[end - 1].price if end < len(pieces) else 0.0
        for start in range(end - 1, -1, -1):
            length += len(pieces[start].text) + (len(pieces[start + 1].joint) if start + 1 < end else 0)
            if length > limit:
                break
            total = best[start] + (1 - length / limit) ** 2 + price
            if total < best[end]:
                best[end], starts[end] = total, start
    passages: list[str] = []
    end = len(pieces)
    while end:
        start = starts[end]
        first, *rest = pieces[start:end]
        passages.append(first.text + "".join(piece.joint + piece.text for piece in rest))
        end = start
    return passages[::-1]


def _pieces(text: str, limit: int) -> Iterator[_Piece]:
    for paragraph in re.split(r"\n{2,}", text):
        if not paragraph:
            continue
        if len(paragraph) <= limit:
            yield _Piece(paragraph, "\n", _price_after(paragraph.rsplit("\n", 1)[-1]))
            continue
        lines = [line for line in paragraph.split("\n") if line]
        for number, line in enumerate(lines, start=1):
            inside = _INSIDE_PARAGRAPH if number < len(lines) else 0.0
            *parts, last = _parts(line, limit)
            yield from parts
            yield last._replace(price=inside + _price_after(line))


def _price_after(line: str) -> float:
    heading = len(line) <= _HEADING_CHARACTERS and not _ENDED.search(line)
    return _AFTER_HEADING if heading or _OPENS.search(line) else 0.0


def _parts(line: str, limit: int) -> Iterator[_Piece]:
    """Cut a line into its sentences, and a sentence that is too long between words, or anywhere where it has none."""
    if len(line) <= limit:
        yield _Piece(line, "\n", 0.0)
        return
    joint, position = "\n", 0
    for sentence in sentences(line):
        begin = line.index(sentence, position)
        if position:
            joint = " " if begin > position else ""
        position = begin + len(sentence)
        while len(sentence) > limit:
            cut = sentence.rfind(" ", limit // 2, limit + 1)
            head, sentence, next_joint = (sentence[:limit], sentence[limit:], "") if cut < 0 else (sentence[:cut], sentence[cut + 1 :], " ")
            yield _Piece(head, joint, _INSIDE_SENTENCE)
            joint = next_joint
        yield _Piece(sentence, joint, _INSIDE_PARAGRAPH)
