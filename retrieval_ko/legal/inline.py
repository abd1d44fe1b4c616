"""Articles of administrative rules: law.go.kr gives each as one line, in which 항, 호 and 목 run on.

    제3조(정의) 이 규정에서 … 다음 각호와 같다. 1. "검사"란 … 2. "제재"란 … 가. …

A mark counts only where it is the next of its sequence (② after ①, 2. after 1., 나. after 가.); 호 only after words that announce
them (다음, 각 호), a lone 목 too. What is not recognised stays in the text, in its place.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator

from retrieval_ko.legal.cleaning import split_title, without_remarks
from retrieval_ko.legal.drafting import ArticleDraft
from retrieval_ko.legal.numbering import ARTICLE_NUMBER, CIRCLED_CLASS, SUBITEM_LABELS, item_order, number_of
from retrieval_ko.legal.structure import Article

_ARTICLE = re.compile(rf"\s*({ARTICLE_NUMBER})(?=[\s(<＜\[]|삭|$)\s*(.*)$", re.DOTALL)
_ARTICLE_WITHIN = re.compile(rf"(?:^|(?<=[\s>]))(?<!」\s)(?<!\s법\s)(?<!\s영\s)(?<!규칙\s)(?={ARTICLE_NUMBER}\s*(?:\(|삭\s?제|<\s?삭))")
_HEADING = r"제\d+[편장절관](?:의\d+)?(?=[\s<]|$)"
_HEADING_ALONE = re.compile(rf"\s*{_HEADING}")
_HEADING_AT_THE_END = re.compile(rf"(?<=[.\]>＞\u3000])(?:\s+{_HEADING}(?:\s[^.()「」]{{0,60}})?)+$")
_HEADING_BEFORE_AN_ARTICLE = re.compile(rf"(?:\s+{_HEADING}(?:\s(?!및|또는)[^.()「」]{{0,60}})?)+$")
_PARAGRAPH_MARK = re.compile(rf"(?:^|(?<=\s))({CIRCLED_CLASS})\s*")
_ITEM_MARK = re.compile(r"(?<!\d\.)(?:^|(?<=\s))(\d{1,3}(?:의\d+)*)\.\s+")
_SUBITEM_MARK = re.compile(r"(?:^|(?<=\s))([가-힣])\.\s+")
_DELETED_WITHIN = re.compile(r"(?:^|(?<=\s))(?:\d+(?:의\d+)*|[가-힣])\.\s+삭\s?제(?=\s|$)")
_ANNOUNCED = re.compile(r"다음|각\s*[호목]")


def read_articles(elements: list[str]) -> tuple[Article, ...]:
    """Read a rule's 조문내용: an article or a chapter heading an element."""
    drafts: list[tuple[str, list[str]]] = []
    for text in elements:
        if _HEADING_ALONE.match(text):
            continue
        if found := _ARTICLE.match(text):
            drafts.append((found[1], [_HEADING_AT_THE_END.sub("", found[2].rstrip())]))
        elif drafts:
            drafts[-1][1].append(text)
    return tuple(_article(number, " ".join(parts)) for number, parts in drafts)


def cut(text: str) -> Iterator[str]:
    """Cut the whole text of a rule, given as one string, where its articles begin; leave out the headings between them.

    A reference can look like the beginning of an article (`제4-4조(보고사항)` within 제3-13조); the true ones are those that
    rise: the longest strictly rising sequence.
    """
    starts = [found.start() for found in _ARTICLE_WITHIN.finditer(text)]
    starts = _longest_rise(starts, lambda start: _article_order(text[start:]))
    for begin, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield _HEADING_BEFORE_AN_ARTICLE.sub("", text[begin:end].rstrip())


def _article_order(text: str) -> tuple[int, int, int]:
    found = re.match(r"제(\d+)(?:-(\d+))?조(?:의(\d+))?", text)
    chapter, number, branch = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return chapter, number, branch


def _longest_rise(values: list[int], order: Callable[[int], tuple[int, int, int]]) -> list[int]:
    tails: list[tuple[int, int, int]] = []
    last_of: list[int] = []
    before: dict[int, int | None] = {}
    for value in values:
        place = bisect_left(tails, order(value))
        if place < len(tails) and tails[place] == order(value):
            continue  # the first of two equal ones is the article, the second refers to it
        before[value] = last_of[place - 1] if place else None
        tails[place:] = [order(value), *tails[place + 1 :]]
        last_of[place:] = [value, *last_of[place + 1 :]]
    chain: list[int] = []
    link = last_of[-1] if last_of else None
    while link is not None:
        chain.append(link)
        link = before[link]
    return chain[::-1]


def _article(number: str, text: str) -> Article:
    title, rest = split_title(without_remarks(text))
    draft = ArticleDraft(number, title)
    lead, paragraphs = _split(
        rest, _PARAGRAPH_MARK, lambda last, mark: number_of(mark) == (number_of(last) or 0) + 1 if last else mark == "①"
    )
    _add_items(draft, lead)
    for mark, part in paragraphs:
        draft.paragraph(number_of(mark) or 0, "")
        _add_items(draft, part)
    return draft.finish()


def _add_items(draft: ArticleDraft, text: str) -> None:
    lead, items = _split(text, _ITEM_MARK, _next_item, announced=_ANNOUNCED)
    draft.more([_DELETED_WITHIN.sub("", lead) if not items else lead])
    for number, part in items:
        item_lead, subitems = _split(part, _SUBITEM_MARK, _next_subitem)
        if len(subitems) == 1 and not _ANNOUNCED.search(item_lead):
            item_lead, subitems = part, []
        draft.item(number, item_lead if subitems else _DELETED_WITHIN.sub("", item_lead))
        for label, subitem in subitems:
            draft.subitem(label, subitem)


def _next_item(last: str, mark: str) -> bool:
    number, order = item_order(mark), item_order(last) if last else (0,)
    return number == (order[0] + 1,) or (bool(last) and number == (order[0], (order[1] if len(order) > 1 else 1) + 1))


def _next_subitem(last: str, mark: str) -> bool:
    place = SUBITEM_LABELS.find(mark)
    return place >= 0 and place == (SUBITEM_LABELS.index(last) + 1 if last else 0)


def _split(
    text: str, marks: re.Pattern[str], follows: Callable[[str, str], bool], *, announced: re.Pattern[str] | None = None
) -> tuple[str, list[tuple[str, str]]]:
    """Split `text` at the marks that follow one another; return what stands before the first, and (mark, text) of each."""
    found: list[re.Match[str]] = []
    for match in marks.finditer(text):
        last = found[-1][1] if found else ""
        if follows(last, match[1]) and (found or not announced or announced.search(text[: match.start()])):
            found.append(match)
    if not found:
        return text, []
    ends = [*(match.start() for match in found[1:]), len(text)]
    parts = [(match[1], text[match.end() : end].strip()) for match, end in zip(found, ends, strict=True)]
    return text[: found[0].start()].strip(), parts
