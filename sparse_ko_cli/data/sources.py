"""`sparse-ko data wiki`, `easylaw`, `boolq` and `import`: text from elsewhere to collections."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.legal.everyday import everyday_pairs, laws_of_articles
from retrieval_ko.legal.resolver import Resolver
from retrieval_ko.pairs.training_pairs import write_pairs
from retrieval_ko.sources.boolq import write_boolq
from retrieval_ko.sources.easylaw import write_easylaw
from retrieval_ko.sources.passages import PASSAGE_CHARACTERS
from retrieval_ko.sources.public import Format, ImportSettings, import_source
from retrieval_ko.sources.report import SourceReport, read_rows
from retrieval_ko.sources.tabular import Columns
from retrieval_ko.sources.wiki import write_wiki
from retrieval_ko.sources.wiki_questions import Questions, read_questions
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar

SHOWN_PROBLEMS = 20

OutOption = Annotated[Path, typer.Option("--out", help="The collection folder to write.", metavar="DIR")]
CharactersOption = Annotated[int, typer.Option("--passage-characters", help="Longest passage, in characters.", min=50, max=100_000)]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first thing that is wrong; write nothing.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, with every problem.")]
ColumnOption = Annotated[str, typer.Option(metavar="NAME")]

Rows = Iterator[tuple[int, dict[str, Any]]]


def wiki(
    source: Annotated[Path, typer.Option(help="Pages {id, url, title, text}, a line each (.jsonl, .gz, .zst).", metavar="FILE")],
    out_folder: OutOption,
    queries: Annotated[
        Path | None, typer.Option(help="A folder with {train,dev}.queries.jsonl and {train,dev}.qrels.tsv.", metavar="DIR")
    ] = None,
    titles: Annotated[int, typer.Option(help="How many pairs of a lead sentence and its page to write.", min=0)] = 0,
    passage_characters: CharactersOption = PASSAGE_CHARACTERS,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Cut pages of an encyclopaedia into passages, with questions that people judged at pages.

    Lines that are wrong are reported and the rest goes on; the exit code is then 1.

    Example: sparse-ko data wiki --source pages.jsonl.zst --queries wiki --out wiki-ko
    """
    with _converting(out_folder, strict, as_json) as report:
        questions = read_questions(queries, report) if queries else Questions()

        def write(rows: Rows) -> None:
            write_wiki(rows, out_folder, report, source=source, questions=questions, title_pairs=titles, limit=passage_characters)

        _with_progress(source, report, "pages", write)


