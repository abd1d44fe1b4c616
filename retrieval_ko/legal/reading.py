"""A folder of legal documents, read law by law; what was wrong with which file."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from retrieval_ko.compressed import Archive, Readable
from retrieval_ko.errors import DataError
from retrieval_ko.legal.document import load
from retrieval_ko.legal.registry import type_of
from retrieval_ko.legal.structure import Article, Law

ARTICLE_LIMIT_CHARACTERS = 200_000
"""About ten times the longest article of the 4,820 statutes in force; a text above it is not one article."""

DEFAULT_GLOB = "**/*.*"
SUFFIXES = (".json", ".md")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a file."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(slots=True)
class ReadingReport:
    """What was read, what was left out on purpose, and what was wrong.

    Args:
        laws: statutes and rules by kind.
        articles: articles in force by level (법률, 대통령령 …).
        deleted: articles of which only the word 삭제 is left.
        empty: articles without text: nothing is left once tables are out.
        passed_over: known documents that belong to another step, by type.
    """

    files: int = 0
    laws: Counter[str] = field(default_factory=Counter)
    articles: Counter[str] = field(default_factory=Counter)
    deleted: int = 0
    empty: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


def find_documents(source: Path | Archive, pattern: str = DEFAULT_GLOB) -> list[Readable]:
    """Return the .json and .md files of a folder or an open archive that match `pattern`, in the order of their names in NFC.

    Raises:
        DataError: there is no such folder, the pattern is unusable, or no file matches it.
    """
    named = _names_in_archive(source, pattern) if isinstance(source, Archive) else _names_in_folder(source, pattern)
    found = [(unicodedata.normalize("NFC", name), name, file) for name, file in named if file.suffix.lower() in SUFFIXES]
    if not found:
        where = source.path if isinstance(source, Archive) else source
        raise DataError(f"{where} holds no .json or .md file that matches {pattern!r}.", 'For example: --glob "**/*.md"')
    return [file for _, _, file in sorted(found, key=lambda entry: entry[:2])]


def _names_in_folder(folder: Path, pattern: str) -> list[tuple[str, Readable]]:
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", "Name a folder, or an archive of one (.tar.zst, .tar.gz, .tar).")
    try:
        return [(path.relative_to(folder).as_posix(), path) for path in folder.glob(pattern) if path.is_file()]
    except (ValueError, NotImplementedError, IndexError) as failure:
        raise DataError(f"The pattern {pattern!r} cannot be used: {failure}.", 'For example: --glob "**/*.json"') from failure


def _names_in_archive(archive: Archive, pattern: str) -> list[tuple[str, Readable]]:
    """Return the files whose whole name or its end matches, since an archive may hold its files below any number of folders."""
    endings = (pattern.removeprefix("**/"), f"*/{pattern.removeprefix('**/')}")
    return [(file.name, file) for file in archive.files() if any(fnmatchcase(file.name, ending) for ending in endings)]


def read_laws(paths: Iterable[Readable], report: ReadingReport, *, strict: bool = False) -> Iterator[Law]:
    """Yield the law in each file, one at a time, without the articles that are deleted, empty or unusable.

    Problems go to `report`; the rest goes on. Two files with one law id: the first is kept. Two laws with one name: both are
    kept, since their ids differ, and the second is reported, since their passages look alike.

    Raises:
        DataError: with `strict`, the first problem.
    """
    reader = _Reader(report, strict)
    for path in paths:
        report.files += 1
        try:
            law = reader.read(path)
        except DataError as error:
            reader.report_problem(path, error.problem)
            continue
        if law:
            yield law


class _Reader:
    def __init__(self, report: ReadingReport, strict: bool) -> None:
        self._report = report
        self._strict = strict
        self._file_of_id: dict[tuple[str, str], Readable] = {}
        self._file_of_name: dict[tuple[str, str], Readable] = {}

    def report_problem(self, path: Readable, reason: str) -> None:
        problem = Problem(str(path), reason.removeprefix(f"Cannot read {path}: ").removeprefix(str(path)).lstrip(":, "))
        if self._strict:
            raise DataError(f"{problem}", "Without --strict, files like this one are reported and the rest goes on.")
        self._report.problems.append(problem)

    def read(self, path: Readable) -> Law | None:
        document = load(path)
        document_type = type_of(document)
        if document_type.read is None:
            self._report.passed_over[document_type.name] += 1
            return None
        law = document_type.read(document)
        if not law.articles:
            raise DataError(f"{path}: {law.name} has no articles.")
        identity, name = (law.kind, law.law_id), (law.kind, law.name)
        if identity in self._file_of_id:
            raise DataError(f"{path}: the law id {law.law_id} was read before, in {self._file_of_id[identity]}; this file is left out.")
        if name in self._file_of_name:
            self.report_problem(path, f"another law is called {law.name} too ({self._file_of_name[name]}); both were read.")
        self._file_of_id[identity] = path
        self._file_of_name.setdefault(name, path)
        kept = replace(law, articles=tuple(self._usable(path, law)))
        if not kept.articles:
            raise DataError(f"{path}: {law.name} has no article that can be read.")
        self._report.laws[law.kind] += 1
        self._report.articles[law.level or law.kind] += len(kept.articles)
        return kept

    def _usable(self, path: Readable, law: Law) -> Iterator[Article]:
        seen: set[str] = set()
        for article in law.articles:
            length = len(article.text)
            if article.deleted:
                self._report.deleted += 1
            elif not length:
                self._report.empty += 1
            elif article.number in seen:
                self.report_problem(path, f"{article.number} stands there twice; the first is kept.")
            elif length > ARTICLE_LIMIT_CHARACTERS:
                reason = f"{article.number} has {length:,} characters (limit {ARTICLE_LIMIT_CHARACTERS:,}); it is left out."
                self.report_problem(path, reason)
            else:
                seen.add(article.number)
                yield article
