"""Measure how many unmarked answers the rules of mining let through: of each query one known answer is hidden, as if nobody had marked it.

python scripts/bench_negatives.py COLLECTION --queries 3000
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

from retrieval_ko.bm25 import Bm25Index, Ranking
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.pairs.mining import MiningReport, MiningSettings, mine
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.records import TrainingPair
from retrieval_ko.terminal import exit_on_error, print_json
from retrieval_ko.terms import Tokenization, available_cores

RULES: dict[str, dict[str, Any]] = {
    "score rule off": {"score_share": None},
    "score ≥ 1.2 × positive": {"score_share": 1.2},
    "score ≥ 1.0 × positive": {"score_share": 1.0},
    "score ≥ 0.95 × positive (default)": {},
    "first 5 skipped": {"score_share": None, "skip_first": 5},
    "first 10 skipped": {"score_share": None, "skip_first": 10},
}


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("collection", type=Path, help="a collection folder with pairs/SPLIT.jsonl")
    arguments.add_argument("--split", default="train")
    arguments.add_argument("--queries", type=int, default=3000)
    arguments.add_argument("--tokenization", type=Tokenization, choices=list(Tokenization), default=Tokenization.BIGRAM)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    with exit_on_error():
        read = Collection.read(options.collection)
        pairs = [pair for pair in read_pairs(options.collection / "pairs" / f"{options.split}.jsonl") if len(pair.positive_passages) > 1]
        if not pairs:
            raise DataError("No query has two positives, so that one could be hidden.")
        chance = random.Random(options.seed)
        pairs = chance.sample(pairs, min(options.queries, len(pairs)))
        index = Bm25Index(read.passages.values(), tokenization=options.tokenization, workers=available_cores())
        rankings = list(index.rank_many(pair.query_text for pair in pairs))
        hidden = [chance.choice(pair.positive_passages) for pair in pairs]
        rows = {name: _measured(read, pairs, hidden, rankings, MiningSettings(**rule)) for name, rule in RULES.items()}
    if options.json:
        print_json(rows)
        return
    print(f"{len(pairs):,} queries; how many have their hidden answer among the hard negatives, what rank those have, how many are missing")
    for name, row in rows.items():
        print(
            f"{name:<36} {row['queries_with_hidden_answer']:6.1%}   median rank {row['median_rank_of_hard']:g}   padded {row['padded']:,}"
        )


def _measured(
    collection: Collection, pairs: list[TrainingPair], hidden: list[str], rankings: list[Ranking], settings: MiningSettings
) -> dict[str, Any]:
    known = [
        pair.model_copy(update={"query_id": str(number), "positive_passages": [p for p in pair.positive_passages if p != away]})
        for number, (pair, away) in enumerate(zip(pairs, hidden, strict=True))
    ]
    report = MiningReport()
    mined = mine(known, collection.passages, rankings, settings, report)
    found = sum(away in pair.hard_negatives for pair, away in zip(mined, hidden, strict=True))
    return {"queries_with_hidden_answer": found / len(pairs), **report.as_json()}


if __name__ == "__main__":
    main()
