"""What a text cites of statutes, as it is written: which law, which article, which 항 and 호. Whether they exist is `resolver.py`'s matter.

    구 지방세법(1984. 12. 24. 법률 제3757호로 개정되기 전의 것) 제48조, 제105조 제2항, 같은 법 시행령 제73조 내지 제75조, 부칙 제3항

is a stream of tokens (articles, paragraphs, remarks in brackets …) with words between them; a law's name is the words before an
article. Every repetition in the expressions has a limit, so that reading is linear in the text's length whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple, TypeVar

from retrieval_ko.legal.law_names import NAME_LIMIT_CHARACTERS, LawNames, LawReference

_Value = TypeVar("_Value", int, str)

_GAP = r"\s{0,40}"
_LIST = rf"(?:{_GAP}[,·ㆍ・]{_GAP}\d{{1,4}}(?!\d)){{0,9}}"
_BRANCH = rf"{_GAP}의{_GAP}"
_TOKEN = re.compile(
    rf"""
    (?P<subitem>\({_GAP}[가-하]{_GAP}\){_GAP}목|(?<![가-힣])[가-하]{_GAP}목)
  | (?P<annex>[\[(［]?{_GAP}(?:별표|별지){_GAP}(?:제?{_GAP}\d{{1,3}}(?:{_BRANCH}\d{{1,3}})?{_GAP}(?:호{_GAP})?)?(?:서식{_GAP})?[\])］]?)
  | (?P<remark>\([^()]{{0,400}}(?:\([^()]{{0,200}}\)[^()]{{0,400}}){{0,4}}\)|[\[{{〔［][^\[\]{{}}〔〕［］]{{0,400}}[\]}}〕］])
  | (?P<article>
        제{_GAP}(?P<number>\d{{1,4}}{_LIST}(?:-{_GAP}\d{{1,3}})?){_GAP}조(?:{_BRANCH}(?P<branch>\d{{1,3}}))?
      | (?<=[\s,.·ㆍ및]) (?P<bare>\d{{1,4}}){_GAP}조(?:{_BRANCH}(?P<bare_branch>\d{{1,3}}))?(?=[\s,./)\]]|$)
    )
  | (?P<paragraph>(?<!\d)(?:제{_GAP})?(?P<paragraphs>\d{{1,3}}{_LIST}){_GAP}항)
  | (?P<item>(?<!\d)(?:제{_GAP})?(?P<items>\d{{1,3}}{_LIST}){_GAP}호(?:{_BRANCH}(?P<item_branch>\d{{1,3}}))?)
  | (?P<same_article>(?:같은|동|위|同){_GAP}조(?![가-힣])(?:{_BRANCH}\d{{1,3}})?)
  | (?P<supplement>부{_GAP}칙)
  | (?P<range>내지|부터|까지|[~∼～]|(?<=[조항호\d]){_GAP}-{_GAP}(?=제))
  | (?P<detail>(?<![가-힣])(?:단서|본문|전문|후문|전단|후단|각{_GAP}[호목항]|(?:같은|동){_GAP}[항호])(?![가-힣]))
    """,
    re.VERBOSE,
)
_OLD_REMARK = re.compile(
    r"(?:되기|하기|되지|기)?\s{0,9}전의|되기\s{0,9}전|폐지|개정된\s{0,9}것"
    r"|(?:법률|령|규칙|조례)\s{0,9}제\s{0,9}\d{1,6}\s{0,9}호|법률로\s{0,9}대체"
)


class Mention(NamedTuple):
    """One article that a text mentions, or one range of articles, an annex, a supplementary provision.

    Args:
        article: `제3조의2`; empty for an annex and for a 부칙 of which no 조 is named.
        until: the last article of a range; empty otherwise.
        paragraphs: 항.
        items: 호.
        span: where it stands in the text: from the article to the last 항 or 호.
    """

    law: LawReference
    article: str
    until: str
    paragraphs: tuple[int, ...]
    items: tuple[str, ...]
    supplementary: bool
    annex: bool
    span: tuple[int, int]


class Reader:
    """Reads mentions; a law that was named is carried on from text to text, as it is through the parts of a 참조조문.

    Args:
        is_name: tells whether a key (see `law_names.name_key`) is the name of a law.
    """

    def __init__(self, is_name: Callable[[str], bool]) -> None:
        self._laws = LawNames(is_name)
        self._supplementary = False

    def read(self, text: str) -> Iterator[Mention]:
        """Yield the mentions of a text in order."""
        mentions = _Mentions()
        words = ""  # since the last token that is no remark
        end = 0
        begins = True
        for token in _TOKEN.finditer(text):
            words = (words + text[end : token.start()])[-2 * NAME_LIMIT_CHARACTERS :]
            end = token.end()
            if token.lastgroup == "remark":
                if _OLD_REMARK.search(token[0]) and self._marks_old(words, mentions, begins=begins):
                    words = ""
                continue
            named = self._named(words, begins=begins)
            words, begins = "", False
            if named:
                mentions.close()
            self._add(token, mentions, named=named)
        self._named((words + text[end:])[-2 * NAME_LIMIT_CHARACTERS :], begins=begins)
        yield from mentions.without_announcements()

    def _named(self, words: str, *, begins: bool) -> bool:
        named = self._laws.read(words, begins=begins)
        self._supplementary = self._supplementary and not named
        return named

    def _marks_old(self, words: str, mentions: _Mentions, *, begins: bool) -> bool:
        """Apply a remark to the law named before it, or else to the article before it; tell whether it was a law."""
        if self._named(words, begins=begins):
            self._laws.mark_old()
            mentions.close()
            return True
        if mentions.open:
            mentions.mark_old()
        elif begins:
            self._laws.mark_old()
        return False

    def _add(self, token: re.Match[str], mentions: _Mentions, *, named: bool) -> None:
        kind, span = token.lastgroup, token.span()
        law = self._laws.last or LawReference("", "")
        if kind == "article":
            mentions.articles([Mention(law, number, "", (), (), self._supplementary, False, span) for number in _numbers(token)])
        elif kind == "same_article":
            mentions.articles([Mention(law, mentions.last_article, "", (), (), self._supplementary, False, span)])
        elif kind == "annex":
            mentions.apart(Mention(law, "", "", (), (), self._supplementary, True, span))
        elif kind == "supplement":
            self._supplementary = True
            mentions.apart(Mention(law, "", "", (), (), True, False, span))
        elif kind == "range":
            mentions.ranged = True
        elif kind == "paragraph" and not named:
            mentions.paragraphs([int(number) for number in re.findall(r"\d+", token["paragraphs"])], span[1])
        elif kind == "item" and not named:
            *others, last = re.findall(r"\d+", token["items"])
            mentions.items([*others, last + (f"의{token['item_branch']}" if token["item_branch"] else "")], span[1])


class _Mentions:
    """The mentions of one text so far; 항 and 호 go to the last of them."""

    def __init__(self) -> None:
        self._found: list[Mention] = []
        self.open = False  # an article stands right before, without a law named since
        self.ranged = False  # 내지 stands before

    @property
    def last_article(self) -> str:
        return self._found[-1].article if self._found else ""

    def close(self) -> None:
        self.open = self.ranged = False

    def mark_old(self) -> None:
        self._found[-1] = self._found[-1]._replace(law=replace(self._found[-1].law, old=True))

    def articles(self, mentions: list[Mention]) -> None:
        if self.ranged and self.open and self.last_article:
            last = self._found[-1]
            self._found[-1] = last._replace(until=mentions[0].article, span=(last.span[0], mentions[0].span[1]))
        else:
            self._found.extend(mentions)
        self.open, self.ranged = True, False

    def apart(self, mention: Mention) -> None:
        self._found.append(mention)
        self.close()

    def paragraphs(self, numbers: list[int], end: int) -> None:
        if self._found:
            last = self._found[-1]
            if self.ranged and last.paragraphs and last.paragraphs[-1] < numbers[0]:
                numbers = [*range(last.paragraphs[-1] + 1, numbers[0]), *numbers]
            self._found[-1] = last._replace(paragraphs=_each_once((*last.paragraphs, *numbers)), span=(last.span[0], end))
            self.ranged = False

    def items(self, numbers: list[str], end: int) -> None:
        if self._found:
            last = self._found[-1]
            self._found[-1] = last._replace(items=_each_once((*last.items, *numbers)), span=(last.span[0], end))
            self.ranged = False

    def without_announcements(self) -> Iterator[Mention]:
        """Leave out a `부칙` that only announces the article after it."""
        for position, mention in enumerate(self._found):
            following = self._found[position + 1] if position + 1 < len(self._found) else None
            bare = mention.supplementary and not (mention.article or mention.annex or mention.paragraphs)
            if not (bare and following and following.supplementary and following.article):
                yield mention


def _each_once(values: tuple[_Value, ...]) -> tuple[_Value, ...]:
    return tuple(dict.fromkeys(values))


def _numbers(token: re.Match[str]) -> list[str]:
    """Return the article numbers of a token: `제2, 3조의2` names 제2조 and 제3조의2."""
    if token["bare"]:
        return [_article(token["bare"], token["bare_branch"])]
    *others, last = re.findall(r"\d+(?:-\d+)?", re.sub(r"\s*-\s*", "-", token["number"]))
    return [*(_article(number, None) for number in others), _article(last, token["branch"])]


def _article(number: str, branch: str | None) -> str:
    parts = "-".join(str(int(part)) for part in number.split("-"))
    return f"제{parts}조" + (f"의{int(branch)}" if branch and int(branch) else "")
