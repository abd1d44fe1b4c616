"""Several synonym files as one: the later file has the say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from retrieval_ko.records import SynonymPair
from retrieval_ko.synonyms.keys import english_key, squeezed
from retrieval_ko.synonyms.reading import read_source
from retrieval_ko.text import normalize


class Conflict(NamedTuple):
    """A Korean term for which a later file says something else than the earlier ones."""

    ko: str
    dropped: list[str]
    kept: list[str]
    where: str


class Merged(NamedTuple):
    """The pairs, sorted by Korean term, what was said twice, and where files disagreed."""

    pairs: list[SynonymPair]
    repeated: int
    conflicts: list[Conflict]


def merge(sources: Sequence[Path]) -> Merged:
    """Merge files. Where a later file has a Korean term, its English sides replace those of all earlier files.

    Terms are compared without case and white space (검색 엔진 = 검색엔진), English ones without plural too.

    Raises:
        DataError: a file is missing or damaged; names the line.
    """
    merged: dict[str, list[SynonymPair]] = {}
    conflicts = []
    repeated = 0
    for source in sources:
        later: dict[str, list[SynonymPair]] = defaultdict(list)
        for raw in read_source(source):
            later[squeezed(raw.ko)].append(SynonymPair(ko=normalize(raw.ko), en=normalize(raw.en), source=raw.source, domain=raw.domain))
        for term, said in later.items():
            pairs = _once(said)
            repeated += len(said) - len(pairs)
            old = merged.get(term, [])
            dropped = [pair.en for pair in old if english_key(pair.en) not in {english_key(new.en) for new in pairs}]
            repeated += len(old) - len(dropped)
            if dropped:
                conflicts.append(Conflict(pairs[0].ko, dropped, [pair.en for pair in pairs], str(source)))
            merged[term] = pairs
    pairs = sorted((pair for said in merged.values() for pair in said), key=lambda pair: (pair.ko, pair.en, pair.source))
    return Merged(pairs, repeated, conflicts)


def _once(pairs: Iterable[SynonymPair]) -> list[SynonymPair]:
    first: dict[tuple[str, ...], SynonymPair] = {}
    for pair in pairs:
        first.setdefault(english_key(pair.en), pair)
    return list(first.values())
