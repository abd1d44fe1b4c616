"""Three collections out of statutes and cases, each asked by the issues (판시사항) that courts decided.

legal-cite      which articles does the issue turn on?     passages: articles in force; judged by 참조조문
legal-prec      which older cases decide it?               passages: cases decided before training ends; judged by 참조판례
legal-holding   how was it decided?                        passages: holdings (판결요지), one an issue

All three are parted by the date of the decision, over all issues at once, so that no issue of dev is answered, or nearly repeated,
in the training part of another one. legal-cite and legal-holding are parted by case too (`case-train` …), and legal-cite with no
article in common (`article-train` …). legal-prec is not: the case that a training query stands in is among its passages.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrieval_ko.collection import OWN_FILES, Judgements, SplitRule, write_judgements
from retrieval_ko.errors import DataError
from retrieval_ko.files import check_replaceable, new_folder, write_json, write_jsonl
from retrieval_ko.legal.cases import CaseIndex
from retrieval_ko.legal.collection import passage_record
from retrieval_ko.legal.issue_queries import IssueQuery, IssueReport, issue_queries
from retrieval_ko.legal.passages import passages_of
from retrieval_ko.legal.precedents import Precedent
from retrieval_ko.legal.resolver import Resolver
from retrieval_ko.legal.structure import Law
from retrieval_ko.pairs.splits import JudgedQuery, Split, split_by_date, split_by_group, split_by_passage, split_name
from retrieval_ko.pairs.training_pairs import write_pairs
from retrieval_ko.records import Passage, Query, TrainingPair
from retrieval_ko.text import normalize

CITE, PREC, HOLDING = "legal-cite", "legal-prec", "legal-holding"
STATUTE_LEVELS = ("헌법", "법률", "대통령령")
"""Whose articles are passages of legal-cite by default; orders of ministries (부령) are a fifth of all articles, seldom cited."""


@dataclass(frozen=True, slots=True)
class BenchmarkSettings:
    """How the collections are made.

    Args:
        train_before: ISO; older decisions are for training.
        dev_before: ISO; decisions from then on are for the test part; empty: there is none.
        levels: the kinds of statutes whose articles are passages of legal-cite; empty: all.
        seed: for the splits by chance.
    """

    train_before: str = "2018-01-01"
    dev_before: str = ""
    levels: tuple[str, ...] = STATUTE_LEVELS
    seed: int = 0


@dataclass(slots=True)
class BenchmarkReport:
    """What became of issues and citations, and what each collection holds: {"passages", "queries", split: queries}."""

    issues: IssueReport = field(default_factory=IssueReport)
    split_dropped: dict[str, Counter[str]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    dates_learnt: int = 0
    collections: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Draft:
    """A collection while it is made: where its files go, its passages' ids, and the relevant ones of each query."""

    name: str
    folder: Path
    passages: int = 0
    relevant: dict[str, list[str]] = field(default_factory=dict)
    schemes: dict[str, Split] = field(default_factory=dict)


