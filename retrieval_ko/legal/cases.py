"""Cases that a text cites (참조판례, 판결요지), looked up among the precedents that are there, or a reason why not.

대법원 1992. 1. 21. 선고 91도1402 전원합의체 판결(공1992, 951), 1989.9.29. 선고 89다카5994, 6000 판결
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from retrieval_ko.legal.precedents import Precedent

_NUMBER = r"\d{2,4}년?(?:[가-힣]{1,4}|\s?(?:다카|다|도|누|마|므|후|두|그|민상|형상|나|노)\s?)\d{1,7}"
_JOINED = r"(?:\([가-힣]{1,4}\))?(?:\s?[,·ㆍ]\s?(?:\d{2,4}[가-힣]{1,4})?\d{1,7}(?!\d|\s?\.)(?:\([가-힣]{1,4}\))?){0,40}"
_BEGINS = r"(?<!\d)(?:(?<![가-힣])|(?<=선고)|(?<=법)|(?<=법원)|(?<=지원)|(?<=\d자)|(?<=\.자))"
_CASES = re.compile(rf"{_BEGINS}({_NUMBER})(?![\d조항호])({_JOINED})")
_DATE = re.compile(r"(\d{4})\s?\.\s?(\d{1,2})\s?\.\s?(\d{1,2})\s?\.?\s?(?:선고|자|고지|결정)?\s?,?\s?$")
_COURT = re.compile(r"(?:대법원|헌법재판소|[가-힣]{2,12}(?:법원|고법|지법|가법|지원))$")
_SIGN = re.compile(r"(\d{2,4})년?([가-힣]{1,4})(\d{1,7})")
_LOOK_BACK = 60
_SHORT_COURTS = {"고법": "고등법원", "지법": "지방법원", "가법": "가정법원"}


class CaseReason(StrEnum):
    """Why a cited case is not one of the precedents."""

    UNKNOWN = "case not known"
    SEVERAL = "number is of several decisions"
    ITSELF = "the case itself"


class CaseCitation(NamedTuple):
    """One case cited.

    Args:
        court: empty where the text names none (older lists name it once).
        decided: ISO; empty where the text gives no date.
        numbers: normalised; several for joined cases.
        span: where the numbers stand in the text.
        serials: 판례일련번호 of every record of that decision (sources keep some twice), lowest first; empty where `reason` says why.
    """

    court: str
    decided: str
    numbers: tuple[str, ...]
    span: tuple[int, int]
    serials: tuple[str, ...] = ()
    reason: CaseReason | None = None

    @property
    def serial(self) -> str:
        """The first record of the decision; empty where there is none."""
        return self.serials[0] if self.serials else ""


def case_numbers(text: str) -> tuple[str, ...]:
    """Return the numbers of a case as its source writes it: `2012구합21383, 35313(병합)` is 2012구합21383 and 2012구합35313."""
    found = _CASES.search(text)
    return _expanded(found) if found else ()


def cited_cases(text: str) -> list[str]:
    """Return the case numbers in a text, normalised, in order, each once; of joined cases each number."""
    return list(dict.fromkeys(number for found in _CASES.finditer(text) for number in _expanded(found)))


def case_citations(text: str) -> list[CaseCitation]:
    """Return the cases that a text cites, in order, not yet looked up. A court that is named once holds until another is named."""
    citations = []
    court = ""
    end = 0
    for found in _CASES.finditer(text):
        before = text[max(end, found.start() - _LOOK_BACK) : found.start()]
        date = _DATE.search(before)
        court = _court(before[: date.start()] if date else before) or court
        decided = f"{date[1]}-{int(date[2]):02}-{int(date[3]):02}" if date else ""
        citations.append(CaseCitation(court, decided, _expanded(found), found.span()))
        end = found.end()
    return citations


class CaseIndex:
    """Case numbers, and the precedents that bear them.

    Args:
        precedents: read once; court, date and serial are kept.
    """

    def __init__(self, precedents: Iterable[Precedent]) -> None:
        self._cases: dict[str, list[tuple[str, str, str]]] = {}
        for precedent in precedents:
            case = (_full_name(precedent.court), precedent.decided, precedent.serial)
            for number in case_numbers(precedent.case_number):
                self._cases.setdefault(number, []).append(case)

    def __len__(self) -> int:
        return len(self._cases)

    def resolve(self, text: str, itself: str = "") -> list[CaseCitation]:
        """Return the cases that a text cites, looked up, in order.

        Args:
            text: a 참조판례, or prose.
            itself: serial of the case that cites; it is no precedent of its own.
        """
        return [self._looked_up(citation, itself) for citation in case_citations(text)]

    def _looked_up(self, citation: CaseCitation, itself: str) -> CaseCitation:
        found = list(dict.fromkeys(case for number in citation.numbers for case in self._cases.get(number, [])))
        found = [case for case in found if _agrees(citation, case)]
        dated = [case for case in found if case[1] == citation.decided]
        found = dated or found
        if not found:
            return citation._replace(reason=CaseReason.UNKNOWN)
        if len({case[:2] for case in found}) > 1:
            return citation._replace(reason=CaseReason.SEVERAL)
        serials = sorted({serial for _, _, serial in found}, key=lambda serial: (len(serial), serial))
        if itself in serials:
            return citation._replace(reason=CaseReason.ITSELF)
        return citation._replace(serials=tuple(serials))


def _agrees(citation: CaseCitation, case: tuple[str, str, str]) -> bool:
    """A case of another court, or of another year, is another case; a day that differs is a slip of the pen."""
    court, decided, _ = case
    if citation.court and court and citation.court != court:
        return False
    return not (citation.decided and decided) or citation.decided[:4] == decided[:4]


def _court(before: str) -> str:
    """Return the court that the last words name, `서울고등법원` or `광주지법 순천지원`; empty where they name none."""
    words = re.split(r"[\s\])/,.]+", before.rstrip())
    if not _COURT.fullmatch(words[-1]):
        return ""
    seat = words[-2] if words[-1].endswith("지원") and len(words) > 1 and _COURT.fullmatch(words[-2]) else ""
    return _full_name(seat + words[-1])


def _full_name(court: str) -> str:
    name = "".join(court.split())
    for short, full in _SHORT_COURTS.items():
        name = re.sub(rf"(?<=[가-힣]){short}", full, name)
    return name


def _expanded(found: re.Match[str]) -> tuple[str, ...]:
    numbers = []
    year = sign = ""
    for part in re.findall(r"(?:\d{2,4}년?[가-힣]{1,4})?\d{1,7}", re.sub(r"\([가-힣]{1,4}\)|(?<=[가-힣\d])\s(?=[가-힣\d])", "", found[0])):
        if named := _SIGN.fullmatch(part):
            year, sign, number = named.groups()
        else:
            number = part
        numbers.append(f"{_year(year)}{sign}{int(number)}")
    return tuple(dict.fromkeys(numbers))


def _year(year: str) -> str:
    """Case numbers give two digits up to 1999; `1997다123` is a slip for 97다123."""
    return year[2:] if len(year) == 4 and year.startswith("19") else year
