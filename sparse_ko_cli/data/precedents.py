"""`sparse-ko data precedents`: statutes and cases to the collections legal-cite, legal-prec and legal-holding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from retrieval_ko.legal.benchmarks import STATUTE_LEVELS, BenchmarkReport, BenchmarkSettings, write_benchmarks
from retrieval_ko.legal.precedents import Precedent, PrecedentReport, read_precedents
from retrieval_ko.legal.reading import ReadingReport, read_laws
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from sparse_ko_cli.data.documents import documents, show_problems

SourceOption = Annotated[
    Path,
    typer.Option("--source", help="Cases: a folder or archive of law.go.kr JSON or legalize-kr Markdown.", metavar="PATH"),
]


def precedents(
    source: SourceOption,
    statutes: Annotated[Path, typer.Option(help="Statutes: a folder or an archive, as `data legal` reads them.", metavar="PATH")],
    out_folder: Annotated[Path, typer.Option("--out", help="Gets legal-cite, legal-prec and legal-holding.", metavar="DIR")],
    dates: Annotated[
        Path | None, typer.Option(help="The same statutes as law.go.kr JSON: tells which articles are newer than a case.", metavar="PATH")
    ] = None,
    train_before: Annotated[str, typer.Option(help="Decisions older than this are for training.", metavar="DATE")] = "2018-01-01",
    dev_before: Annotated[str, typer.Option(help="Decisions from this day on are the test part; else none.", metavar="DATE")] = "",
    levels: Annotated[str, typer.Option(help="Kinds of statutes that legal-cite holds, or `all`.")] = ",".join(STATUTE_LEVELS),
    seed: Annotated[int, typer.Option(help="For the splits by case and by article.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first file that is wrong; write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, with every problem.")] = False,
) -> None:
    """Make collections of Korean case law: issue → cited articles, issue → cited cases, issue → holding.

    Files that are wrong are reported and the rest goes on; the exit code is then 1.

    Example: sparse-ko data precedents --source precedents.tar.zst --statutes statutes.tar.zst --out collections
    """
    with exit_on_error(), ExitStack() as stack:
        chosen = () if levels.strip() == "all" else tuple(level.strip() for level in levels.split(",") if level.strip())
        settings = BenchmarkSettings(train_before=train_before, dev_before=dev_before, levels=chosen, seed=seed)
        law_report, case_report, report = ReadingReport(), PrecedentReport(), BenchmarkReport()
        law_paths = stack.enter_context(documents(statutes, law_report, strict))
        case_paths = stack.enter_context(documents(source, case_report, strict))
        bar = stack.enter_context(progress_bar("files"))

        def cases() -> Iterator[Precedent]:
            yield from read_precedents(bar.track(case_paths, description="Cases"), case_report, strict=strict)
            notes.print("Resolving citations, looking for near-duplicates …")

        laws = read_laws(bar.track(law_paths, description="Statutes"), law_report, strict=strict)
        dated = read_laws(stack.enter_context(documents(dates, ReadingReport(), strict)), ReadingReport()) if dates else ()
        write_benchmarks(laws, cases, out_folder, settings, report, dated)
        problems = [*law_report.problems, *case_report.problems]
        if as_json:
            print_json(
                {**_facts(report), "files": law_report.files + case_report.files, "problems": [asdict(problem) for problem in problems]}
            )
        else:
            show_problems(problems)
            _show(report, out_folder)
        if problems:
            raise typer.Exit(1)


def _facts(report: BenchmarkReport) -> dict[str, object]:
    issues = report.issues
    return {
        "issues": {"found": issues.issues, "kept": issues.kept, "dropped": dict(issues.dropped)},
        "citations": dict(issues.citations.most_common()),
        "case_citations": dict(issues.case_citations.most_common()),
        "articles_dated": report.dates_learnt,
        "left_out": dict(report.left_out),
        "splits_dropped": {name: dict(counts) for name, counts in report.split_dropped.items()},
        "collections": report.collections,
    }


def _show(report: BenchmarkReport, folder: Path) -> None:
    issues = report.issues
    out.print(f"{issues.issues:,} issues, {issues.kept:,} kept.")
    for title, counts in (
        ("Left out", issues.dropped + report.left_out),
        ("Citations of statutes", issues.citations),
        ("Citations of cases", issues.case_citations),
        *((f"Held back, {name}", counts) for name, counts in report.split_dropped.items()),
    ):
        out.print(f"{title}:")
        for reason, count in counts.most_common():
            out.print(f"  {count:>9,}  {count / counts.total():>6.1%}  {escape(reason)}")
    for name, sizes in report.collections.items():
        out.print(escape(f"{folder / name}: " + ", ".join(f"{count:,} {what}" for what, count in sizes.items())), soft_wrap=True)
