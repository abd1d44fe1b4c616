"""Training pairs, line by line."""

from __future__ import annotations

from collections.abc import Collection as Ids
from collections.abc import Iterator, Mapping
from pathlib import Path

from retrieval_ko.records import TrainingPair
from retrieval_ko.validation.contents import Contents
from retrieval_ko.validation.findings import Finding, error, remark
from retrieval_ko.validation.rows import fingerprint, record_of, rows_of, text_findings


def pair_findings(
    source: Path, contents: Contents, passages: Mapping[str, int] | None, queries: Ids[str] | None = None
) -> Iterator[Finding]:
    """Yield what is wrong with a pair file, and count its sound lines in `contents.pairs`.

    Args:
        source: the pair file.
        contents: learns which queries have a pair.
        passages: the passages' ids, and the fingerprints of their texts; None: ids cannot be looked up.
        queries: the queries' ids; None: they cannot be looked up.
    """
    seen: dict[tuple[int, tuple[str, ...]], int] = {}
    count = 0
    for entry in rows_of(source):
        if isinstance(entry, Finding):
            yield entry
            continue
        number, row = entry
        contents.on_line(source)
        pair = record_of(TrainingPair, row, source, number)
        if isinstance(pair, list):
            yield from pair
            continue
        count += 1
        contents.judged_queries.add(pair.query_id)
        yield from text_findings(pair.query_text, "the query", source, number)
        negatives = [*pair.hard_negatives, *pair.random_negatives]
        for both in sorted({*pair.positive_passages} & {*negatives}):
            yield error("positive_is_negative", source, number, f"{both!r} is a positive and a negative of the same query.")
        if len({*pair.positive_passages}) < len(pair.positive_passages) or len({*negatives}) < len(negatives):
            yield remark("repeated_passage", source, number, "names a passage twice.")
        if queries is not None and pair.query_id and pair.query_id not in queries:
            yield error("unknown_query", source, number, f"names the query {pair.query_id!r}, which queries.jsonl does not hold.")
        print_of_query = fingerprint(pair.query_text)
        if passages is not None:
            for unknown in dict.fromkeys(key for key in (*pair.positive_passages, *negatives) if key not in passages):
                yield error("unknown_passage", source, number, f"names the passage {unknown!r}, which the corpus does not hold.")
            for positive in dict.fromkeys(pair.positive_passages):
                if passages.get(positive) == print_of_query:
                    yield error("query_is_its_positive", source, number, f"the text of its positive {positive!r} is the query itself.")
        first = seen.setdefault((print_of_query, tuple(sorted(pair.positive_passages))), number)
        if first != number:
            yield remark("duplicate_pair", source, number, f"has the query and the positives of line {first}.")
    contents.pairs[source.stem] = count
    if not count:
        yield error("empty_file", source, 0, "holds no sound pair.")
