"""Hard negatives: passages that a ranking holds for answers and that are none; and random ones beside them."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from retrieval_ko.bm25 import Bm25Index, Ranking
from retrieval_ko.collection import Collection, parents_of
from retrieval_ko.errors import DataError
from retrieval_ko.pairs.near_duplicates import NEAR_DUPLICATE_CONTAINMENT, SHINGLE_SIZE
from retrieval_ko.records import Passage, TrainingPair

_Shingles = npt.NDArray[np.uint32]
_MULTIPLIERS = np.array([random.Random(place).getrandbits(64) | 1 for place in range(SHINGLE_SIZE)], dtype=np.uint64)

QUERY_SHINGLES = 20
"""A query with fewer 8-grams is words that many passages hold, not a statement that one of them repeats."""


class MiningSettings(BaseModel):
    """How many negatives a query gets, and which are held back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hard: Annotated[int, Field(ge=0)] = 10
    random: Annotated[int, Field(ge=0)] = 5
    depth: Annotated[int, Field(ge=1)] = 100
    """How far down the ranking hard negatives may stand."""
    skip_first: Annotated[int, Field(ge=0)] = 0
    """Ranks at the top that are passed over, where many answers are not marked as such."""
    score_share: Annotated[float, Field(gt=0)] | None = 0.95
    """A candidate that scores this share of the best positive's score, or more, may be an answer that nobody marked (Moreira et al. 2024,
    arXiv 2407.15831). Asked only where the ranking holds a positive; None: never. What it changes: docs/data/negatives.md."""
    seed: int = 0


@dataclass
class MiningReport:
    """What was chosen, and what was held back and why; of each query's ranking only what was looked at counts."""

    queries: int = 0
    hard: int = 0
    random: int = 0
    padded: int = 0
    """Random negatives that stand in for hard ones."""
    short_of_random: int = 0
    """Queries for which the collection has too few passages."""
    held_back: Counter[str] = field(default_factory=Counter)
    ranks: Counter[int] = field(default_factory=Counter)
    """Rank from 1 → how many hard negatives stood there."""

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        ranks = median(self.ranks.elements()) if self.ranks else None
        counts = {"queries": self.queries, "hard": self.hard, "random": self.random, "padded": self.padded}
        return counts | {
            "queries_short_of_random": self.short_of_random,
            "median_rank_of_hard": ranks,
            "held_back": {reason: self.held_back[reason] for reason in REASONS},
        }


REASONS = ("skipped", "positive", "excluded", "sibling", "score", "same_text", "repeats_query", "near_duplicate_of_positive")
"""Why a candidate is held back, in the order in which it is asked; the first that holds is counted."""


def mine(
    pairs: Sequence[TrainingPair],
    passages: Mapping[str, Passage],
    rankings: Iterable[Ranking],
    settings: MiningSettings,
    report: MiningReport,
    *,
    group_of: Callable[[str], str] | None = None,
    excluded: Callable[[TrainingPair], AbstractSet[str]] | None = None,
) -> Iterator[TrainingPair]:
    """Yield each pair with its negatives, hardest first; negatives it had are replaced.

    Random negatives depend on the seed and on the query alone, whatever the other pairs and their order.

    Args:
        pairs: queries and their positives. Pairs with one `query_id` (or, without ids, one text) share their positives.
        passages: the collection, by id.
        rankings: what was found for each pair's query, in the order of `pairs`: at least `settings.depth` deep for full use.
        settings: how many, and which are held back.
        report: is filled.
        group_of: passage id → what it is a part of; passages of a positive's group are no negatives. None: no groups.
        excluded: passages that are no negatives of a pair's query, e.g. the case it was taken from. None: none.

    Raises:
        DataError: a positive is not in the collection.
    """
    chooser = _Chooser(passages, settings, report, group_of)
    positives: dict[str, set[str]] = {}
    for pair in pairs:
        positives.setdefault(_query_key(pair), set()).update(pair.positive_passages)
    for pair, ranking in zip(pairs, rankings, strict=True):
        own = positives[_query_key(pair)]
        for passage in sorted(passage for passage in own if passage not in passages):
            query = pair.query_id or pair.query_text[:40]
            raise DataError(f"The pair of the query {query!r} names the positive {passage!r}, which the corpus does not hold.")
        yield chooser.choose(pair, own, excluded(pair) if excluded else frozenset(), ranking)


