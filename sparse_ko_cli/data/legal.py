"""`sparse-ko data legal` and `lex-dpr preprocess-auto`: statutes and administrative rules to passages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.markup import escape

from retrieval_ko.collection import OWN_FILES
from retrieval_ko.errors import DataError
from retrieval_ko.files import check_replaceable, new_file
from retrieval_ko.legal.collection import write_collection
from retrieval_ko.legal.passages import Unit, passages_of
from retrieval_ko.legal.reading import DEFAULT_GLOB, ReadingReport, read_laws
from retrieval_ko.legal.structure import Law
from retrieval_ko.terminal import exit_on_error, out, print_json, progress_bar
from sparse_ko_cli.data.documents import documents, show_problems

UnitOption = Annotated[Unit, typer.Option(help="What becomes a passage: 조, each 항, or each 호.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first file that is wrong; write nothing.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, with every problem.")]


def legal(
    source: Annotated[
        Path, typer.Option(help="A folder or archive (.tar.zst, .tar.gz) with law.go.kr JSON or legalize-kr Markdown.", metavar="DIR")
    ],
    out_folder: Annotated[Path, typer.Option("--out", help="The collection folder to write.", metavar="DIR")],
    unit: UnitOption = Unit.ARTICLE,
    glob: Annotated[str, typer.Option(help="Which files below the folder (.json and .md).")] = DEFAULT_GLOB,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read Korean statutes and administrative rules into a collection (BEIR), an article a passage.

    Files that are wrong are reported and the rest goes on; the exit code is then 1.

    Example: sparse-ko data legal --source statutes.tar.zst --out statutes
    """
    with exit_on_error():
        check_replaceable(out_folder, OWN_FILES, "collection.json")
        report = ReadingReport()
        try:
            with _reading(source, glob, report, strict) as laws:
                passages = write_collection(laws, out_folder, unit)
        except DataError:
            show_problems(report.problems)
            raise
        _finish(report, {str(out_folder): passages}, as_json)


def preprocess_auto(
    src_dir: Annotated[Path, typer.Option(help="The folder or archive (.tar.zst, .tar.gz) with raw documents.", metavar="DIR")] = Path(
        "data"
    ),
    out_law: Annotated[Path, typer.Option(help="Where passages of statutes go.", metavar="FILE")] = Path(
        "data/processed/law_passages.jsonl"
    ),
    out_admin: Annotated[Path, typer.Option(help="Where passages of administrative rules go.", metavar="FILE")] = Path(
        "data/processed/admin_passages.jsonl"
    ),
    glob: Annotated[str, typer.Option(help='Which files below --src-dir (.json and .md), e.g. "**/*.md".')] = "**/*.json",
    unit: UnitOption = Unit.ARTICLE,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read raw documents into passage files; the type of each is recognised by what it holds. Precedents are passed over.

    Files that are wrong are reported and the rest goes on; the exit code is then 1.

    Example: lex-dpr preprocess-auto --src-dir data --out-law law_passages.jsonl --out-admin admin_passages.jsonl
    """
    with exit_on_error():
        if out_law.resolve() == out_admin.resolve():
            raise DataError(f"--out-law and --out-admin are the same file, {out_law}.", "Name two files.")
        targets = {"law": out_law, "admin": out_admin}
        report = ReadingReport()
        try:
            with _reading(src_dir, glob, report, strict) as laws:
                written = _write_passages(laws, targets, unit)
        except DataError:
            show_problems(report.problems)
            raise
        _finish(report, {str(target): written.get(kind, 0) for kind, target in targets.items()}, as_json)


@contextmanager
def _reading(source: Path, glob: str, report: ReadingReport, strict: bool) -> Iterator[Iterator[Law]]:
    with documents(source, report, strict, glob) as paths, progress_bar("files") as bar:
        yield read_laws(bar.track(paths, description="Reading"), report, strict=strict)


def _write_passages(laws: Iterator[Law], targets: dict[str, Path], unit: Unit) -> dict[str, int]:
    """Write each kind to its file, whole or not at all; a kind of which there is nothing leaves no file."""
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        files: dict[str, TextIO] = {}
        for law in laws:
            if law.kind not in targets:
                raise DataError(f"{law.name} is of the kind {law.kind!r}, for which there is no output file.")
            for passage in passages_of(law, unit):
                if law.kind not in files:
                    temporary = stack.enter_context(new_file(targets[law.kind]))
                    files[law.kind] = stack.enter_context(temporary.open("w", encoding="utf-8", newline="\n"))
                files[law.kind].write(json.dumps(passage.row(), ensure_ascii=False) + "\n")
                counts[law.kind] = counts.get(law.kind, 0) + 1
        if not counts:
            raise DataError("There is no article to write.")
    return counts


def _finish(report: ReadingReport, written: dict[str, int], as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "files": report.files,
                "laws": dict(report.laws),
                "articles": dict(report.articles),
                "deleted_articles": report.deleted,
                "empty_articles": report.empty,
                "passed_over": dict(report.passed_over),
                "passages": written,
                "problems": [{"file": problem.file, "reason": problem.reason} for problem in report.problems],
            }
        )
    else:
        show_problems(report.problems)
        out.print(
            f"{report.files:,} files: {report.laws['law']:,} statutes, {report.laws['admin']:,} administrative rules, "
            f"{report.articles.total():,} articles; left out: {report.deleted:,} deleted, {report.empty:,} without text."
        )
        for name, count in report.passed_over.items():
            out.print(f"Passed over: {count:,} × {escape(name)}.")
        for target, count in written.items():
            out.print(
                escape(f"{target}: {count:,} passages." if count else f"{target}: not written, there was nothing for it."), soft_wrap=True
            )
        if report.problems:
            out.print(f"Problems: {len(report.problems):,}.")
    if report.problems:
        raise typer.Exit(1)
