"""Precedents, case by case, from law.go.kr JSON and legalize-kr Markdown; what was wrong with which file.

Both name their parts alike: 판시사항 (the issues decided), 판결요지 (the holdings), 참조조문 (statutes cited), 참조판례 (cases cited).
In JSON they are fields, with `<br/>` for a line break; in Markdown they are `## ` sections below the front matter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from retrieval_ko.compressed import Readable
from retrieval_ko.errors import DataError
from retrieval_ko.legal.document import Document, load
from retrieval_ko.legal.identity import iso_date, required
from retrieval_ko.legal.passages import ID_PREFIXES
from retrieval_ko.legal.reading import Problem
from retrieval_ko.legal.registry import PRECEDENT, type_of
from retrieval_ko.text import normalize

TEXT_LIMIT_CHARACTERS = 200_000
"""About ten times the longest 판결요지 of 73,135 cases; a longer text is not the summary of a case."""

SECTIONS = ("판시사항", "판결요지", "참조조문", "참조판례")

_LINE_BREAK = re.compile(r"<\s*br\s*/?\s*>|\r\n?", re.IGNORECASE)
_RULING = re.compile(r"판결|결정|명령")
_CASE_SIGN = re.compile(r"\d+([가-힣]+)\d")
_JUDGMENT_SIGNS = frozenset(
    [
        "다",
        "도",
        "누",
        "다카",
        "후",
        "므",
        "민상",
        "형상",
        "추",
        "감도",
        "재다",
        "재누",
        "재도",
        "재두",
        "행상",
        "수",
        "오",
        "나",
        "노",
        "구",
        "구합",
        "구단",
        "가합",
        "가단",
        "가소",
        "고합",
        "고단",
        "고정",
        "드",
        "드합",
        "드단",
        "르",
        "허",
    ]
)
_DECISION_SIGNS = frozenset(
    [
        "마",
        "모",
        "그",
        "스",
        "라",
        "로",
        "브",
        "재마",
        "카기",
        "초기",
        "민재항",
        "형재항",
        "민항",
        "형항",
        "헌가",
        "헌마",
        "헌바",
        "헌라",
        "헌나",
        "헌사",
    ]
)
"""Case signs that mean a judgment (선고 … 판결) or a decision (…자 … 결정); others (두, 사, 무 …) can be either."""


@dataclass(frozen=True, slots=True)
class Precedent:
    """A case and what its reporter says about it. Texts keep their line breaks, one blank between words; empty where there is none.

    Args:
        serial: 판례일련번호.
        case_number: as the source writes it, `2008다8690, 8706`.
        decided: ISO; empty where the source has no date.
        ruling: 판결, 결정 or 명령; empty where neither the source nor the case's sign tells.
        issues: 판시사항.
        holdings: 판결요지.
        statutes: 참조조문.
        cases: 참조판례.
    """

    serial: str
    case_number: str
    case_name: str
    court: str
    decided: str
    ruling: str
    issues: str
    holdings: str
    statutes: str
    cases: str

    @property
    def passage_id(self) -> str:
        """`PREC_100005`."""
        return f"{ID_PREFIXES['prec']}_{self.serial}"

    @property
    def citation(self) -> str:
        """`대법원 1983. 12. 27. 선고 83다카644 판결`; without what is not known."""
        date = ". ".join(part.lstrip("0") for part in self.decided.split("-")) + "." if self.decided else ""
        if date:
            date += "자" if self.ruling in {"결정", "명령"} else " 선고"
        return " ".join(filter(None, [self.court, date, self.case_number, self.ruling]))

    @property
    def heading(self) -> str:
        """`대법원 1983. 12. 27. 선고 83다카644 판결 (손해배상)`."""
        return f"{self.citation} ({self.case_name})" if self.case_name else self.citation


@dataclass(slots=True)
class PrecedentReport:
    """What was read, what was left out on purpose, and what was wrong.

    Args:
        precedents: cases read, by court.
        undated: cases without a date of decision; they are read.
        empty: cases of which the source has neither 판시사항 nor 판결요지, 참조조문 or 참조판례; they are left out.
        passed_over: known documents that belong to another step, by type.
    """

    files: int = 0
    precedents: Counter[str] = field(default_factory=Counter)
    undated: int = 0
    empty: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


def read_precedents(paths: Iterable[Readable], report: PrecedentReport, *, strict: bool = False) -> Iterator[Precedent]:
    """Yield the case in each file, one at a time. Problems go to `report`; the rest goes on.

    Statutes and rules are passed over. Two files with one 판례일련번호: the first is kept.

    Raises:
        DataError: with `strict`, the first problem.
    """
    file_of_serial: dict[str, Readable] = {}
    for path in paths:
        report.files += 1
        try:
            precedent = _read(path, report, file_of_serial)
        except DataError as error:
            problem = Problem(str(path), error.problem.removeprefix(f"Cannot read {path}: ").removeprefix(str(path)).lstrip(":, "))
            if strict:
                raise DataError(f"{problem}", "Without --strict, files like this one are reported and the rest goes on.") from error
            report.problems.append(problem)
            continue
        if precedent:
            yield precedent


def _read(path: Readable, report: PrecedentReport, file_of_serial: dict[str, Readable]) -> Precedent | None:
    document = load(path)
    document_type = type_of(document)
    if document_type is not PRECEDENT:
        report.passed_over[document_type.name] += 1
        return None
    precedent = read_precedent(document)
    if precedent.serial in file_of_serial:
        earlier = file_of_serial[precedent.serial]
        raise DataError(f"{path}: the 판례일련번호 {precedent.serial} was read before, in {earlier}; this file is left out.")
    file_of_serial[precedent.serial] = path
    texts = (precedent.issues, precedent.holdings, precedent.statutes, precedent.cases)
    if not any(texts):
        report.empty += 1
        return None
    if (longest := max(map(len, texts))) > TEXT_LIMIT_CHARACTERS:
        raise DataError(f"{path}: a section has {longest:,} characters (limit {TEXT_LIMIT_CHARACTERS:,}); the case is left out.")
    report.undated += not precedent.decided
    report.precedents[precedent.court] += 1
    return precedent


def read_precedent(document: Document) -> Precedent:
    """Read one case from either format.

    Raises:
        DataError: the 판례일련번호 or the case number is missing, a section is not text, or the date is none.
    """
    path, fields = document.path, document.fields
    sections = _sections(document.body) if document.body else {name: _text(path, fields.get(name), name) for name in SECTIONS}
    case_number = required(path, fields, "사건번호")
    date = fields.get("선고일자")
    decided = iso_date(date)
    if date and not decided:
        raise DataError(f"{path}: the 선고일자 {date!r} is no date.")
    return Precedent(
        serial=required(path, fields, "판례일련번호", is_id=True),
        case_number=case_number,
        case_name=_name(fields.get("사건명")),
        court=_name(fields.get("법원명")),
        decided=decided,
        ruling=_ruling(fields.get("판결유형"), case_number),
        issues=sections.get("판시사항", ""),
        holdings=sections.get("판결요지", ""),
        statutes=sections.get("참조조문", ""),
        cases=sections.get("참조판례", ""),
    )


def _sections(body: list[str]) -> dict[str, str]:
    lines: dict[str, list[str]] = {}
    name = ""
    for line in body:
        if line.startswith("## ") and line[3:].strip() in SECTIONS:
            name = line[3:].strip()
            lines.setdefault(name, [])
        elif line.startswith(("# ", "## ")):
            name = ""
        elif name:
            lines[name].append(line)
    return {name: _tidy(part) for name, part in lines.items()}


def _text(path: Readable, value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{path}: expected text in {name}, found {type(value).__name__}.")
    return _tidy(_LINE_BREAK.sub("\n", value).split("\n"))


def _tidy(lines: Iterable[str]) -> str:
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))


def _name(value: object) -> str:
    return normalize(value) if isinstance(value, str) else ""


def _ruling(given: object, case_number: str) -> str:
    if isinstance(given, str) and (found := _RULING.search(given)):
        return found[0]
    sign = _CASE_SIGN.search(case_number)
    if sign and sign[1] in _JUDGMENT_SIGNS:
        return "판결"
    return "결정" if sign and sign[1] in _DECISION_SIGNS else ""
