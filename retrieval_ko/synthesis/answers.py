"""Queries out of what models really answer: numbered lists, bullets, JSON, quotation marks, and chatter around them."""

from __future__ import annotations

import json
import re
from typing import Any

from retrieval_ko.text import normalize

_THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^\s*```.*$", re.MULTILINE)

_LABEL = r"(?:검색어|질의어?|질문형?|쿼리|키워드형?|핵심어|일상어|일상 표현|구어체?|query|question|keywords?|q)"
_MARKERS = (
    re.compile(r"[-–—*•·‣▪◦>+]+\s+"),  # "- 보증금 반환"
    re.compile(r"[•·‣▪◦]\s*"),
    re.compile(r"\(?\d{1,2}[.):](?!\d)\s*"),  # "1. ", "(2) ", but neither "1.5톤" nor "1:1 상담"
    re.compile(r"\[\d{1,2}\]\s*"),
    re.compile(r"[①-⑳]\s*"),
    re.compile(r"\d{1,2}번째(?: 줄)?\s*[:：]\s*"),
    re.compile(rf"{_LABEL}\s*\d{{0,2}}\s*(?:\([^)]*\)\s*)?[:：]\s*", re.IGNORECASE),
    re.compile(rf"[(\[]{_LABEL}[)\]]\s*", re.IGNORECASE),
)
_TRAILING_LABEL = re.compile(rf"\s*[(\[]{_LABEL}[)\]]$", re.IGNORECASE)
_QUOTES = tuple(pair.split() for pair in ('" "', "' '", "“ ”", "‘ ’", "「 」", "『 』", "« »", "` `", "** **", "__ __", "< >"))

_CHATTER = (
    re.compile(r".*[:：]\s*[\[{]*"),  # "검색어 3개:", "Here are three queries:", and the head of JSON that was cut off
    re.compile(r"[-–—=_*#\s.,\[\]{}()\"]*"),
    re.compile(r"#+\s.*"),
    re.compile(r"(?:sure|certainly|of course|okay|here (?:are|is)|these (?:queries|are)|i hope|let me know|note)\b.*", re.IGNORECASE),
    re.compile(r"(?:네|예|물론(?:입니다|이죠)?|알겠습니다|좋습니다)[,.!]+.*"),
    re.compile(r"(?=.*(?:검색어|질문|질의|쿼리|문서|이 글|위 글|도움이 되)).*(?:니다|드려요|드릴게요|했어요)[.!]*"),
    re.compile(r"(?:더|추가로?|다른|혹시).*(?:필요|원하)(?:하|시).*(?:세요|니다|까요)[.!?]*"),
)
_JSON_KEYS = ("query", "question", "text", "검색어", "질문", "질의")


def parse_queries(answer: str) -> list[str]:
    """Return the queries of an answer in their order, in NFC, without the marks and words around them.

    Where an answer has two or more lines that are marked as items of a list, the lines without a mark are chatter.
    """
    answer = _FENCE.sub("", _THOUGHTS.sub("", answer))
    found = _from_json(answer)
    if found is None:
        found = _from_lines(answer)
    queries = (_unwrapped(normalize(query)) for query in found)
    return [query for query in queries if any(char.isalpha() for char in query)]


def _from_lines(answer: str) -> list[str]:
    lines = [line for line in (normalize(line) for line in answer.splitlines()) if line]
    unmarked = [_without_marker(line) for line in lines]
    items = [item for line, item in zip(lines, unmarked, strict=True) if item != line and not _is_chatter(item)]
    return items if len(items) >= 2 else [item for item in unmarked if not _is_chatter(item)]


def _is_chatter(line: str) -> bool:
    return any(pattern.fullmatch(line) for pattern in _CHATTER)


def _without_marker(line: str) -> str:
    """Return the line without all its marks, as in `1. **질문:** …`."""
    while True:
        bare = _unwrapped(line)
        bare = re.sub(r"^(\*\*|__)([^*_]{1,20}?)\1\s*", r"\2 ", bare)
        for marker in _MARKERS:
            bare = marker.sub("", bare, count=1) if marker.match(bare) else bare
        if bare == line:
            return _TRAILING_LABEL.sub("", bare)
        line = bare


def _unwrapped(text: str) -> str:
    """Return the text without quotation marks or emphasis around the whole of it, and without a comma after it."""
    text = text.strip().rstrip(",").strip()
    for left, right in _QUOTES:
        inner = text[len(left) : -len(right)]
        if len(text) > len(left) + len(right) and text.startswith(left) and text.endswith(right) and left not in inner:
            return _unwrapped(inner)
    return text


def _from_json(answer: str) -> list[str] | None:
    """Return the queries of the first JSON value that holds some, None where the answer has none."""
    decoder = json.JSONDecoder()
    for start in (match.start() for match in re.finditer(r"[\[{]", answer)):
        try:
            value, _ = decoder.raw_decode(answer, start)
        except (ValueError, RecursionError):
            continue
        if found := _strings_in(value):
            return found
    return None


def _strings_in(value: Any) -> list[str]:  # noqa: ANN401  any JSON value
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _strings_in(item)]
    if isinstance(value, dict):
        named = [value[key] for key in _JSON_KEYS if key in value]
        lists = [item for item in value.values() if isinstance(item, list)]
        numbered = [item for key, item in value.items() if re.search(r"\d$", key) and isinstance(item, str)]
        return [text for item in named or lists or numbered for text in _strings_in(item)]
    return []
