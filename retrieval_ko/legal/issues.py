"""The numbered points of a case: which holding, which statutes and which older cases belong to which issue.

    판시사항  [1] … 여부(적극)   [2] … 여부(소극)
    판결요지  [1] …한다.        [2] …아니한다.
    참조조문  [1][2] 민법 제750조 / [2] 민법 제766조 제1항

Older cases count 가. 나. 다., some 1. 2. or (1) (2). In prose a mark counts only where it is the next of its sequence; references
come in any order (`가.나. … / 가. …`), so there a mark counts where a part begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from retrieval_ko.legal.numbering import SUBITEM_LABELS
from retrieval_ko.legal.precedents import Precedent

_JOINT = r" ?(?:(?:[,.·ㆍ~∼～-]|및|내지) ?)?"  # no two parts of it can match the same blank, so it never backtracks
_RANGE = re.compile(r"[~∼～-]|내지")
_LETTERS = SUBITEM_LABELS[:20]
_LETTER = rf"[{_LETTERS}]"


class _Style(NamedTuple):
    """One way to number: what a mark (or several, joined) looks like, and a single number within it."""

    marks: re.Pattern[str]
    one: re.Pattern[str]
    value: Callable[[str], int]


def _style(mark: str, one: str, value: Callable[[str], int] = int) -> _Style:
    return _Style(re.compile(rf"{mark}(?:{_JOINT}{mark}){{0,30}}"), re.compile(one), value)


_BRACKETS = _style(rf"[\[［]\s?\d{{1,2}}(?:{_JOINT}\d{{1,2}}){{0,30}}\s?[\]］]", r"\d+")
_STYLES = (
    _BRACKETS,
    _Style(
        re.compile(rf"{_LETTER}(?: ?(?:[.,·ㆍ~∼～]|및|내지) ?{_LETTER}){{0,30}}\s?[.．](?!\s?[항목](?:[의과와에은는을를,.)\s]|$))"),
        re.compile(_LETTER),
        lambda letter: _LETTERS.index(letter) + 1,
    ),
    _style(r"\(\s?\d{1,2}\s?\)", r"\d+"),
    _style(r"\d{1,2}\s?\.(?!\s?\d)", r"\d+"),
    _style(r"\d{1,2}\)", r"\d+"),
)

_PART = re.compile(r"\s*/\s*(?=[\[［(가-하\d])|\s/\s|(?<=\n)")
_BOUNDARY = " \n.)]］,/"


class Point(NamedTuple):
    """One numbered point; `numbers` is empty for a text that carries none, and has several for `[1][2] …`."""

    numbers: tuple[int, ...]
    text: str


class Issue(NamedTuple):
    """One issue of a case and what belongs to it; empty texts where nothing does, or where the source does not tell.

    Args:
        number: None where the case has one issue and does not number it.
        unnumbered: which of `holdings`, `statutes`, `cases` the source gives without numbers although it has several issues.
    """

    number: int | None
    issue_text: str
    holding_text: str
    statutes_text: str
    cases_text: str
    unnumbered: tuple[str, ...] = ()


def points(text: str) -> list[Point]:
    """Return the points of a 판시사항 or 판결요지, in order; line breaks within a point become blanks.

    Counting begins with 가 or 1 (in brackets with any number, since a 판결요지 may leave issues out) and rises.
    """
    text = _tidy(text)
    found = _first(text)
    if found is None:
        return [Point((), _flat(text))] if text else []
    style, numbers, end = found
    if style is not _BRACKETS and numbers[0] != 1:
        return [Point((), _flat(text))]
    heads = [(numbers, 0, end)]
    for match in style.marks.finditer(text, end):
        numbers = _numbers(style, match[0])
        if numbers and _goes_on(text, match.start(), style, heads[-1][0][-1], numbers[0]):
            heads.append((numbers, match.start(), match.end()))
    ends = [*(start for _, start, _ in heads[1:]), len(text)]
    return [Point(numbers, _flat(text[begin:stop])) for (numbers, _, begin), stop in zip(heads, ends, strict=True)]


def reference_points(text: str) -> list[Point]:
    """Return the parts of a 참조조문 or 참조판례 with the numbers of the issues that they belong to, in order."""
    parts: list[tuple[tuple[int, ...], list[str]]] = []
    for piece in _pieces(_tidy(text)):
        found = _first(piece)
        if found:
            parts.append((found[1], [piece[found[2] :]]))
        elif parts:
            parts[-1][1].append(piece)
        else:
            parts.append(((), [piece]))
    read = (Point(numbers, _flat(" ".join(pieces))) for numbers, pieces in parts)
    return [point for point in read if point.text]


def aligned(precedent: Precedent) -> list[Issue]:
    """Return a case's issues, each with its holding and its references; none where the case has no 판시사항.

    A case with one issue has everything belong to it. With several issues a text without numbers belongs to none of them, and each
    issue says so in `unnumbered`.
    """
    issues = points(precedent.issues)
    fields = {
        "holdings": points(precedent.holdings),
        "statutes": reference_points(precedent.statutes),
        "cases": reference_points(precedent.cases),
    }
    if len(issues) == 1 and len(issues[0].numbers) < 2:
        number = issues[0].numbers[0] if issues[0].numbers else None
        holding, statutes, cases = (_joined(name, parts) for name, parts in fields.items())
        return [Issue(number, issues[0].text, holding, statutes, cases)]
    unnumbered = tuple(name for name, parts in fields.items() if any(not part.numbers for part in parts))
    found = []
    for issue in issues:
        for number in issue.numbers:
            holding, statutes, cases = (_joined(name, [part for part in parts if number in part.numbers]) for name, parts in fields.items())
            found.append(Issue(number, issue.text, holding, statutes, cases, unnumbered))
    return found


def _joined(name: str, parts: list[Point]) -> str:
    return (" " if name == "holdings" else " / ").join(dict.fromkeys(part.text for part in parts if part.text))


def _pieces(text: str) -> list[str]:
    """Cut a text wherever a part could begin: after a slash, at a line, at a bracketed number."""
    starts = {0, len(text)}
    starts.update(match.end() for match in _PART.finditer(text))
    starts.update(match.start() for match in _BRACKETS.marks.finditer(text))
    return [text[begin:end] for begin, end in pairwise(sorted(starts))]


def _first(text: str) -> tuple[_Style, tuple[int, ...], int] | None:
    """Return the style, the numbers and the end of the marks that a text begins with."""
    for style in _STYLES:
        if (match := style.marks.match(text)) and (numbers := _numbers(style, match[0])):
            return style, numbers, match.end()
    return None


def _numbers(style: _Style, marks: str) -> tuple[int, ...]:
    numbers: list[int] = []
    end = 0
    for match in style.one.finditer(marks):
        value = style.value(match[0])
        if numbers and _RANGE.search(marks, end, match.start()):
            numbers.extend(range(numbers[-1] + 1, value))
        numbers.append(value)
        end = match.end()
    return tuple(numbers) if numbers == sorted(set(numbers)) else ()


def _goes_on(text: str, start: int, style: _Style, last: int, number: int) -> bool:
    begins_line = text[start - 1] == "\n"
    if style is _BRACKETS:
        return number == last + 1 or (begins_line and number > last)
    if style is _STYLES[1] and not begins_line:
        return number == last + 1 and text[start - 1] in _BOUNDARY
    return begins_line and last < number <= last + 3


def _tidy(text: str) -> str:
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.split("\n"))))


def _flat(text: str) -> str:
    return " ".join(text.split()).strip(" /,")