def easylaw(
    source: Annotated[Path, typer.Option(help="Records {id, title, topic, text}, a line each (.jsonl, .gz, .zst).", metavar="FILE")],
    out_folder: OutOption,
    dev_share: Annotated[float, typer.Option(help="Share of guides whose topics are dev.", min=0, max=0.9)] = 0.1,
    seed: Annotated[int, typer.Option(help="Changes which guides are dev.")] = 13,
    passage_characters: CharactersOption = PASSAGE_CHARACTERS,
    articles: Annotated[
        Path | None,
        typer.Option(help="A collection of articles: gets pairs/easylaw.jsonl (sentence → articles).", metavar="DIR"),
    ] = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make plain-language law a collection: everyday topics as queries, what stands below them as passages.

    Example: sparse-ko data easylaw --source easylaw.jsonl.zst --out easylaw --articles legal-cite
    """
    with _converting(out_folder, strict, as_json) as report:

        def write(rows: Rows) -> None:
            write_easylaw(rows, out_folder, report, source=source, dev_share=dev_share, seed=seed, limit=passage_characters)

        _with_progress(source, report, "records", write)
        if articles:
            _pair_with_articles(out_folder, articles, report)


def _pair_with_articles(easylaw_folder: Path, articles: Path, report: SourceReport) -> None:
    """Write pairs/easylaw.jsonl of the collection of articles; guides of dev stay out."""
    statutes, guides = Collection.read(articles), Collection.read(easylaw_folder)
    held_out = {parent for judged in guides.judgements.get("dev", {}).values() for parent in judged}
    training = [passage for passage in guides.passages.values() if passage.metadata.get("parent_id") not in held_out]
    counts: Counter[str] = Counter()
    resolver = Resolver(laws_of_articles(statutes.passages.values()))
    write_pairs(articles / "pairs" / "easylaw.jsonl", everyday_pairs(training, resolver, statutes.passages, counts))
    for reason, count in counts.items():
        report.written[f"sentences that refer to a law: {reason}"] += count


def boolq(
    source: Annotated[
        Path, typer.Option(help="Rows {id, split, question, paragraph, answer}, a line each (.jsonl, .gz, .zst).", metavar="FILE")
    ],
    out_folder: OutOption,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make BoolQ statements a collection: each is relevant for its paragraph, true or false.

    Example: sparse-ko data boolq --source boolq.jsonl.zst --out boolq
    """
    with _converting(out_folder, strict, as_json) as report:
        _with_progress(source, report, "rows", lambda rows: write_boolq(rows, out_folder, report, source=source))


def import_(
    source: Annotated[str, typer.Argument(help="A file, a folder, or hub:OWNER/NAME[:CONFIG][@REVISION].", metavar="NAME_OR_PATH")],
    out_folder: OutOption,
    form: Annotated[Format, typer.Option("--format", help="How it is stored; auto: told by name and layout.")] = Format.AUTO,
    id_column: ColumnOption = "",
    text_column: ColumnOption = "",
    title_column: ColumnOption = "",
    date_column: ColumnOption = "",
    query_column: ColumnOption = "",
    positive_column: ColumnOption = "",
    split: Annotated[str, typer.Option(help="The split that questions belong to, where the files do not say it.")] = "train",
    title_queries: Annotated[
        bool | None, typer.Option("--title-queries/--no-title-queries", help="Make titles queries; by default for news (title and date).")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Keep the converted set here, and use it the next time.", metavar="DIR")] = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a public set or a file of your own a collection: BEIR, KorQuAD, KLUE-MRC, MIRACL, Mr.TyDi, JSONL, CSV, Parquet.

    Example: sparse-ko data import news.csv --title-column 제목 --text-column 본문 --date-column 날짜 --out news
    """
    with _converting(out_folder, strict, as_json) as report:
        columns = Columns(id_column, text_column, title_column, date_column, query_column, positive_column)
        settings = ImportSettings(form, columns, split, title_queries)
        with notes.status(f"Reading {escape(source)}"):
            import_source(source, out_folder, report, settings, cache)
        if report.from_cache:
            notes.print("Taken from the cache.")


def _with_progress(source: Path, report: SourceReport, unit: str, write: Callable[[Rows], None]) -> None:
    with progress_bar(unit) as bar:
        write(bar.track(read_rows(source, report), description="Reading"))  # type: ignore[arg-type]  # an iterator in all but name


@contextmanager
def _converting(out_folder: Path, strict: bool, as_json: bool) -> Iterator[SourceReport]:
    """Yield a report, print it, and exit with 1 where there are problems."""
    began = time.perf_counter()
    with exit_on_error():
        report = SourceReport(strict=strict)
        try:
            yield report
        except DataError:
            _show_problems(report)
            raise
        counts = {
            kind: {name: count for name, count in counter.items() if count}
            for kind, counter in (("read", report.read), ("written", report.written), ("left_out", report.left_out))
        }
        if as_json:
            problems = [{"file": problem.file, "reason": problem.reason} for problem in report.problems]
            print_json({"collection": str(out_folder), **counts, "problems": problems})
        else:
            for kind, names in counts.items():
                listed = "; ".join(f"{count:,} {name}" for name, count in names.items())
                out.print(escape(f"{kind.replace('_', ' ').capitalize()}: {listed or 'nothing'}."), soft_wrap=True)
            _show_problems(report)
            out.print(
                escape(f"{out_folder}: written in {time.perf_counter() - began:.0f} s, {len(report.problems):,} problems."), soft_wrap=True
            )
    if report.problems:
        raise typer.Exit(1)


def _show_problems(report: SourceReport) -> None:
    for problem in report.problems[:SHOWN_PROBLEMS]:
        notes.print(escape(str(problem)), soft_wrap=True)
    if len(report.problems) > SHOWN_PROBLEMS:
        notes.print(f"… and {len(report.problems) - SHOWN_PROBLEMS:,} more; --json lists all.")
