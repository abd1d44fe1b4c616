"""The whole evaluation of one split: BM25's rows, the encoders' rows, and what is known of each encoder besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval_ko.bm25 import Ranking
from retrieval_ko.collection import Collection, texts_of
from retrieval_ko.collection_statistics.distribution import Distribution
from retrieval_ko.evaluation.baselines import Baseline, bm25_rows
from retrieval_ko.evaluation.evaluation_json import best_baseline, evaluation_json
from retrieval_ko.evaluation.groups import query_groups
from retrieval_ko.evaluation.identity import conditions, data_hashes
from retrieval_ko.evaluation.judging import DEPTH, EVALUATION_DEPTH, SystemResult
from retrieval_ko.records import SynonymPair
from retrieval_ko.term_cache import TermCache
from sparse_ko.evaluation.encoded_passages import EncodedPassages
from sparse_ko.evaluation.failures import losses_and_wins
from sparse_ko.evaluation.latency import latency
from sparse_ko.evaluation.measuring import MeasuredEncoder, measure_encoder
from sparse_ko.evaluation.translation import TranslatedPair, translate, translation_facts
from sparse_ko.evaluation.weight_statistics import dimensions, function_share, function_share_of_pieces, share_over_limit, top_terms

if TYPE_CHECKING:
    from sparse_ko.model import SparseEncoder

SHOWN_PAIRS = 15
OnProgress = Callable[[str, int, int], None]
"""Told what is done, how many passages of it, and of how many."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured, and how."""

    split: str = "dev"
    baselines: Sequence[Baseline] = tuple(Baseline)
    marks: Sequence[str] = ()
    """Keys of the queries' metadata by which nDCG@10 is reported too."""
    synonyms: Sequence[SynonymPair] = ()
    """A test list of term pairs; empty: translation is not measured."""
    depth: int = EVALUATION_DEPTH
    workers: int = 1
    kept_folder: Path | None = None
    """Where passages' weights are kept between runs."""
    command: str = ""
    """What was typed, for the report."""


@dataclass
class Evaluation:
    """All that an evaluation found."""

    report: dict[str, Any]
    results: list[SystemResult]
    dimensions: dict[str, dict[str, Distribution]] = field(default_factory=dict)
    synonym_lines: dict[str, list[str]] = field(default_factory=dict)


def evaluate_models(
    models: Mapping[str, Path],
    folder: Path,
    collection: Collection,
    settings: EvaluationSettings,
    *,
    terms: TermCache | None = None,
    on_progress: OnProgress = lambda what, done, total: None,
    further_rows: Callable[[str, Mapping[str, Ranking]], Sequence[SystemResult]] | None = None,
) -> Evaluation:
    """Measure BM25 and encoders on one split, one after the other; only one encoder's weights are in memory at a time.

    Args:
        models: name of the row → model folder.
        folder: of the collection, for the hashes of its files.
        collection: as read from there.
        settings: what is measured.
        terms: Kiwi's analyses of earlier runs.
        on_progress: told how far encoding and Kiwi are.
        further_rows: what else is to stand in the table for each encoder, given its row's name and its first 100 places a query.

    Raises:
        DataError: there is no such split; the list of synonyms is too short; a cache is damaged.
        ModelError: a model folder is missing or damaged.
    """
    total = len(collection.passages)
    groups = query_groups(collection, settings.split, settings.marks)
    encoders = _loaded(models)
    results = bm25_rows(
        collection,
        settings.split,
        settings.baselines,
        depth=settings.depth,
        workers=settings.workers,
        cache=terms,
        on_progress=lambda name, done: on_progress(f"bm25-{name}", done, total),
    )
    baseline = best_baseline(results)
    evaluation = Evaluation({}, results)
    cases, synonyms = {}, {}
    for name, encoder in encoders.items():
        kept = EncodedPassages.of(settings.kept_folder, models[name], collection)
        measured = measure_encoder(
            encoder,
            name,
            collection,
            settings.split,
            depth=settings.depth,
            workers=settings.workers,
            kept=kept,
            on_progress=lambda done, name=name: on_progress(name, done, total),  # type: ignore[misc]
        )
        measured.result.facts.update(encoder_facts(measured, collection))
        results.append(measured.result)
        if further_rows:
            rankings = measured.index.rankings(measured.vectors, DEPTH)
            results += further_rows(name, dict(zip(measured.queries, rankings, strict=True)))
        evaluation.dimensions[name] = {
            "passages": Distribution(np.diff(measured.index.weights.indptr).tolist()),
            "queries": Distribution(np.diff(measured.vectors.indptr).tolist()),
        }
        if baseline:
            cases[name] = {"against": baseline.system, **losses_and_wins(measured, baseline, collection, settings.split)}
        if settings.synonyms:
            translated = translate(encoder, settings.synonyms)
            synonyms[name] = {**translation_facts(encoder, translated), "examples": _examples(translated)}
            evaluation.synonym_lines[name] = synonym_lines(translated)
        del measured
    evaluation.report = evaluation_json(
        collection,
        settings.split,
        results,
        depth=settings.depth,
        data=data_hashes(folder, collection, settings.split),
        conditions=_conditions(settings, bool(models)),
        groups=groups,
    )
    for key, found in (("cases", cases), ("synonyms", synonyms)):
        if found:
            evaluation.report[key] = found
    return evaluation


