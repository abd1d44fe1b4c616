"""A teacher's scores of each query's candidates, written into a pair file that dense and sparse students read.

While it runs, a journal beside the file keeps what is done, so that a run that was stopped goes on where it was; the pair file itself
appears whole or not at all. A finished file says in its lines by which teacher and settings it was made, and is not made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from dense_ko.distillation.settings import CandidateSettings
from dense_ko.teacher.asked import Asked, RanksByItself, Teacher
from dense_ko.teacher.data import drawn_queries
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import sha256, write_jsonl
from retrieval_ko.pairs.mining import unmarked_answers
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import TrainingPair

logger = logging.getLogger(__name__)

QUERIES_AT_ONCE = 64
"""Queries between two entries of the journal."""
MADE_BY = "teacher"
"""Key in a pair's `meta` that says what its scores were made with."""
_DIGITS = 4


@dataclass
class ScoringReport:
    """What was scored and what was left out."""

    queries: int = 0
    pairs: int = 0
    candidates: int = 0
    """That are left, positives among them."""
    left_out: int = 0
    """Negatives that the teacher holds for answers."""
    without_negatives: int = 0
    """Queries of which none is left: they are not written."""
    resumed: int = 0
    """Queries that an earlier run had scored."""
    out_of_memory: int = 0
    found_whole: bool = False
    """Whether the file was there already, made by the same teacher with the same settings."""
    kept: list[TrainingPair] = field(default_factory=list, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        names = ("queries", "pairs", "candidates", "left_out", "without_negatives", "resumed", "out_of_memory", "found_whole")
        return {name: getattr(self, name) for name in names}


def score_pairs(
    teacher: Teacher,
    teacher_hash: str,
    collection: Collection,
    source: Path,
    target: Path,
    settings: CandidateSettings,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> ScoringReport:
    """Write the pairs of `source` with K candidates each and the teacher's logits as `scores`.

    A query's negatives are in `hard_negatives`: those that the teacher itself ranks highest, where the settings want such; then mined ones,
    hardest first, then random ones where there are too few.

    Args:
        teacher: is asked.
        teacher_hash: of its folder, by which scores of another one are told apart.
        collection: the passages' texts.
        source: a pair file with negatives.
        target: the pair file that is written.
        settings: how many candidates, and which are left out.
        on_progress: told (queries done, queries in all).

    Raises:
        DataError: a pair names an unknown passage, no pair has negatives, or the teacher holds every negative for an answer.
        UsageError: candidates of the teacher's own are wanted of one that cannot rank.
    """
    if settings.own and not hasattr(teacher, "rank"):
        raise UsageError(
            "candidates.own: a cross-encoder finds no candidates by itself; it scores those that are in the pairs.",
            "Set it to 0, or use an ensemble: lex-dpr teacher fit --collection DIR --out DIR",
        )
    if source.resolve() == target.resolve():
        raise DataError(f"{target} would replace the pairs it is made of.", "Give the scored pairs a name of their own.")
    if found := already_scored(teacher_hash, source, target, settings):
        return found
    made_by = _fingerprint(teacher_hash, sha256(source), settings)
    pairs = _read(source, collection, settings)
    candidates = _Candidates(teacher, collection, pairs, settings)
    journal = _Journal(target, made_by)
    report = ScoringReport(queries=len(pairs))
    done = journal.read()
    report.resumed = min(len(done), len(pairs))
    before = teacher.out_of_memory
    for start in range(len(done), len(pairs), QUERIES_AT_ONCE):
        entries = list(_scored(teacher, collection, pairs[start : start + QUERIES_AT_ONCE], settings, candidates))
        journal.add(entries)
        done += entries
        if on_progress:
            on_progress(len(done), len(pairs))
    report.out_of_memory = teacher.out_of_memory - before
    for entry in done:
        report.pairs += entry["asked"]
        report.left_out += entry["left_out"]
        pair = TrainingPair.model_validate(entry["pair"])
        if pair.hard_negatives:
            report.kept.append(pair.model_copy(update={"meta": {**pair.meta, MADE_BY: made_by}}))
            report.candidates += len(pair.scores)
        else:
            report.without_negatives += 1
    if not report.kept:
        raise DataError(
            f"The teacher holds every one of {report.left_out:,} negatives of {source} for an answer, so no pair is left.",
            "A teacher that was hardly trained tells nothing apart; train it longer, or set candidates.filter_share: null.",
        )
    write_pairs(target, report.kept)
    journal.remove()
    return report


def already_scored(teacher_hash: str, source: Path, target: Path, settings: CandidateSettings) -> ScoringReport | None:
    """Return the report of a finished file that the same teacher made of the same pairs, so that no teacher need be loaded; else None."""
    if not source.is_file() or not _is_made_by(target, _fingerprint(teacher_hash, sha256(source), settings)):
        return None
    kept = list(read_pairs(target))
    return ScoringReport(queries=len(kept), candidates=sum(len(pair.scores) for pair in kept), found_whole=True, kept=kept)


def _read(source: Path, collection: Collection, settings: CandidateSettings) -> list[TrainingPair]:
    pairs = list(read_pairs(source))
    if settings.max_samples is not None:
        kept = drawn_queries({pair.query_text for pair in pairs}, settings.max_samples)
        pairs = [pair for pair in pairs if pair.query_text in kept]
    if not settings.own and not any(pair.hard_negatives or pair.random_negatives for pair in pairs):
        raise DataError(f"No pair of {source} has negatives.", f"Add them with: sparse-ko data mine {source.parent.parent}")
    for pair in pairs:
        for passage in (*pair.positive_passages, *pair.hard_negatives, *pair.random_negatives):
            if passage not in collection.passages:
                raise DataError(
                    f"{source}: the pair of {pair.query_id or pair.query_text!r} names {passage!r}, which corpus.jsonl does not hold.",
                    "Everything that is wrong with the collection is listed by: sparse-ko data check",
                )
    return pairs


def _scored(
    teacher: Teacher, collection: Collection, pairs: Sequence[TrainingPair], settings: CandidateSettings, candidates: _Candidates
) -> Iterator[dict[str, Any]]:
    negatives = [candidates.of(pair) for pair in pairs]
    asked = [Asked(pair.query_id, pair.query_text, [*pair.positive_passages, *own]) for pair, own in zip(pairs, negatives, strict=True)]
    found = teacher.score_candidates(asked, collection.passages, settings.batch_size)
    for pair, one, logits, own in zip(pairs, asked, found, negatives, strict=True):
        scores = {passage: round(logit, _DIGITS) for passage, logit in zip(one.passages, logits, strict=True)}
        kept, left_out = _filtered(scores, pair.positive_passages, own, settings.filter_share)
        kept = kept[: settings.k - 1]
        row = pair.model_copy(
            update={
                "hard_negatives": kept,
                "random_negatives": [],
                "scores": {passage: scores[passage] for passage in (*pair.positive_passages, *kept)},
            }
        )
        yield {"asked": len(one.passages), "left_out": left_out, "pair": row.model_dump(exclude_defaults=True)}


class _Candidates:
    """Which passages of a query are scored beside its answers."""

    def __init__(self, teacher: Teacher, collection: Collection, pairs: Sequence[TrainingPair], settings: CandidateSettings) -> None:
        self._teacher, self._settings = teacher, settings
        self._answers = unmarked_answers(collection)
        self._positives: dict[str, set[str]] = {}
        for pair in pairs:  # pairs of one query share their answers
            self._positives.setdefault(pair.query_id or pair.query_text, set()).update(pair.positive_passages)

    def of(self, pair: TrainingPair) -> list[str]:
        """Return a query's negatives: the teacher's own, as many as are wanted; then mined ones, then random ones."""
        count = self._settings.k - 1 + self._settings.spare
        given = [*pair.hard_negatives, *pair.random_negatives]
        return list(dict.fromkeys([*self._own(pair), *given]))[:count]

    def _own(self, pair: TrainingPair) -> list[str]:
        wanted = self._settings.own
        if not wanted:
            return []
        answers = self._answers(pair) | self._positives[pair.query_id or pair.query_text]
        ranking = cast(RanksByItself, self._teacher).rank(pair.query_id, pair.query_text, wanted + len(answers))
        return [passage for passage, _ in ranking if passage not in answers][:wanted]


def _filtered(scores: dict[str, float], positives: Sequence[str], negatives: Sequence[str], share: float | None) -> tuple[list[str], int]:
    """Return the negatives that stay, and how many the teacher holds for answers."""
    if share is None:
        return list(negatives), 0
    limit = share * max(_probability(scores[passage]) for passage in positives)
    kept = [passage for passage in negatives if _probability(scores[passage]) <= limit]
    return kept, len(negatives) - len(kept)


def _probability(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.float64(np.clip(logit, -700, 700)))))


