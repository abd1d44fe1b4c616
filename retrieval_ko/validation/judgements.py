"""Judgements, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from retrieval_ko.validation.contents import Contents
from retrieval_ko.validation.findings import Finding, error
from retrieval_ko.validation.rows import lines_of


def check_judgements(contents: Contents) -> Iterator[Finding]:
    """Judgements have three fields, name queries and passages (or parents) that exist, and do not contradict each other."""
    for source in contents.judgement_files:
        yield from _split_findings(source, contents)
        if not contents.judgements[source.stem]:
            yield error("empty_file", source, 0, "holds no sound judgement.")


def _split_findings(source: Path, contents: Contents) -> Iterator[Finding]:
    judgements = contents.judgements.setdefault(source.stem, {})
    judgeable = contents.parents if contents.judged == "parent" else contents.passages
    for entry in lines_of(source):
        if isinstance(entry, Finding):
            yield entry
            continue
        number, line = entry
        contents.on_line(source)
        if not line.strip() or (number == 1 and line.startswith("query-id")):
            continue
        parts = line.split("\t")
        if len(parts) != 3:
            yield error(
                "bad_judgement", source, number, f"expected 3 tab-separated fields (query-id, corpus-id, score), found {len(parts)}."
            )
            continue
        query, passage, grade = parts
        contents.judged_queries.add(query)
        sound = True
        if query not in contents.queries:
            yield error("unknown_query", source, number, f"judges the query {query!r}, which queries.jsonl does not hold.")
            sound = False
        if passage not in judgeable:
            name = "parent" if contents.judged == "parent" else "passage"
            yield error("unknown_passage", source, number, f"judges the {name} {passage!r}, which corpus.jsonl does not hold.")
            sound = False
        if not re.fullmatch(r"-?[0-9]{1,9}", grade.strip()):
            yield error("bad_judgement", source, number, f"the score {grade!r} is not a whole number.")
            sound = False
        if sound and judgements.setdefault(query, {}).setdefault(passage, int(grade)) != int(grade):
            known = judgements[query][passage]
            yield error(
                "conflicting_judgement", source, number, f"judges {passage!r} for {query!r} as {grade.strip()}, an earlier line as {known}."
            )