def _loaded(models: Mapping[str, Path]) -> dict[str, SparseEncoder]:
    """Load all models before the work begins, so that a damaged one is known at once; BM25 alone needs no torch."""
    if not models:
        return {}
    from sparse_ko.model import SparseEncoder

    return {name: SparseEncoder.load(model) for name, model in models.items()}


def encoder_facts(measured: MeasuredEncoder, collection: Collection) -> dict[str, Any]:
    """Return what an encoder's row says besides its scores: dims, top_terms, function_share, over_limit, latency."""
    passages = list(collection.passages.values())
    tokenizer = measured.encoder.tokenizer
    tokens = tokenizer.convert_ids_to_tokens(list(range(measured.index.weights.shape[1])))
    of_pieces = function_share_of_pieces(tokenizer, [*texts_of(passages), *measured.queries.values()])
    sides = {"passages": measured.index.weights, "queries": measured.vectors}
    return {
        "dims": {side: dimensions(weights) for side, weights in sides.items()},
        "top_terms": [[token, round(share, 4)] for token, share in top_terms(measured.index.weights, tokens)],
        "function_share": {side: function_share(weights, of_pieces)._asdict() for side, weights in sides.items()},
        "over_limit": {
            "passages": share_over_limit(tokenizer, texts_of(passages), measured.encoder.max_tokens),
            "queries": share_over_limit(tokenizer, list(measured.queries.values()), measured.encoder.max_tokens),
        },
        "latency": latency(measured, passages),
    }


def synonym_lines(translated: Sequence[TranslatedPair]) -> list[str]:
    """Return the table of all pairs, tab-separated, the header first."""
    lines = ["\t".join(["ko", "en", "cosine", "control_cosine", "english_rank", "korean_rank", "english_terms", "korean_terms"])]
    for row in translated:
        ranks = ["" if rank is None else str(rank) for rank in (row.english_rank, row.korean_rank)]
        cosines = [f"{row.cosine:.4f}", f"{row.control_cosine:.4f}"]
        lines.append("\t".join([row.pair.ko, row.pair.en, *cosines, *ranks, " ".join(row.english_terms), " ".join(row.korean_terms)]))
    return lines


def _examples(translated: Sequence[TranslatedPair]) -> list[dict[str, Any]]:
    step = max(1, len(translated) // SHOWN_PAIRS)
    return [
        {
            "ko": row.pair.ko,
            "en": row.pair.en,
            "cosine": round(row.cosine, 4),
            "english_terms": row.english_terms,
            "korean_terms": row.korean_terms,
        }
        for row in translated[::step][:SHOWN_PAIRS]
    ]


def _conditions(settings: EvaluationSettings, with_models: bool) -> dict[str, Any]:
    found = conditions() | {"workers": settings.workers}
    if with_models:
        import torch

        found["torch_threads"] = torch.get_num_threads()
        found["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    return found | ({"command": settings.command} if settings.command else {})
