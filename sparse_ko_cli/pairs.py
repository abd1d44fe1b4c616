"""`lex-dpr make-pairs` and `lex-dpr merge-corpus`: cases to training pairs, passage files to one corpus."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.errors import DataError
from retrieval_ko.files import write_jsonl
from retrieval_ko.legal.cases import CaseIndex
from retrieval_ko.legal.issue_queries import IssueQuery, IssueReport, issue_queries
from retrieval_ko.legal.lexdpr_pairs import LexdprPairs, laws_of, lexdpr_pairs, pair_row
from retrieval_ko.legal.passage_files import PassageRow, merge_passages, read_passages
from retrieval_ko.legal.precedents import PrecedentReport, read_precedents
from retrieval_ko.legal.reading import ReadingReport, read_laws
from retrieval_ko.legal.resolver import Resolver
from retrieval_ko.pairs.mining import MiningReport, MiningSettings, mine
from retrieval_ko.pairs.splits import JudgedQuery, Split, split_by_date, split_by_group
from retrieval_ko.records import TrainingPair
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from retrieval_ko.terms import Tokenization
from sparse_ko_cli.data.documents import documents, show_problems

PART_SUFFIXES = {"train": "", "dev": "_valid", "test": "_test"}
FALLBACK_NAME = "prec_fallback_passages.jsonl"


class SplitBy(StrEnum):
    """How cases are parted."""

    DATE = "date"
    CASE = "case"


def make_pairs(
    law: Annotated[Path, typer.Option(help="Passages of statutes, from preprocess-auto.", metavar="FILE")],
    prec_json_dir: Annotated[
        Path, typer.Option("--prec-json-dir", "--prec_json_dir", help="Cases: a folder or archive of JSON or Markdown.", metavar="PATH")
    ],
    out_file: Annotated[Path, typer.Option("--out", help="Training pairs; the others go beside it.", metavar="FILE")] = Path(
        "data/pairs_train.jsonl"
    ),
    admin: Annotated[Path | None, typer.Option(help="Passages of administrative rules.", metavar="FILE")] = None,
    use_admin_for_prec: Annotated[
        bool, typer.Option("--use-admin-for-prec", "--use_admin_for_prec", help="Cases may cite administrative rules too.")
    ] = False,
    law_src: Annotated[
        Path | None, typer.Option(help="The statutes that --law was made of; tells what was revised since.", metavar="PATH")
    ] = None,
    hn_per_q: Annotated[int, typer.Option("--hn-per-q", "--hn_per_q", min=0, help="Hard negatives per query.")] = 32,
    max_positives_per_prec: Annotated[
        int, typer.Option("--max-positives-per-prec", "--max_positives_per_prec", min=1, help="Positives per query.")
    ] = 5,
    max_workers: Annotated[
        int, typer.Option("--max-workers", "--max_workers", min=1, help="Threads that rank; they change no result.")
    ] = 1,
    split: Annotated[SplitBy, typer.Option(help="Part by date of decision, or whole cases by chance.")] = SplitBy.DATE,
    train_before: Annotated[str, typer.Option(help="For --split date: older decisions are for training.", metavar="DATE")] = "2018-01-01",
    valid_before: Annotated[str, typer.Option(help="For --split date: later decisions are for test.", metavar="DATE")] = "2020-01-01",
    seed: Annotated[int, typer.Option(help="For --split case, and for negatives.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first file that is wrong; write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, with every problem.")] = False,
) -> None:
    """Make training pairs of cases: an issue, the articles it cites, and passages that look like answers and are none.

    Beside --out pairs_train.jsonl stand pairs_train_valid.jsonl, pairs_train_test.jsonl where there is anything for it, and
    prec_fallback_passages.jsonl: holdings that stand in as positives where no cited article is there (merge-corpus takes them with --prec).

    Example: lex-dpr make-pairs --law law_passages.jsonl --prec-json-dir data/precedents --out data/pairs_train.jsonl --max-workers 8
    """
    with exit_on_error(), ExitStack() as stack:
        passages = list(read_passages(law))
        if admin and use_admin_for_prec:
            passages += read_passages(admin)
        case_report, issue_report, law_report = PrecedentReport(), IssueReport(), ReadingReport()
        if law_src:
            law_paths = stack.enter_context(documents(law_src, law_report, strict))
            laws = read_laws(law_paths, law_report, strict=strict)
        else:
            notes.print("Without --law-src nothing is known of statutes revised after a decision; their articles stay among the positives.")
            laws = iter(laws_of(passages))
        resolver = Resolver(laws)
        paths = stack.enter_context(documents(prec_json_dir, case_report, strict))
        with progress_bar("files") as bar:
            cases = list(read_precedents(bar.track(paths, description="Cases"), case_report, strict=strict))
        issues = issue_queries(cases, resolver, CaseIndex(cases), issue_report)
        made = lexdpr_pairs(issues, passages, max_positives=max_positives_per_prec)
        parts = _parted(made, issues, split, train_before, valid_before, seed)
        mining = MiningReport()
        settings = MiningSettings(hard=hn_per_q, random=0, depth=max(100, 4 * hn_per_q), seed=seed)
        mined = _mined(made, [*passages, *made.fallback], settings, mining, max_workers)
        written = _write(out_file, made, mined, parts)
        problems = [*law_report.problems, *case_report.problems]
        if as_json:
            print_json(
                _facts(issue_report, parts, made, mining, written) | {"problems": [{"file": p.file, "reason": p.reason} for p in problems]}
            )
        else:
            show_problems(problems)
            for reason, count in (issue_report.dropped + parts.dropped).most_common():
                out.print(f"Left out: {count:,} × {escape(reason)}.")
            for target, count in written.items():
                out.print(escape(f"{target}: {count:,} lines."), soft_wrap=True)
        if problems:
            raise typer.Exit(1)


def merge_corpus(
    law: Annotated[Path, typer.Option(help="Passages of statutes.", metavar="FILE")],
    admin: Annotated[Path | None, typer.Option(help="Passages of administrative rules.", metavar="FILE")] = None,
    prec: Annotated[Path | None, typer.Option(help="Passages of cases (prec_fallback_passages.jsonl).", metavar="FILE")] = None,
    out_file: Annotated[Path, typer.Option("--out", help="The merged corpus.", metavar="FILE")] = Path(
        "data/processed/merged_corpus.jsonl"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Write passage files into one corpus; an id that stands in two of them is an error.

    Example: lex-dpr merge-corpus --law law_passages.jsonl --admin admin_passages.jsonl --prec prec_fallback_passages.jsonl
    """
    with exit_on_error():
        counts = merge_passages([source for source in (law, admin, prec) if source], out_file)
        if as_json:
            print_json({"corpus": str(out_file), "passages": dict(counts)})
        else:
            out.print(escape(f"{out_file}: " + ", ".join(f"{count:,} × {kind}" for kind, count in counts.items()) + "."), soft_wrap=True)