def _query_key(pair: TrainingPair) -> str:
    return pair.query_id or pair.query_text


def pairs_of(collection: Collection, split: str, index: Bm25Index) -> Iterator[TrainingPair]:
    """Yield a pair without negatives for each query of a split that has a relevant passage.

    Where judgements name parents, the passage of each relevant parent that `index` scores highest is the positive; of equal ones the first.

    Raises:
        DataError: the collection has no such split.
    """
    parts = _parts(collection)
    for query, relevant in collection.relevant(split).items():
        text = collection.queries[query].text
        if collection.judged == "parent":
            scores = index.scores(text)
            relevant = [max(parts[parent], key=lambda passage: scores[index.rows[passage]]) for parent in relevant]
        yield TrainingPair(query_id=query, query_text=text, positive_passages=relevant)


def unmarked_answers(collection: Collection) -> Callable[[TrainingPair], AbstractSet[str]]:
    """Return which passages are no negatives of a pair's query though it does not name them as positives.

    They are what any split judges relevant (all passages of a relevant parent), and what the query's `metadata.excluded` lists.
    """
    parts = _parts(collection)
    answers: dict[str, set[str]] = {}
    for judgements in collection.judgements.values():
        for query, grades in judgements.items():
            relevant = (judged for judged, grade in grades.items() if grade > 0)
            answers.setdefault(query, set()).update(passage for judged in relevant for passage in parts.get(judged, (judged,)))
    for asked in collection.queries.values():
        answers.setdefault(asked.id, set()).update(asked.metadata.get("excluded", ()))
    return lambda pair: answers.get(pair.query_id, frozenset())


def _parts(collection: Collection) -> dict[str, list[str]]:
    """Return parent id → its passages where judgements name parents, else nothing."""
    parts: dict[str, list[str]] = {}
    if collection.judged == "parent":
        for passage, parent in parents_of(collection.passages.values()).items():
            parts.setdefault(parent, []).append(passage)
    return parts


class _Chooser:
    """Chooses negatives, one query after the other."""

    def __init__(
        self,
        passages: Mapping[str, Passage],
        settings: MiningSettings,
        report: MiningReport,
        group_of: Callable[[str], str] | None,
    ) -> None:
        self._passages = passages
        self._ids = sorted(passages)
        self._settings = settings
        self._report = report
        self._group_of = group_of
        # Each passage's 8-grams are made once and stay, about 2 KB a passage: most are candidates of many queries.
        self._shingles = cache(lambda passage: _shingles(passages[passage].text))

    def choose(self, pair: TrainingPair, positives: set[str], excluded: AbstractSet[str], ranking: Ranking) -> TrainingPair:
        settings, report = self._settings, self._report
        rules = _Rules(self._shingles, pair, positives, excluded, self._group_of)
        limit = rules.score_limit(ranking, settings.score_share)
        hard: list[str] = []
        for rank, (candidate, score) in enumerate(ranking[: settings.depth], start=1):
            if len(hard) == settings.hard:
                break
            if reason := "skipped" if rank <= settings.skip_first else rules.reason_against(candidate, score, limit):
                report.held_back[reason] += 1
                continue
            hard.append(candidate)
            rules.take(candidate)
            report.ranks[rank] += 1
        wanted = settings.random + settings.hard - len(hard)
        drawn = self._draw(pair, rules, wanted)
        report.queries += 1
        report.hard += len(hard)
        report.random += len(drawn)
        report.padded += max(0, len(drawn) - settings.random)
        report.short_of_random += len(drawn) < wanted
        return pair.model_copy(update={"hard_negatives": hard, "random_negatives": drawn})

    def _draw(self, pair: TrainingPair, rules: _Rules, wanted: int) -> list[str]:
        # A string seeds by its SHA-512, so that the draw is the same on every machine and in every run.
        chance = random.Random(f"{self._settings.seed}\0{_query_key(pair)}")
        drawn: list[str] = []
        for candidate in _shuffled(self._ids, chance):
            if len(drawn) == wanted:
                break
            if not rules.reason_against(candidate, 0.0, None):
                drawn.append(candidate)
                rules.take(candidate)
        return drawn


