"""Terms that mean too many things to stand for one another: found by how many unrelated counterparts they have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from retrieval_ko.synonyms.cleaning import Clean
from retrieval_ko.synonyms.keys import Key

MOST_VARIANTS = 2
"""Counterparts that a term may keep; 임금 has salary and wage."""
MOST_MEANINGS = 2
"""A term whose counterparts fall into more unrelated groups is ambiguous, unless one group dominates."""
DOMINANCE = 2
"""A meaning dominates where sources give it at least so often (each wording counts), and any other at most half as often."""
ALIKE = 0.7
"""Above this share of equal letters two words are one word spelt in two ways: 컨볼루셔널, 컨벌루셔널."""
SOURCE_ORDER = ("cldr-", "d2l", "cncf", "soundblue-programming", "soundblue-domains", "soundblue-words", "")
"""Which source's wording is kept first; the empty prefix is every other source."""


class Disambiguation(NamedTuple):
    """What stays, and what was left out for which reason."""

    kept: list[Clean]
    duplicates: list[Clean]
    ambiguous: list[Clean]
    surplus: list[Clean]


def source_rank(source: str) -> int:
    """Return the place of a source in `SOURCE_ORDER`, 0 first."""
    return next(rank for rank, prefix in enumerate(SOURCE_ORDER) if source.startswith(prefix))


def disambiguate(pairs: Iterable[Clean]) -> Disambiguation:
    """Leave out repetitions, ambiguous terms and more than two variants, from both sides.

    A term's counterparts are grouped into meanings: two belong together where they share a word (or morpheme) or are spelt alike.
    Of more than two meanings the dominant one stays, if there is one. Of two meanings from different fields none stays, but for a
    name that CLDR gives.
    """
    votes: dict[tuple[Key, Key], set[str]] = defaultdict(set)
    first: dict[tuple[Key, Key], Clean] = {}
    spelt: dict[tuple[str, str], tuple[Key, Key]] = {}
    duplicates = []
    for pair in sorted(pairs, key=lambda pair: (source_rank(pair.source), pair.source, len(pair.en), pair.ko, pair.en)):
        identity = spelt.setdefault((pair.ko_squeezed, pair.en_squeezed), (pair.ko_key, pair.en_key))
        votes[identity].add(pair.source)
        if identity in first:
            duplicates.append(pair)
        else:
            first[identity] = pair
    ambiguous, surplus = set(), set()
    for term, counterpart in ((lambda pair: pair.ko_key, lambda pair: pair.en_key), (lambda pair: pair.en_key, lambda pair: pair.ko_key)):
        for group in _grouped(first.values(), term):
            out, over = _judge(group, counterpart, lambda pair: len(votes[pair.ko_key, pair.en_key]))
            ambiguous.update(out)
            surplus.update(over)
    surplus -= ambiguous
    kept = [pair for pair in first.values() if pair not in ambiguous and pair not in surplus]
    return Disambiguation(
        kept, duplicates, [pair for pair in first.values() if pair in ambiguous], [pair for pair in first.values() if pair in surplus]
    )


def _grouped(pairs: Iterable[Clean], key: Callable[[Clean], Key]) -> Iterable[list[Clean]]:
    groups: dict[Key, list[Clean]] = defaultdict(list)
    for pair in pairs:
        groups[key(pair)].append(pair)
    return groups.values()


def _judge(group: list[Clean], counterpart: Callable[[Clean], Key], votes: Callable[[Clean], int]) -> tuple[list[Clean], list[Clean]]:
    """Return which pairs of one term are ambiguous and which are surplus variants; `group` comes best first."""
    if len(group) <= 1:
        return [], []
    meanings = meanings_of(group, counterpart)
    if len(meanings) > MOST_MEANINGS:
        counts = sorted(((sum(map(votes, meaning)), -place) for place, meaning in enumerate(meanings)), reverse=True)
        if counts[0][0] < DOMINANCE or 2 * counts[1][0] > counts[0][0]:
            return group, []
        chosen = meanings[-counts[0][1]]
        return [pair for pair in group if pair not in chosen], chosen[MOST_VARIANTS:]
    if len(meanings) > 1 and are_homonyms(meanings):
        chosen = next((meaning for meaning in meanings if meaning[0].source.startswith("cldr-")), [])
        return [pair for pair in group if pair not in chosen], chosen[MOST_VARIANTS:]
    ranked = sorted(group, key=lambda pair: -votes(pair))
    return [], ranked[MOST_VARIANTS:]


def are_homonyms(meanings: Sequence[Sequence[Clean]]) -> bool:
    """Tell whether the meanings of a term come from different fields, as of 의사: pseudo (machine learning), doctor (hospital)."""
    fields = [{pair.domain.split("/")[0] for pair in meaning} for meaning in meanings]
    return all("" not in field for field in fields) and not set.intersection(*fields)


def meanings_of(group: Sequence[Clean], counterpart: Callable[[Clean], Key]) -> list[list[Clean]]:
    """Group the pairs of one term into meanings, in order."""
    meanings: list[list[Clean]] = []
    for pair in group:
        related = [meaning for meaning in meanings if any(are_related(counterpart(pair), counterpart(other)) for other in meaning)]
        for meaning in related[1:]:
            meanings.remove(meaning)
            related[0].extend(meaning)
        if related:
            related[0].append(pair)
        else:
            meanings.append([pair])
    return meanings


def are_related(one: Key, other: Key) -> bool:
    """Tell whether two terms share a word, hold one another, or are spelt alike."""
    if set(one) & set(other):
        return True
    left, right = "".join(one), "".join(other)
    if min(len(left), len(right)) > 2 and (left in right or right in left):
        return True
    return SequenceMatcher(None, left, right, autojunk=False).ratio() >= ALIKE