def _parted(made: LexdprPairs, issues: list[IssueQuery], by: SplitBy, train_before: str, valid_before: str, seed: int) -> Split:
    issue_of = {issue.id: issue for issue in issues}
    asked = [
        JudgedQuery(
            pair.query_id,
            pair.query_text,
            frozenset(pair.positive_passages),
            issue_of[pair.query_id].case.decided,
            issue_of[pair.query_id].case.serial,
        )
        for pair in made.pairs
    ]
    if by is SplitBy.DATE:
        parts = split_by_date(asked, train_before=train_before, dev_before=valid_before)
    else:
        parts = split_by_group(asked, seed=seed)
    for part in ("train", "dev"):
        if not parts.parts.get(part):
            raise DataError(
                f"Of {len(asked):,} pairs none falls into the {part} part.",
                "Other dates (--train-before, --valid-before), or --split case.",
            )
    return parts


def _mined(
    made: LexdprPairs, passages: list[PassageRow], settings: MiningSettings, report: MiningReport, workers: int
) -> dict[str, TrainingPair]:
    records = {row.id: row.passage() for row in passages}
    index = Bm25Index(records.values(), tokenization=Tokenization.BIGRAM, workers=workers)
    rankings = index.rank_many((pair.query_text for pair in made.pairs), settings.depth)
    with progress_bar("queries") as bar:
        mined = mine(made.pairs, records, rankings, settings, report)
        return {pair.query_id: pair for pair in bar.track(mined, total=len(made.pairs), description="Negatives")}


def _write(out_file: Path, made: LexdprPairs, mined: dict[str, TrainingPair], parts: Split) -> dict[str, int]:
    written = {}
    for part, suffix in PART_SUFFIXES.items():
        target = out_file.with_name(f"{out_file.stem}{suffix}{out_file.suffix}")
        ids = parts.parts.get(part, [])
        if ids:
            written[str(target)] = write_jsonl(target, (pair_row(mined[query]) for query in ids))
        else:
            target.unlink(missing_ok=True)
    fallback = out_file.with_name(FALLBACK_NAME)
    written[str(fallback)] = write_jsonl(fallback, (row.model_dump() for row in made.fallback))
    return written


def _facts(issues: IssueReport, parts: Split, made: LexdprPairs, mining: MiningReport, written: dict[str, int]) -> dict[str, Any]:
    return {
        "issues": {"found": issues.issues, "kept": issues.kept, "dropped": dict(issues.dropped)},
        "citations": dict(issues.citations.most_common()),
        "pairs": {part: len(ids) for part, ids in parts.parts.items()},
        "split_dropped": dict(parts.dropped),
        "more_positives_than_allowed": made.truncated,
        "negatives": mining.as_json(),
        "files": written,
    }
