"""The lexical floor before training: over all pieces, over content pieces, with more weight at a passage's start; BM25 beside it.

python scripts/bench_floor.py COLLECTION --vocabulary DIR --split train --queries 400 --passages 30000

The collection is cut down to the relevant passages and others drawn by their hash, so its figures are higher than those of the whole.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import torch

from retrieval_ko.bm25 import Bm25Index, Ranking
from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.judging import judge, queries_of
from retrieval_ko.records import Passage
from retrieval_ko.term_cache import TermCache
from retrieval_ko.terminal import exit_on_error, print_json
from retrieval_ko.terms import Tokenization
from sparse_ko.building import build_encoder
from sparse_ko.model import SparseEncoder
from sparse_ko.retrieval import SparseIndex
from sparse_ko.settings import TrainSettings

LEADS = ([], [0.3, 0.3, 0.2, 0.2, 0.1, 0.1], [0.45, 0.45, 0.3, 0.3, 0.1, 0.1], [0.8, 0.7, 0.5, 0.5, 0.2, 0.2])
"""Values of `model.lexical_floor.lead`."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--vocabulary", type=Path, required=True, help="a tokenizer's folder, as `sparse-ko vocab train` writes it")
    parser.add_argument("--split", default="train", help="what is chosen on dev cannot be reported on dev")
    parser.add_argument("--queries", type=int, default=400, help="of the split, drawn by their hash")
    parser.add_argument("--passages", type=int, default=30_000, help="beside the relevant ones")
    options = parser.parse_args()
    with exit_on_error(), TermCache() as cache:
        print_json(measure(part(Collection.read(options.collection), options.split, options.queries, options.passages), options, cache))


def part(collection: Collection, split: str, queries: int, others: int) -> Collection:
    """Return the collection with some queries of a split, every passage that is relevant to one of them, and so many others."""
    kept = dict(sorted(collection.judgements[split].items(), key=lambda item: _hash(item[0]))[:queries])
    small = replace(collection, judgements={split: kept})
    relevant = {answer for answers in small.relevant(split).values() for answer in answers}

    def is_relevant(passage: Passage) -> bool:
        return passage.id in relevant or str(passage.metadata.get("parent_id")) in relevant

    by_hash = sorted(collection.passages.values(), key=lambda passage: _hash(passage.id))
    drawn = [passage for passage in by_hash if not is_relevant(passage)][:others]
    inside = {passage.id for passage in drawn} | {passage.id for passage in by_hash if is_relevant(passage)}
    return replace(small, passages={name: passage for name, passage in collection.passages.items() if name in inside})


def measure(collection: Collection, options: argparse.Namespace, cache: TermCache) -> dict[str, object]:
    """Return nDCG@10 of each floor and each BM25."""
    queries = queries_of(collection, options.split)

    def ndcg(name: str, rankings: Iterable[Ranking]) -> float:
        judged = judge(name, zip(queries, rankings, strict=True), collection, options.split, depth=100)
        return round(judged.scores.mean["ndcg@10"], 4)

    def untrained(**model: object) -> SparseEncoder:
        asked = {"form": "lexical-floor", "body": "static", "dimensions": 32, "max_tokens": 256, "max_query_tokens": 128, **model}
        settings = TrainSettings.model_validate({"name": "floor", "vocabulary": {"source": options.vocabulary}, "model": asked})
        return build_encoder(settings, collection)

    def floor(name: str, encoder: SparseEncoder) -> float:
        index = SparseIndex(encoder, collection.passages.values())
        return ndcg(name, index.rank_many(queries, 100).values())

    def bm25(name: str, tokenization: Tokenization) -> float:
        index = Bm25Index(collection.passages.values(), tokenization=tokenization, cache=cache)
        return ndcg(name, index.rank_many(queries.values(), 100))

    content = untrained(content_only=True, lexical_floor={"lead": [0]})
    leads = {}
    for lead in LEADS:
        shares = torch.tensor([*lead, *[0.0] * 8][:8])
        content.module.load_state_dict({"body.lead_bias": shares.atanh()}, strict=False)
        leads[f"content pieces, lead {lead}"] = floor("lead", content)
    return {
        "collection": collection.name,
        "passages": len(collection.passages),
        "queries": len(queries),
        "ndcg@10": {
            "all pieces": floor("all", untrained()),
            **leads,
            "Kiwi, all morphemes": bm25("kiwi-all", Tokenization.KIWI_ALL),
            "Kiwi, content morphemes": bm25("kiwi", Tokenization.KIWI_CONTENT),
            "bigrams": bm25("bigram", Tokenization.BIGRAM),
        },
    }


def _hash(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8).digest()


if __name__ == "__main__":
    main()
