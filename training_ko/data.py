"""Where training pairs come from: a split's judgements, or a pair file with negatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.pairs.mining import unmarked_answers
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.records import TrainingPair
from training_ko.settings import DataSettings, RankingSettings, RunSettings

_MINE = "sparse-ko data mine"


@dataclass(frozen=True, slots=True)
class Example:
    """A query with one passage that answers it.

    Args:
        query_id: empty where the query stands in no collection.
        query: its text.
        positive: id of the passage.
        relevant: ids of all passages that are known to answer the query, or that must not count for it: no negatives, whoever brings them.
        hard: ids of mined negatives, hardest first.
        random: ids of random negatives.
        scores: passage id → a teacher's score.
    """

    query_id: str
    query: str
    positive: str
    relevant: tuple[str, ...] = ()
    hard: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Examples of one kind; a batch comes from one source.

    Args:
        name: of the collection and the file, for people.
        examples: in file order.
        text_of: passage id → what the encoder reads.
        weight: how often a batch comes from here, relative to the number of examples.
    """

    name: str
    examples: Sequence[Example]
    text_of: Callable[[str], str]
    weight: float = 1.0


def read_sources(settings: RunSettings, collection: Collection, others: Mapping[Path, Collection] | None = None) -> list[Source]:
    """Return the pairs that a run trains on, in the order of the settings.

    Args:
        settings: of the run.
        collection: `settings.collection`, read.
        others: the collections that `settings.data` names besides, read.

    Raises:
        DataError: a split or a pair file is missing or empty, names unknown passages, or has no negatives or scores where they are needed.
    """
    others = others or {}
    given = settings.data or [DataSettings(collection=settings.collection or Path(), split="train")]
    return [_source(others.get(place.collection, collection), place, settings) for place in given]


def _source(collection: Collection, place: DataSettings, settings: RunSettings) -> Source:
    file = _pair_file(collection, place, named=bool(settings.data or settings.collection))
    answers = unmarked_answers(collection)
    examples: list[Example] = []
    for pair in _judged_pairs(collection, place.split) if file is None else read_pairs(file):
        _check_passages(pair, collection, file)
        relevant = tuple(dict.fromkeys([*pair.positive_passages, *sorted(answers(pair) & collection.passages.keys())]))
        hard, random = tuple(pair.hard_negatives), tuple(pair.random_negatives)
        for positive in pair.positive_passages:
            examples.append(Example(pair.query_id, pair.query_text, positive, relevant, hard, random, pair.scores))
    name = f"{collection.name}/{place.pairs or place.split}"
    if not examples:
        raise DataError(f"{file or name} holds no pair to train on.", "A judgement counts when its score is above 0.")
    _check_negatives(examples, file, settings)
    if settings.ranking.needs_teacher:
        _check_scores(examples, file, settings.ranking)
    return Source(name, examples, lambda passage: collection.passages[passage].passage_text, place.weight)


def _pair_file(collection: Collection, place: DataSettings, *, named: bool) -> Path | None:
    """Return the pair file to read; None: the judgements are the pairs."""
    folder = place.collection / "pairs"
    if place.pairs is not None:
        file = folder / f"{place.pairs}.jsonl"
        if not file.is_file():
            known = ", ".join(sorted(path.stem for path in folder.glob("*.jsonl"))) or "none at all"
            raise DataError(f"There is no pair file {file}; the collection has: {known}.", f"Write one with: {_MINE} {place.collection}")
        return file
    if collection.judged == "passage":
        return None
    file = folder / f"{place.split}.jsonl"
    if not named or not file.is_file():
        raise DataError(
            f"{collection.name} is judged at parents (pages, articles), so its judgements don't say which passage answers, "
            f"and there is no pair file {file} that does.",
            f"Write one with: {_MINE} {place.collection} --split {place.split}",
        )
    return file


def _judged_pairs(collection: Collection, split: str) -> Iterable[TrainingPair]:
    for query, passages in collection.relevant(split).items():
        yield TrainingPair(query_id=query, query_text=collection.queries[query].text, positive_passages=passages)


def _check_passages(pair: TrainingPair, collection: Collection, file: Path | None) -> None:
    for passage in (*pair.positive_passages, *pair.hard_negatives, *pair.random_negatives):
        if passage not in collection.passages:
            raise DataError(
                f"{file}: the pair of {pair.query_id or pair.query_text!r} names {passage!r}, which corpus.jsonl does not hold.",
                "Everything that is wrong with the collection is listed by: sparse-ko data check",
            )


def _check_negatives(examples: Sequence[Example], file: Path | None, settings: RunSettings) -> None:
    training = settings.training
    for kind, wanted, found in (
        ("hard", training.hard_negatives, any(example.hard for example in examples)),
        ("random", training.random_negatives, any(example.random for example in examples)),
    ):
        if wanted and file is not None and not found:
            raise DataError(
                f"training.{kind}_negatives is {wanted}, and no pair of {file} has {kind} negatives.",
                f"Add them with: {_MINE} {file.parent.parent}",
            )


def _check_scores(examples: Sequence[Example], file: Path | None, ranking: RankingSettings) -> None:
    if not any(example.scores for example in examples):
        raise DataError(
            f"ranking.loss: {ranking.loss} learns from a teacher's scores, and no pair of {file or 'the judgements'} has any.",
            'A pair\'s scores stand in its line: "scores": {"PASSAGE": 12.5, …}; without a teacher use ranking.loss: infonce.',
        )