def _fingerprint(teacher_hash: str, source_hash: str, settings: CandidateSettings) -> str:
    told = settings.model_dump(exclude={"batch_size"})  # it changes speed alone
    return hashlib.sha256(json.dumps([teacher_hash, source_hash, told], sort_keys=True).encode()).hexdigest()[:16]


def _is_made_by(target: Path, made_by: str) -> bool:
    """Return whether a finished file was made by the same teacher from the same pairs; it is whole where it is there at all."""
    return target.is_file() and all(made == made_by for made in Counter(pair.meta.get(MADE_BY) for pair in read_pairs(target)))


class _Journal:
    """What is scored so far: a line that says by whom, then a line a query, in the order of the pairs."""

    def __init__(self, target: Path, made_by: str) -> None:
        self._file = target.with_name(f".{target.name}.journal")
        self._made_by = made_by

    def read(self) -> list[dict[str, Any]]:
        """Return the entries of an earlier run with the same teacher and settings; start anew where there are none.

        A last line that a power cut left unfinished is dropped.
        """
        entries = self._entries()
        write_jsonl(self._file, [{MADE_BY: self._made_by}, *entries])  # whole or not at all: a kill here must not cost what is scored
        return entries

    def _entries(self) -> list[dict[str, Any]]:
        if not self._file.is_file():
            return []
        rows: list[dict[str, Any]] = []
        for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break  # and what is after it, if anything is, was written by nobody of ours
        if not rows or rows[0] != {MADE_BY: self._made_by}:
            logger.warning("%s was left by a run with another teacher or other settings; scoring starts anew.", self._file)
            return []
        return rows[1:]

    def add(self, entries: Sequence[dict[str, Any]]) -> None:
        """Append entries and hand them to the operating system."""
        with self._file.open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)

    def remove(self) -> None:
        """Delete the journal of a run that is through."""
        self._file.unlink(missing_ok=True)
