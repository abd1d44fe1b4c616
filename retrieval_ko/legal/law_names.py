"""The words before an article that name its law: a name, 구 and a name, or words for one named before (같은 법, 동법 시행령, 위 규칙)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

NAME_LIMIT_CHARACTERS = 160
"""The longest name in force has 89 characters."""
_WORD_LIMIT = 40

_IGNORED = {ord(char): None for char in " \t\r\n\u3000\u00a0·ㆍ・‧∙•⋅.,，「」『』()（）[]［］〔〕<>〈〉《》\"'“”‘’`"}
_HANJA = {ord(hanja): hangul for hanja, hangul in zip("憲法民刑商訴訟事行政同稅", "헌법민형상소송사행정동세", strict=True)}
_BOUNDARY = re.compile(r"[\s,，;:/「『(\[“\"'‘.]")
_SEPARATOR = re.compile(r"[,，;/\n]")
_EDGE = " \t\r\n,，.;:/·ㆍ・"
_NO_NAME = re.compile(r"(?:및|또는|이나|내지|과|와|나|의|각|또|위|그리고|중|제|규정한|규정|현행|참조)*+")
_LAW_LIKE = re.compile(
    r"(?:법|법률|률|령|영|칙|규정|조례|정관|협약|조약|협정|의정서|헌장|요령|지침|기준|예규|고시|훈령|약관|강령|요강|규약|규범|포고|칙령|부령|준칙|예)$"
)
_PRONOUN = re.compile(
    r"(?P<which>같은|동|위|이|본|전기|상기|당해|동일)?(?P<old>구)?"
    r"(?:(?P<act>법률?)(?P<of>시행령|시행규칙|시행세칙|시행규정)?"
    r"|(?P<rule>시행령|시행규칙|시행세칙|영|령|규칙|세칙|규정|조례|훈령|예규|지침|협약|조약|고시|기준|요령))"
)
_SEPARATED = re.compile(
    r"(?:^|[,，;/.:)\]}〕］\"”’』」]|(?:^|[\s,])(?:및|또는|와|과|나|이나|그리고|현행|[가-하]|목|호|항|단서|본문))\s{0,40}$"
)
"""A name counts where no other word stands before it: 독일 민법 is not 민법."""
_MARKED_OLD = re.compile(r"(?:^|[\s,，/.)\]])(?:구|개정\s?전(?:의)?|의용|폐지된|제정)\s{0,9}$")
_NOTHING_BEFORE = re.compile(r"(?:^|[,，;/]|및|또는|와|과|구)\s{0,40}$")
"""법, 시행령 and 규칙 alone stand for a law named before; after other words they end the name of one that is not known."""
_LISTED = re.compile(r"\s{0,40}[,，;/\n]")
_TITLE = re.compile(r"[가-힣]{3}[가-힣\s]{0,60}$")
_CONJUNCTION = re.compile(r"^(?:및|또는|그리고|과|와)(?=.)")
_TRAILING = re.compile(r"(?:상의|상|중의|중|소정의|소정|의|규정의|에서정한|은|는|도)$")


def name_key(name: str) -> str:
    """Return a law's name without blanks, dots, commas, quotes and brackets, in which sources differ."""
    return name.translate(_HANJA).translate(_IGNORED)


@dataclass(frozen=True, slots=True)
class LawReference:
    """A law as a text names it.

    Args:
        written: the words, `같은 법 시행령`.
        key: the name that they stand for, as `name_key` gives it; empty where nothing tells.
        old: marked as the wording of another day: 구 …, or `…로 개정되기 전의 것`.
    """

    written: str
    key: str
    old: bool = False