def write_benchmarks(
    laws: Iterable[Law],
    cases: Callable[[], Iterable[Precedent]],
    folder: Path,
    settings: BenchmarkSettings,
    report: BenchmarkReport,
    dated_laws: Iterable[Law] = (),
) -> None:
    """Write the three collections below `folder`, each whole or not at all.

    Args:
        laws: read once, law by law.
        cases: called once, after the laws have been read.
        folder: gets legal-cite, legal-prec and legal-holding; earlier ones are replaced when all three are complete.
        settings: how they are made.
        report: is filled.
        dated_laws: the same laws from law.go.kr's JSON, which tells since when an article stands under its number (legalize-kr does not).

    Raises:
        DataError: there is no article, no case, or no issue that cites anything.
        UsageError: one of the three folders holds other files.
    """
    for name in (CITE, PREC, HOLDING):
        check_replaceable(folder / name, OWN_FILES, "collection.json")
    with ExitStack() as stack:
        cite, prec, holding = (_Draft(name, stack.enter_context(new_folder(folder / name))) for name in (CITE, PREC, HOLDING))
        articles: set[str] = set()
        resolver = _write_articles(laws, cite, settings.levels, articles)
        report.dates_learnt = resolver.learn_dates(dated_laws)
        read = list(cases())
        if not read:
            raise DataError("There is no case to make queries of.")
        issues = issue_queries(read, resolver, CaseIndex(read), report.issues)
        older = [case for case in read if case.decided and case.decided < settings.train_before]
        precedents = {case.serial: case for case in older if case.issues or case.holdings}
        _judge_articles(issues, articles, cite, report)
        _judge_cases(issues, precedents, prec, report)
        _write_holdings(issues, holding, report)
        prec.passages = write_jsonl(prec.folder / "corpus.jsonl", (_row(_case_passage(case)) for _, case in sorted(precedents.items())))
        _part(issues, cite, prec, holding, settings, report)
        for draft in (cite, prec, holding):
            if not draft.relevant:
                raise DataError(f"{draft.name} has no query: no issue has an answer among its passages.")
            _write_queries(issues, draft, precedents if draft is prec else {})
            counts = {split_name(scheme, part): len(ids) for scheme, split in draft.schemes.items() for part, ids in split.parts.items()}
            report.collections[draft.name] = {"passages": draft.passages, "queries": len(draft.relevant), **counts}


def _write_articles(laws: Iterable[Law], cite: _Draft, levels: tuple[str, ...], articles: set[str]) -> Resolver:
    """Write the passages of legal-cite while the resolver reads the laws, so that no more than one law is held."""
    with (cite.folder / "corpus.jsonl").open("w", encoding="utf-8", newline="\n") as corpus:

        def written() -> Iterator[Law]:
            for law in laws:
                for passage in passages_of(law) if not levels or law.level in levels else ():
                    articles.add(passage.id)
                    corpus.write(json.dumps(_row(passage_record(passage)), ensure_ascii=False) + "\n")
                yield law

        resolver = Resolver(written())
    cite.passages = len(articles)
    if not articles:
        raise DataError(f"There is no article of the kinds {', '.join(levels) or '(any)'} to write.", "Name others with --levels.")
    return resolver


def _judge_articles(issues: list[IssueQuery], articles: set[str], cite: _Draft, report: BenchmarkReport) -> None:
    for issue in issues:
        relevant = [article for article in issue.articles if article in articles]
        report.left_out["citations of statutes that are no passages of legal-cite"] += len(issue.articles) - len(relevant)
        if relevant:
            cite.relevant[issue.id] = relevant


def _judge_cases(issues: list[IssueQuery], precedents: dict[str, Precedent], prec: _Draft, report: BenchmarkReport) -> None:
    for issue in issues:
        cited = [serial for serial in issue.cases if serial in precedents]
        report.left_out["citations of cases that are no passages of legal-prec"] += len(issue.cases) - len(cited)
        other = [serial for serial in cited if not _same_letters(_case_text(precedents[serial]), issue.text)]
        report.left_out["cited cases that say nothing but the issue itself, word for word"] += len(cited) - len(other)
        if other:
            prec.relevant[issue.id] = [precedents[serial].passage_id for serial in other]


def _write_holdings(issues: list[IssueQuery], holding: _Draft, report: BenchmarkReport) -> None:
    rows = []
    for issue in issues:
        if not issue.holding:
            continue
        if _same_letters(issue.holding, issue.text):
            report.left_out["holdings that repeat their issue word for word"] += 1
            continue
        metadata = {"parent_id": issue.case.passage_id, "type": "prec", "date": issue.case.decided}
        passage = Passage(_id=f"{issue.case.passage_id}_{issue.number}", title=issue.case.heading, text=issue.holding, metadata=metadata)
        rows.append(_row(passage))
        holding.relevant[issue.id] = [passage.id]
    holding.passages = write_jsonl(holding.folder / "corpus.jsonl", rows)