class _Rules:
    """Why a passage is no negative of one query."""

    def __init__(
        self,
        shingles_of: Callable[[str], _Shingles],
        pair: TrainingPair,
        positives: set[str],
        excluded: AbstractSet[str],
        group_of: Callable[[str], str] | None,
    ) -> None:
        self._shingles_of, self._group_of = shingles_of, group_of
        self._positives, self._excluded = positives, excluded
        self._positive_groups = {group_of(passage) for passage in positives} if group_of else set()
        self._answers = [shingles_of(passage) for passage in sorted(positives)]
        self._query = _shingles(pair.query_text)
        self._taken: set[str] = set()
        self._taken_texts = {answer.tobytes() for answer in self._answers}

    def score_limit(self, ranking: Ranking, share: float | None) -> float | None:
        """Return the score from which on a candidate may be an answer; None where no positive was found, which says nothing."""
        best = max((score for passage, score in ranking if passage in self._positives), default=None)
        return None if best is None or share is None else share * best

    def reason_against(self, candidate: str, score: float, limit: float | None) -> str:
        """Return why `candidate` is held back, one of `REASONS`, or nothing. The costly questions come last."""
        if candidate in self._positives:
            return "positive"
        if candidate in self._excluded:
            return "excluded"
        if self._group_of and self._group_of(candidate) in self._positive_groups:
            return "sibling"
        if limit is not None and score >= limit:
            return "score"
        own = self._shingles_of(candidate)
        if candidate in self._taken or own.tobytes() in self._taken_texts:
            return "same_text"
        if len(self._query) >= QUERY_SHINGLES and _shared(self._query, own) > NEAR_DUPLICATE_CONTAINMENT * len(self._query):
            return "repeats_query"
        if any(_shared(own, answer) > NEAR_DUPLICATE_CONTAINMENT * min(len(own), len(answer)) for answer in self._answers):
            return "near_duplicate_of_positive"
        return ""

    def take(self, candidate: str) -> None:
        """Remember that `candidate` was chosen; the same text is not chosen again."""
        self._taken.add(candidate)
        self._taken_texts.add(self._shingles_of(candidate).tobytes())


def _shingles(text: str) -> _Shingles:
    """Return the character 8-grams of a text, white space left out, as 32-bit numbers, sorted, each once.

    Multilinear hashing: two 8-grams share a number once in 2³² (Lemire & Kaser 2014, arXiv 1202.4961), so that among a thousand there is
    such a pair once in 9,000 texts. A shorter text is one 8-gram, filled up with zeros; an empty one has none.
    """
    letters = "".join(unicodedata.normalize("NFC", text).split())
    points = np.frombuffer(letters.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if 0 < len(points) < SHINGLE_SIZE:
        points = np.pad(points, (0, SHINGLE_SIZE - len(points)))
    if not len(points):
        return np.empty(0, dtype=np.uint32)
    sums = np.correlate(points, _MULTIPLIERS)
    return np.unique((sums >> np.uint64(32)).astype(np.uint32))


def _shared(left: _Shingles, right: _Shingles) -> int:
    """Return how many 8-grams two texts have in common."""
    small, large = (left, right) if len(left) <= len(right) else (right, left)
    if not len(small):
        return 0
    places = np.minimum(np.searchsorted(large, small), len(large) - 1)
    return int(np.count_nonzero(large[places] == small))


def _shuffled(ids: Sequence[str], chance: random.Random) -> Iterator[str]:
    """Yield all ids once, in random order, at the cost of those that are asked for (Fisher–Yates on the touched places alone)."""
    moved: dict[int, int] = {}
    for place in range(len(ids)):
        other = chance.randrange(place, len(ids))
        yield ids[moved.get(other, other)]
        moved[other] = moved.get(place, place)