class LawNames:
    """Recognises names, and keeps what was named last: an act, its decree, its rule.

    Args:
        is_name: tells whether a key (see `name_key`) is the name of a law.
    """

    def __init__(self, is_name: Callable[[str], bool]) -> None:
        self._is_name = is_name
        self.last: LawReference | None = None
        self._act: LawReference | None = None
        self._below_act: dict[str, LawReference] = {}

    def read(self, words: str, *, begins: bool) -> bool:
        """Take words for a law's name where they are one; tell whether they are.

        Args:
            words: what stands since the last citation, without remarks in brackets.
            begins: nothing stands before them.
        """
        text = words[-NAME_LIMIT_CHARACTERS:].strip(_EDGE)
        key = name_key(text)
        if not key or _NO_NAME.fullmatch(key):
            return False
        found = self._known(text) or self._unknown(text, key, listed=begins or bool(_LISTED.match(words)))
        if found is None:
            return False
        self._remember(found)
        return True

    def mark_old(self) -> None:
        """What was named last is the wording of another day: a remark says so after its name."""
        if self.last:
            marked = replace(self.last, old=True)
            if self._act is self.last:
                self._act = marked
            self._below_act = {kind: marked if law is self.last else law for kind, law in self._below_act.items()}
            self.last = marked

    def _known(self, text: str) -> LawReference | None:
        starts = [0, *(match.end() for match in _BOUNDARY.finditer(text))][-_WORD_LIMIT:]
        for start in starts:
            written = text[start:]
            key = name_key(written)
            before = text[:start]
            old = bool(_MARKED_OLD.search(before[-20:]))
            alone = old or bool(_SEPARATED.search(before[-60:]))
            for candidate in (key, _CONJUNCTION.sub("", key), _TRAILING.sub("", key)):
                if self._is_name(candidate):
                    return LawReference(written, candidate, old) if alone else None
                if candidate[:1] == "구" and self._is_name(candidate[1:]):
                    return LawReference(written, candidate[1:], old=True)
                found = _PRONOUN.fullmatch(candidate)
                if found and (found["which"] or _NOTHING_BEFORE.search(before[-60:])):
                    return self._pronoun(written, found, old)
        return None

    def _pronoun(self, written: str, found: re.Match[str], old: bool) -> LawReference:
        old = old or bool(found["old"])
        if found["act"]:
            base = self._act
            if found["of"] is None:
                return replace(base, written=written, old=base.old or old) if base else LawReference(written, "", old)
            return _below(base, found["of"], written, old)
        rule = {"영": "령"}.get(found["rule"], found["rule"])
        if self.last and self.last.key.endswith((rule, found["rule"])):
            return replace(self.last, written=written, old=self.last.old or old)
        if rule in {"령", "시행령", "규칙", "시행규칙"}:
            of = "시행령" if rule.endswith("령") else "시행규칙"
            if before := self._below_act.get(of):
                return replace(before, written=written, old=before.old or old)
            return _below(self._act, of, written, old)
        return LawReference(written, "", old)

    def _unknown(self, text: str, key: str, *, listed: bool) -> LawReference | None:
        """Return a law that is not known. In a list all that stands between two commas is a name, whatever it ends in: 군인복무규율."""
        named = _LAW_LIKE.search(key) or _LAW_LIKE.search(_TRAILING.sub("", key))
        if not named and not (listed and _TITLE.search(text)):
            return None
        written = _SEPARATOR.split(text)[-1].strip()
        bare = re.sub(r"^(?:및\s|또는\s)", "", written)
        old = bool(re.match(r"구\s|구(?=[가-힣]{2,40}[법령칙])|의용", bare))
        return LawReference(written, name_key(re.sub(r"^구\s{0,9}", "", bare)), old)

    def _remember(self, law: LawReference) -> None:
        self.last = law
        for suffix in ("시행령", "시행규칙"):
            if law.key.endswith(suffix):
                self._below_act[suffix] = law
                act = law.key.removesuffix(suffix)
                if self._act is None or self._act.key != act:
                    self._act = LawReference(law.written, act, law.old)
                    self._below_act = {suffix: law}
                return
        if law.key.endswith(("법", "법률")) or not self._act:
            self._act = law
            self._below_act = {}


def _below(act: LawReference | None, of: str, written: str, old: bool) -> LawReference:
    return LawReference(written, act.key + of, act.old or old) if act and act.key else LawReference(written, "", old)