def _same_letters(one: str, other: str) -> bool:
    return "".join(one.casefold().split()) == "".join(other.casefold().split())


def _case_text(case: Precedent) -> str:
    return "\n".join(filter(None, (normalize(case.issues), normalize(case.holdings))))


def _case_passage(case: Precedent) -> Passage:
    metadata = {"type": "prec", "date": case.decided, "court": case.court}
    return Passage(_id=case.passage_id, title=case.heading, text=_case_text(case), metadata=metadata)


def _part(
    issues: list[IssueQuery], cite: _Draft, prec: _Draft, holding: _Draft, settings: BenchmarkSettings, report: BenchmarkReport
) -> None:
    """Split all issues by date and by case at once, and legal-cite by article; give each collection its share."""

    def judged(issue: IssueQuery) -> JudgedQuery:
        return JudgedQuery(issue.id, issue.text, frozenset(cite.relevant.get(issue.id, ())), issue.case.decided, issue.case.serial)

    everyone = [judged(issue) for issue in issues]
    by_date = split_by_date(everyone, train_before=settings.train_before, dev_before=settings.dev_before)
    by_case = split_by_group(everyone, seed=settings.seed)
    by_article = split_by_passage([query for query in everyone if query.relevant], seed=settings.seed)
    report.split_dropped = {"by date": by_date.dropped, "by case": by_case.dropped, "by article": by_article.dropped}
    for draft, schemes in (
        (cite, {"": by_date, "case": by_case, "article": by_article}),
        (prec, {"": by_date}),
        (holding, {"": by_date, "case": by_case}),
    ):
        for scheme, split in schemes.items():
            parts = {part: [query for query in ids if query in draft.relevant] for part, ids in split.parts.items()}
            draft.schemes[scheme] = Split(split.rule, {part: ids for part, ids in parts.items() if ids})


def _write_queries(issues: list[IssueQuery], draft: _Draft, own: dict[str, Precedent]) -> None:
    asked = [issue for issue in issues if issue.id in draft.relevant]
    queries = [Query(_id=issue.id, text=issue.text, metadata=_metadata(issue, own)) for issue in asked]
    write_jsonl(draft.folder / "queries.jsonl", (_row(query) for query in queries))
    rules: dict[str, SplitRule] = {}
    for scheme, split in draft.schemes.items():
        rules[scheme] = split.rule
        for part, ids in split.parts.items():
            judgements: Judgements = {query: dict.fromkeys(draft.relevant[query], 1) for query in ids}
            write_judgements(draft.folder / "qrels" / f"{split_name(scheme, part)}.tsv", judgements)
    texts = {issue.id: issue.text for issue in asked}
    for scheme, split in draft.schemes.items():
        training = split.parts.get("train", [])
        pairs = (
            TrainingPair(query_id=query, query_text=texts[query], positive_passages=draft.relevant[query], meta={"type": draft.name})
            for query in training
        )
        write_pairs(draft.folder / "pairs" / f"{split_name(scheme, 'train')}.jsonl", pairs)
    card = {
        "name": draft.name,
        "language": "ko",
        "licence": "not protected works (Korean Copyright Act, article 7)",
        "sources": ["law.go.kr", "legalize-kr"],
        "judged": "passage",
        "splits": {scheme: rule.model_dump(exclude_defaults=True) for scheme, rule in rules.items()},
    }
    write_json(draft.folder / "collection.json", card)


def _metadata(issue: IssueQuery, own: dict[str, Precedent]) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "date": issue.case.decided,
        "group": issue.case.serial,
        "case": issue.case.citation,
        "case_name": issue.case.case_name,
        "names_article": issue.names_article,
    }
    if issue.case.serial in own:
        metadata["excluded"] = [issue.case.passage_id]
    return metadata


def _row(record: Passage | Query) -> dict[str, Any]:
    return record.model_dump(by_alias=True, exclude_defaults=True)
