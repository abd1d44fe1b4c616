"""The whole way: choose passages, ask the model, read its answers, filter the queries, make training pairs."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.errors import RetrievalError, UsageError
from retrieval_ko.records import Passage, TrainingPair
from retrieval_ko.synthesis.answers import parse_queries
from retrieval_ko.synthesis.backend import AnswerError, TextGenerator
from retrieval_ko.synthesis.filters import KOREAN_SHARE, QueryFilter, korean_share
from retrieval_ko.synthesis.in_order import in_order
from retrieval_ko.synthesis.journal import Journal
from retrieval_ko.synthesis.prompt import PROMPT_VERSION, prompt_for

logger = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 5
"""After so many passages without an answer, one after the other, the fault is not the passages'."""


class Failure(NamedTuple):
    """A passage that the model gave no usable answer to, and why."""

    passage_id: str
    reason: str


@dataclass
class Synthesis:
    """What came of it: the pairs in the order of the passages, and what became of everything else."""

    pairs: list[TrainingPair] = field(default_factory=list)
    documents: int = 0
    answers_from_journal: int = 0
    queries: int = 0
    korean_queries: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    @property
    def kept_share(self) -> float:
        """The share of the model's queries that became pairs, 0 to 1."""
        return len(self.pairs) / self.queries if self.queries else 0.0

    @property
    def korean_share(self) -> float:
        """The share of the model's queries that are Korean; a model that stays under 0.8 is not fit for the task (requirement M39)."""
        return self.korean_queries / self.queries if self.queries else 0.0


def generate_synthetic_qd_pairs(
    documents: Iterable[Passage],
    backend: TextGenerator,
    num_queries_per_doc: int = 3,
    max_documents: int = 1000,
    enable_filtering: bool = True,
    *,
    known_queries: Iterable[str] = (),
    journal: Path | None = None,
    workers: int = 1,
    seed: int = 0,
    on_progress: Callable[[Synthesis, int], None] | None = None,
) -> Synthesis:
    """Let a language model write search queries for passages.

    The result depends on the documents, the settings and the answers, not on `workers` or on how often the run was stopped.

    Args:
        documents: the collection; BM25's round trip searches all of it, whatever `max_documents` says.
        backend: the model.
        num_queries_per_doc: how many queries to ask for, and to keep at most, of each passage.
        max_documents: how many passages to ask about, drawn by `seed`; more later on only adds to those of now.
        enable_filtering: False keeps every query that could be read out of the answers.
        known_queries: queries of the collection, which no synthetic query may repeat.
        journal: where answers are kept from run to run; None: nowhere.
        workers: requests at the same time.
        seed: draws the passages, and the model's words.
        on_progress: called after each passage with the result so far and the number of passages in all.

    Raises:
        UsageError: a number is out of range, or the journal was made with other settings.
        BackendError: the backend does not work at all. The journal holds what was answered before.
        RetrievalError: several passages in a row got no answer, or the disk is full.
    """
    for name, value in {"num_queries_per_doc": num_queries_per_doc, "max_documents": max_documents, "workers": workers}.items():
        if value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1.")
    everything = list(documents)
    chosen = choose_documents(everything, max_documents, seed)
    accepts = QueryFilter(Bm25Index(everything), known_queries) if enable_filtering else None
    result = Synthesis()
    failures_in_a_row = 0

    with ExitStack() as stack:
        settings = {"model": backend.name, "prompt": PROMPT_VERSION, "queries": num_queries_per_doc, "seed": seed}
        kept = stack.enter_context(Journal(journal, settings)) if journal else None

        def ask(passage: Passage) -> str | AnswerError:
            if kept and (answer := kept.answer(passage)) is not None:
                return answer
            try:
                answer = backend.generate(prompt_for(passage, num_queries_per_doc), seed=_seed_of(seed, passage.id))
            except AnswerError as failure:
                return failure
            return kept.keep(passage, answer) if kept else answer

        result.answers_from_journal = sum(1 for passage in chosen if kept and kept.answer(passage) is not None)
        for passage, answer in stack.enter_context(closing(in_order(ask, chosen, workers))):
            result.documents += 1
            if isinstance(answer, AnswerError):
                result.failures.append(Failure(passage.id, answer.problem))
                failures_in_a_row += 1
                if failures_in_a_row == FAILURES_IN_A_ROW:
                    raise RetrievalError(
                        f"The model {backend.name} gave no usable answer to {FAILURES_IN_A_ROW} passages in a row; the last time: "
                        f"{answer.problem}",
                        answer.remedy or "Look after the model, then run the command again: it goes on where it stopped.",
                    )
            else:
                failures_in_a_row = 0
                _take(parse_queries(answer), passage, num_queries_per_doc, accepts, backend.name, result)
            if on_progress:
                on_progress(result, len(chosen))
    if result.queries and result.korean_share <= KOREAN_SHARE:
        logger.warning(
            "Only %.0f %% of the queries that %s wrote are Korean (wanted: more than %.0f %%). Choose a model that knows Korean.",
            100 * result.korean_share,
            backend.name,
            100 * KOREAN_SHARE,
        )
    return result


def choose_documents(documents: list[Passage], size: int, seed: int) -> list[Passage]:
    """Return `size` of the documents in their order, drawn by `seed` and their ids alone: a larger size has all of a smaller one's."""
    drawn = sorted(documents, key=lambda passage: hashlib.sha256(f"{seed}:{passage.id}".encode()).digest())[:size]
    ids = {passage.id for passage in drawn}
    return [passage for passage in documents if passage.id in ids]


def _seed_of(seed: int, passage_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"words:{seed}:{passage_id}".encode()).digest()[:4], "big") >> 1


def _take(queries: list[str], passage: Passage, limit: int, accepts: QueryFilter | None, model: str, result: Synthesis) -> None:
    """Add the pairs of one passage to the result, and count what did not become one."""
    kept = 0
    for query in queries:
        result.queries += 1
        result.korean_queries += korean_share(query) > KOREAN_SHARE
        reason = "surplus" if kept == limit else accepts.rejection(query, passage) if accepts else None
        if reason:
            result.rejected[reason] += 1
            continue
        kept += 1
        meta = {"type": "synthetic", "model": model, "prompt": PROMPT_VERSION}
        result.pairs.append(TrainingPair(query_text=query, positive_passages=[passage.id], meta=meta))
