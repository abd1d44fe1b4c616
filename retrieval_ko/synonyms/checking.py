"""Is a synonym folder sound: its lines, and the wall between its test list and everything that trains."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl
from retrieval_ko.synonyms.building import FILES, TEST_FILE, TRAINING_FILE
from retrieval_ko.synonyms.keys import squeezed
from retrieval_ko.synonyms.splitting import Side, sides_of
from retrieval_ko.text import morphemes_of_many, normalize


class Defect(NamedTuple):
    """What is wrong, and in which line of which file; line 0 is the file as a whole."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


class _Line(NamedTuple):
    file: str
    number: int
    ko: str
    en: str


def check_folder(folder: Path, also: Sequence[Path] = ()) -> list[Defect]:
    """Return every defect of a synonym folder, in the order of its files and lines.

    Args:
        folder: holds synonyms.jsonl, and mostly synonyms-test.jsonl and names.jsonl.
        also: further files that training reads, e.g. a collection's synonyms.jsonl; only looked through for terms of the test list.

    Raises:
        DataError: there is no such folder, or no synonyms.jsonl in it.
    """
    if not (folder / TRAINING_FILE).is_file():
        raise DataError(f"{folder} is no synonym folder: it holds no {TRAINING_FILE}.", "sparse-ko data synonyms build --help")
    defects: list[Defect] = []
    lines = {path: _read(path, defects) for path in (folder / name for name in FILES) if path.is_file()}
    for members in lines.values():
        defects += _repetitions(members)
    lines |= {path: _read(path, []) for path in also}
    test = lines.pop(folder / TEST_FILE, [])
    defects += shared_sides(test, [line for members in lines.values() for line in members])
    order = {str(path): place for place, path in enumerate([*(folder / name for name in FILES), *also])}
    return sorted(defects, key=lambda defect: (order[defect.file], defect.line, defect.reason))


def _read(path: Path, defects: list[Defect]) -> list[_Line]:
    """Read what can be read; a line that is no JSON or no UTF-8 ends the file, since what follows may be shifted."""
    lines = []
    try:
        for number, row in read_jsonl(path):
            ko, en = row.get("ko"), row.get("en")
            if not isinstance(ko, str) or not isinstance(en, str):
                defects.append(Defect(str(path), number, "has no ko or no en"))
                continue
            defects += [Defect(str(path), number, reason) for reason in _defects_of(ko, en)]
            if ko.strip() and en.strip():
                lines.append(_Line(str(path), number, ko, en))
    except DataError as failure:
        where, _, what = failure.problem.removeprefix(f"{path}, line ").partition(":")
        place = where.split(",")[0]
        is_line = place.isdigit()
        defects.append(Defect(str(path), int(place) if is_line else 0, what.strip() if is_line else failure.problem))
    return lines


def _defects_of(ko: str, en: str) -> Iterator[str]:
    for name, side in (("ko", ko), ("en", en)):
        if not side.strip():
            yield f"{name} is empty"
        elif len(squeezed(side)) < 2:
            yield f"{name} is one character ({side})"
        if not unicodedata.is_normalized("NFC", side):
            yield f"{name} is not in NFC ({side})"
        elif side.strip() and side != normalize(side):
            yield f"{name} holds stray white space or control characters"


def _repetitions(lines: Iterable[_Line]) -> Iterator[Defect]:
    seen: dict[tuple[str, str], int] = {}
    for line in lines:
        first = seen.setdefault((squeezed(line.ko), squeezed(line.en)), line.number)
        if first != line.number:
            yield Defect(line.file, line.number, f"says {line.ko} – {line.en} again, as line {first}")


def shared_sides(test: Sequence[_Line], training: Sequence[_Line]) -> Iterator[Defect]:
    """Yield the training lines that share a term with a test pair, by letters, by morphemes or by words without plural."""
    held: dict[Side, _Line] = {}
    for line, sides in zip(test, _sides(test), strict=True):
        held.update(dict.fromkeys(sides, line))
    offenders: dict[_Line, list[_Line]] = defaultdict(list)
    for line, sides in zip(training, _sides(training), strict=True):
        offenders[line] += sorted({held[side] for side in sides if side in held})
    for line, found in offenders.items():
        for pair in found:
            yield Defect(line.file, line.number, f"{line.ko} – {line.en} shares a term with the test pair {pair.ko} – {pair.en}")


def first_shared_side(test: Path, training: Path) -> str:
    """Say where a training file first shares a term with a test file; empty where it nowhere does. Damaged lines are passed over."""
    return next(map(str, shared_sides(_read(test, []), _read(training, []))), "")


def _sides(lines: Sequence[_Line]) -> Iterator[set[Side]]:
    for line, analysis in zip(lines, morphemes_of_many(normalize(line.ko) for line in lines), strict=True):
        yield sides_of(line.ko, line.en, analysis)
