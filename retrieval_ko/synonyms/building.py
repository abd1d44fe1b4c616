"""From sources to a synonym folder: synonyms.jsonl to train on, synonyms-test.jsonl to measure on, names apart, and a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from retrieval_ko.errors import DataError
from retrieval_ko.files import new_folder, write_json, write_jsonl
from retrieval_ko.records import SynonymPair
from retrieval_ko.synonyms.ambiguity import Disambiguation, disambiguate
from retrieval_ko.synonyms.cleaning import Clean, Rule, clean
from retrieval_ko.synonyms.reading import RawPair, licence_of
from retrieval_ko.synonyms.splitting import TEST_SIZE, Side, is_testable, sides, sides_of, split, withhold
from retrieval_ko.text import morphemes_of_many, normalize

TRAINING_FILE = "synonyms.jsonl"
TEST_FILE = "synonyms-test.jsonl"
NAMES_FILE = "names.jsonl"
REPORT_FILE = "report.json"
FILES = (TRAINING_FILE, TEST_FILE, NAMES_FILE)


class Built(NamedTuple):
    """What `build` made: the three lists and the report."""

    training: list[Clean]
    test: list[Clean]
    names: list[Clean]
    report: dict[str, Any]


def build(pairs: Iterable[RawPair], *, also: Iterable[RawPair] = (), test_size: int = TEST_SIZE, seed: int = 0) -> Built:
    """Clean, disambiguate and split pairs. The order of `pairs` does not matter to the lists.

    Args:
        pairs: what the lists are made from.
        also: what training reads besides, e.g. a collection's own synonyms; its terms never get into the test list.
        test_size: pairs of the test list.
        seed: decides which pairs those are.

    Raises:
        DataError: nothing usable is left, or too little for the test list.
    """
    raw = list(pairs)
    terms = [normalize(pair.ko) for pair in raw]
    analyses = dict(zip(terms, morphemes_of_many(terms), strict=True))
    judged = [clean(pair, ko, analyses[ko], is_listed_verb=f"{ko}다" in analyses) for pair, ko in zip(raw, terms, strict=True)]
    cleaned = [pair for pair in judged if isinstance(pair, Clean)]
    left_out: Counter[tuple[str, str]] = Counter()
    left_out.update((pair.source, verdict.value) for pair, verdict in zip(raw, judged, strict=True) if isinstance(verdict, Rule))
    kept = disambiguate(pair for pair in cleaned if not pair.apart)
    apart = disambiguate(pair for pair in cleaned if pair.apart)
    for sifted in (kept, apart):
        left_out.update(_sifted_out(sifted))
    if not kept.kept:
        raise DataError(f"Of {len(raw):,} pairs none is usable as a synonym.", "The report of a folder that was built lists every rule.")

    taken = _sides_of(also)

    def is_candidate(pair: Clean) -> bool:
        return pair.ko in analyses and not sides(pair) & taken and is_testable(pair, analyses[pair.ko])

    training, test, withheld = split(kept.kept, is_candidate, test_size, seed)
    names = withhold(apart.kept, test)
    left_out.update((pair.source, "shares a side with a pair of the test list") for pair in [*withheld, *names.withheld])
    lists = {"training": sorted(training), "test": test, "names": sorted(names.training)}
    return Built(lists["training"], lists["test"], lists["names"], _report(raw, cleaned, left_out, lists, seed))


def _sides_of(pairs: Iterable[RawPair]) -> set[Side]:
    raw = list(pairs)
    terms = [normalize(pair.ko) for pair in raw]
    return {
        side for pair, ko, analysis in zip(raw, terms, morphemes_of_many(terms), strict=True) for side in sides_of(ko, pair.en, analysis)
    }


def _sifted_out(sifted: Disambiguation) -> Iterable[tuple[str, str]]:
    yield from ((pair.source, "said before") for pair in sifted.duplicates)
    yield from ((pair.source, "ambiguous") for pair in sifted.ambiguous)
    yield from ((pair.source, "a third variant") for pair in sifted.surplus)


def _report(
    raw: list[RawPair], cleaned: list[Clean], left_out: Counter[tuple[str, str]], lists: dict[str, list[Clean]], seed: int
) -> dict[str, Any]:
    read = Counter(pair.source for pair in raw)
    counts = {name: Counter(pair.source for pair in members) for name, members in lists.items()}
    used = sorted(source for source in read if any(counted[source] for counted in counts.values()))
    by_rule: Counter[str] = Counter()
    for (_, rule), count in left_out.items():
        by_rule[rule] += count
    return {
        "seed": seed,
        "pairs": {"read": len(raw), **{name: len(members) for name, members in lists.items()}, "left_out": left_out.total()},
        "left_out": dict(sorted(by_rule.items(), key=lambda item: (-item[1], item[0]))),
        "mended": dict(sorted(Counter(note for pair in cleaned for note in pair.mended).items())),
        "sources": {
            source: {
                "licence": licence_of(source),
                "read": read[source],
                **{name: counted[source] for name, counted in counts.items()},
                "left_out": {rule: count for (place, rule), count in sorted(left_out.items()) if place == source},
            }
            for source in sorted(read)
        },
        "licences": {licence: [s for s in used if licence_of(s) == licence] for licence in sorted({licence_of(s) for s in used})},
    }


def write_built(built: Built, folder: Path) -> None:
    """Write the lists and the report as a folder, whole or not at all."""
    with new_folder(folder) as target:
        for file, pairs in zip(FILES, (built.training, built.test, built.names), strict=True):
            write_jsonl(target / file, (row_of(pair) for pair in pairs))
        write_json(target / REPORT_FILE, built.report)


def row_of(pair: Clean | SynonymPair) -> dict[str, str]:
    """Return a pair as its line says it: {ko, en, source, domain?}."""
    return SynonymPair(ko=pair.ko, en=pair.en, source=pair.source, domain=pair.domain).model_dump(exclude_defaults=True)
