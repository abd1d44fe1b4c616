"""What stands in statute text and is not law: amendment marks, pictures, drawn tables, the word 삭제."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from retrieval_ko.legal.numbering import CIRCLED_CLASS
from retrieval_ko.text import normalize

_DATE = r"\d{4}\s*[.ㆍ·]\s*\d{1,2}\s*[.ㆍ·]"

_ANGLED = re.compile(r"[<＜〈]([^<>＜＞〈〉\[\]]*)[>＞〉]")
_ANGLED_REMARK = re.compile(rf"{_DATE}|개\s*정|신\s*설|(?:에서|로)\s*이동|^\s*(?:단서|후단|본문)?\s*생략|^\s*시행일|^\s*/?img\b")
_DELETED_REMARK = re.compile(r"^\s*삭\s*제")

_MIXED = re.compile(rf"[<＜\[]\s*(?:[가-힣 ]{{0,12}}(?:개정|신설|삭제)\s*)?{_DATE}[^<>＜＞\[\]]*(?:[>＞]|\]\]?)")
"""A remark whose brackets do not match: `<개정 2025. 1. 21.]`."""

_SQUARED = re.compile(r"\[([^\[\]]*)\](\]?)")
_SQUARED_REMARK = re.compile(
    rf"""^\s*(?:
        (?:전문|전부|제목|조제목|일부|타법)\s*(?:개\s*정|신\s*설|삭\s*제)
      | 본\s*[조항호목장절관편]\s*(?:개\s*정|신\s*설|삭\s*제)
      | (?:개\s*정|신\s*설|삭\s*제)\s*{_DATE}
      | 종전의?\s*제\d
      | 제\d[^「」]*(?:에서|로)\s*이동
      | 시행일
      | (?:헌법불합치|단순위헌|한정위헌|한정합헌|위헌)\s*,
      | {_DATE}[^「」]*(?:위헌|헌법불합치|삭제함|개정|이동)
      | (?:법률|대통령령|\S{{1,10}}령)\s*제\d+호[^「」]*(?:유효|효력|삭제함|시행한다|시행됨)
      | img\d
    )""",
    re.VERBOSE,
)
_EFFECTIVE_FROM = re.compile(
    rf"\[\s*시행일[^\]]*\](?:\s*(?:제?\d+[조항호](?:의\d+)?|[가-하]목|[ㆍ,]|및|의|개정규정|부터|까지|[\d가-하.:]))*\s*(?=$|{CIRCLED_CLASS})"
)
"""`[시행일: 2016. 3. 12.] 제36조`: the provisions that it speaks of follow the bracket."""
_EFFECTIVE_BELOW = re.compile(r"\[\s*시행일\s*\]")
_UNCLOSED = re.compile(r"\[\s*(?:종전의?\s*)?제\d[^\[\]「」]{0,40}(?:에서|로)\s*이동[^\[\]]{0,20}$")

_IMAGE = re.compile(r"<img\b[^>]*>(?:null</img>)?|</img>")
_TABLE_LINE = re.compile(r"[\u2500-\u257f]|^\s*\|")
_DELETED = re.compile(r"^(?:[\s,ㆍ]|및|내지|부터|에서|까지|제\d+[조항호](?:의\d+)?)*삭\s*제[\s.]*(?:\(?\d{4}[.\s\d]*\)?)?$")


def without_remarks(text: str) -> str:
    """Return one passage of text in NFC without amendment marks and pictures; `<삭제 2016. 6. 28.>` becomes 삭제.

    References in brackets (`<별표 1>`, `[이하 "물납"이라 한다]`) stay.
    """
    if "<" in text or "＜" in text or "〈" in text or "[" in text:
        text = _IMAGE.sub("", text)
        text = _ANGLED.sub(_angled, text)
        text = _MIXED.sub(" ", text)
        text = _UNCLOSED.sub("", _EFFECTIVE_FROM.sub(" ", text))
        text = _SQUARED.sub(lambda found: " " if _SQUARED_REMARK.search(found[1]) else found[0], text)
    return normalize(text)


def _angled(found: re.Match[str]) -> str:
    if _DELETED_REMARK.search(found[1]):
        return " 삭제 "
    return " " if _ANGLED_REMARK.search(found[1]) else found[0]


def before_effective_dates(line: str) -> tuple[str, bool]:
    """Cut a line at a bare `[시행일]`; the second value tells whether there was one.

    `[시행일] 제13조의2의 개정규정은 다음 각 목의 구분에 따른 날`, then 가. 나.: what follows, to the next 항, is dates and not law.
    """
    found = _EFFECTIVE_BELOW.search(line)
    return (line[: found.start()], True) if found else (line, False)


def without_tables(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines that are not part of a table or a fraction drawn with box characters."""
    return (line for line in lines if not _TABLE_LINE.search(line))


def is_deleted(text: str) -> bool:
    """Tell whether a cleaned text says nothing but 삭제, for itself or for a range (제5조 및 제6조 삭제)."""
    return bool(_DELETED.match(text))


def without_title(text: str, title: str) -> str:
    """Return `text` without the `(title)` or `[title]` that it begins with, if it does; blanks and the kind of middle dot do not count."""
    for opening, closing in ("()", "[]"):
        found, rest = _split_bracket(text, opening, closing)
        if title and found and _comparable(found) == _comparable(title):
            return rest
    return text


def unwrapped(title: str) -> str:
    """Return a title without brackets around all of it: some articles are headed `제5조((협의회의 구성))`."""
    inner, rest = _split_bracket(title, "(", ")")
    return inner if inner and not rest else title


def _comparable(title: str) -> str:
    return re.sub(r"\s", "", title).translate({ord("·"): "ㆍ", ord("・"): "ㆍ", ord("‧"): "ㆍ"})


def split_title(text: str) -> tuple[str, str]:
    """Split `(목적) 이 규정은 …` into the title and the rest; brackets may be nested. Without a bracket the title is empty."""
    return _split_bracket(text.lstrip(), "(", ")")


def _split_bracket(text: str, opening: str, closing: str) -> tuple[str, str]:
    if not text.startswith(opening):
        return "", text
    depth = 0
    for position, char in enumerate(text):
        depth += (char == opening) - (char == closing)
        if depth == 0:
            return text[1:position].strip(), text[position + 1 :].lstrip()
    return "", text
