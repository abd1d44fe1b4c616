"""The checks of a collection, in their order. A further one is a function `(Contents) → findings` in the list `CHECKS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import TypeAdapter, ValidationError

from retrieval_ko.collection import SplitRule, first_complaint
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_json
from retrieval_ko.pairs.leakage import leaks
from retrieval_ko.records import SynonymPair
from retrieval_ko.validation.contents import Contents
from retrieval_ko.validation.findings import Finding, error, remark
from retrieval_ko.validation.judgements import check_judgements
from retrieval_ko.validation.pair_rows import pair_findings
from retrieval_ko.validation.record_rows import check_passages, check_queries
from retrieval_ko.validation.rows import fingerprint, record_of, rows_of

_SPLIT_RULES = TypeAdapter(dict[str, SplitRule])

Check = Callable[[Contents], Iterator[Finding]]


def check_card(contents: Contents) -> Iterator[Finding]:
    """collection.json is JSON, and says of judgements what it may say."""
    source = contents.folder / "collection.json"
    if not source.exists():
        return
    try:
        card = read_json(source)
    except DataError as failure:
        yield error("not_json", source, 0, failure.problem)
        return
    if not isinstance(card, dict):
        yield error("bad_field", source, 0, f"expected a JSON object, found {type(card).__name__}.")
        return
    wanted: dict[str, tuple[type, ...]] = {"name": (str, type(None)), "licence": (str,), "sources": (list,)}
    for name, types in wanted.items():
        if name in card and not isinstance(card[name], types):
            yield error("bad_field", source, 0, f"{name}: found {str(card[name])[:60]!r}.")
    if isinstance(card.get("sources"), list) and not all(isinstance(name, str) for name in card["sources"]):
        yield error("bad_field", source, 0, "sources: every one must be a text.")
    if card.get("judged", "passage") not in ("passage", "parent"):
        yield error("bad_field", source, 0, f"judged: must be 'passage' or 'parent' (found {str(card['judged'])[:60]!r}).")
    elif card.get("judged") == "parent":
        contents.judged = "parent"
    try:
        contents.rules = _SPLIT_RULES.validate_python(card.get("splits", {}))
    except ValidationError as failure:
        yield error("bad_field", source, 0, f"splits: {first_complaint(failure)}.")


def check_pairs(contents: Contents) -> Iterator[Finding]:
    """Pairs are sound, and their ids exist."""
    for source in contents.pair_files:
        yield from pair_findings(source, contents, contents.passages, contents.queries)


def check_synonyms(contents: Contents) -> Iterator[Finding]:
    """Every synonym pair has both sides."""
    source = contents.folder / "synonyms.jsonl"
    for entry in rows_of(source) if source.exists() else ():
        if isinstance(entry, Finding):
            yield entry
            continue
        contents.on_line(source)
        if isinstance(problems := record_of(SynonymPair, entry[1], source, entry[0]), list):
            yield from problems


def check_leakage(contents: Contents) -> Iterator[Finding]:
    """Train, dev and test have nothing in common that the rule of their split forbids (`retrieval_ko.pairs.leakage`)."""
    for leak in leaks(contents.queries, contents.judgements, contents.rules):
        yield error(f"leak_{leak.kind.replace('-', '_')}", contents.folder / "qrels" / f"{leak.splits[1]}.tsv", 0, f"{leak}.")


def check_unjudged_queries(contents: Contents) -> Iterator[Finding]:
    """Every query has a judgement or a pair."""
    for query, line in contents.query_lines.items():
        if query not in contents.judged_queries:
            yield remark("query_without_judgement", contents.query_file, line, f"no split and no pair file names {query!r}.")


def check_trivial_queries(contents: Contents) -> Iterator[Finding]:
    """No query repeats a passage: BM25 answers it, and an encoder learns nothing from it."""
    texts = set(contents.passages.values())
    for query, record in contents.queries.items():
        print_of_query, line = fingerprint(record.text), contents.query_lines[query]
        if print_of_query in texts:
            yield remark("query_is_a_passage", contents.query_file, line, f"the text of {query!r} is the text of a passage.")
        elif print_of_query in contents.titles:
            yield remark("query_is_a_title", contents.query_file, line, f"the text of {query!r} is the title of a passage.")
        if contents.judged == "parent":
            continue
        for split, judgements in contents.judgements.items():
            for passage, grade in judgements.get(query, {}).items():
                if grade > 0 and contents.passages.get(passage) == print_of_query:
                    source = contents.folder / "qrels" / f"{split}.tsv"
                    yield error("query_is_its_positive", source, 0, f"{passage!r}, relevant for {query!r}, is the query's own text.")


CHECKS: list[Check] = [
    check_card,
    check_passages,
    check_queries,
    check_judgements,
    check_pairs,
    check_synonyms,
    check_leakage,
    check_unjudged_queries,
    check_trivial_queries,
]
"""All checks. The first ones read the files and leave in `Contents` what the later ones look things up in."""


def check_collection(contents: Contents) -> Iterator[Finding]:
    """Yield everything that is wrong with the collection at `contents.folder`; without an error, `Collection.read` can read it.

    Args:
        contents: of nothing but the folder; afterwards it tells how much there was.
    """
    if not contents.folder.is_dir():
        yield error("missing_file", contents.folder, 0, "is no folder.")
        return
    for check in CHECKS:
        yield from check(contents)
