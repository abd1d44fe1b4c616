"""What particles and endings do to BM25 over the pieces of a vocabulary: all pieces, content pieces, and Kiwi's morphemes beside them.

python scripts/bench_content_pieces.py COLLECTION --vocabulary DIR --passages 30000

The collection is cut down to the relevant passages and others drawn by their hash, so its figures are higher than those of the whole.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.collection import Collection, texts_of
from retrieval_ko.evaluation.judging import judge, queries_of
from retrieval_ko.records import Passage
from retrieval_ko.term_cache import TermCache
from retrieval_ko.terminal import exit_on_error, print_json
from retrieval_ko.terms import Tokenization
from sparse_ko.vocabulary import load_tokenizer
from sparse_ko.vocabulary.content import function_pieces

JUDGED_BY = 2_000_000
"""Characters of the passages from which the function pieces are found."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--vocabulary", type=Path, required=True, help="a tokenizer's folder, as `sparse-ko vocab train` writes it")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--passages", type=int, default=30_000, help="beside the relevant ones")
    options = parser.parse_args()
    with exit_on_error(), TermCache() as cache:
        print_json(measure(part(Collection.read(options.collection), options.split, options.passages), options, cache))


def part(collection: Collection, split: str, others: int) -> Collection:
    """Return the collection with every relevant passage of a split and so many others."""
    relevant = {answer for answers in collection.relevant(split).values() for answer in answers}

    def is_relevant(passage: Passage) -> bool:
        return passage.id in relevant or str(passage.metadata.get("parent_id")) in relevant

    by_hash = sorted(collection.passages.values(), key=lambda passage: blake2b(passage.id.encode(), digest_size=8).digest())
    drawn = [passage for passage in by_hash if not is_relevant(passage)][:others]
    kept = {passage.id for passage in drawn} | {passage.id for passage in by_hash if is_relevant(passage)}
    return replace(collection, passages={name: passage for name, passage in collection.passages.items() if name in kept})


def measure(collection: Collection, options: argparse.Namespace, cache: TermCache) -> dict[str, object]:
    """Return nDCG@10 of each way to cut text."""
    tokenizer = load_tokenizer(options.vocabulary, 512)
    silent = set(tokenizer.convert_ids_to_tokens(function_pieces(tokenizer, _some(texts_of(collection.passages.values())))))
    queries = queries_of(collection, options.split)

    def ndcg(name: str, **cut: object) -> float:
        index = Bm25Index(collection.passages.values(), **cut)  # type: ignore[arg-type]
        rankings = zip(queries, index.rank_many(queries.values(), 100), strict=True)
        return round(judge(name, rankings, collection, options.split, depth=100).scores.mean["ndcg@10"], 4)

    def pieces(keep: Callable[[str], bool]) -> Callable[[str], list[str]]:
        backend = tokenizer.backend_tokenizer
        backend.no_truncation()
        return lambda text: [piece for piece in backend.encode(text, add_special_tokens=False).tokens if keep(piece)]

    return {
        "collection": collection.name,
        "passages": len(collection.passages),
        "queries": len(queries),
        "function_pieces": len(silent),
        "ndcg@10": {
            "all pieces": ndcg("all", terms_of=pieces(lambda piece: True)),
            "content pieces": ndcg("content", terms_of=pieces(lambda piece: piece not in silent)),
            "Kiwi, all morphemes": ndcg("kiwi-all", tokenization=Tokenization.KIWI_ALL, cache=cache),
            "Kiwi, content morphemes": ndcg("kiwi", tokenization=Tokenization.KIWI_CONTENT, cache=cache),
            "bigrams": ndcg("bigram", tokenization=Tokenization.BIGRAM),
        },
    }


def _some(texts: list[str]) -> list[str]:
    by_hash = sorted(texts, key=lambda text: blake2b(text.encode(), digest_size=8).digest())
    total, some = 0, []
    for text in by_hash:
        total += len(text)
        if total > JUDGED_BY:
            break
        some.append(text)
    return some


if __name__ == "__main__":
    main()
