"""What a measurement of dev found, and the queries' own values behind its means, so that two runs can be tested against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from retrieval_ko.evaluation.per_query import write_values
from retrieval_ko.runs.comparison import DEV_QUERIES

if TYPE_CHECKING:
    from retrieval_ko.collection import Collection
    from retrieval_ko.evaluation.judging import SystemResult
    from retrieval_ko.runs import Run

METRICS = ("ndcg@10", "ndcg@5", "mrr@10", "recall@10", "recall@5")
"""Measured on dev, the one that decides first."""


class DevFigures(dict[str, float]):
    """Dev figures by name, as they are logged.

    Args:
        figures: name, beginning with dev_, → value.
        result: the rankings' scores that they stand on.
        collection: what was searched, as `dev_part` returned it.
        split: whose queries were asked.
    """

    def __init__(self, figures: Mapping[str, float], result: SystemResult, collection: Collection, split: str) -> None:
        super().__init__(figures)
        self._result = result
        self._collection = collection
        self._split = split

    def keep(self, run: Run) -> None:
        """Write each query's values into the run's folder, and once on what data they were measured."""
        write_values(run.folder / DEV_QUERIES, self._result)
        if "dev" not in run.metadata():
            judgements = self._collection.judgements[self._split]
            run.note(
                dev={
                    "collection": self._collection.name,
                    "split": self._split,
                    "queries": len(judgements),
                    "passages": len(self._collection.passages),
                    "sha256": dev_hash(self._collection, self._split),
                }
            )


def dev_means(result: SystemResult) -> dict[str, float]:
    """Return the means of `METRICS` under the names they are logged by, such as dev_ndcg@10."""
    return {f"dev_{metric}": result.scores.mean[metric] for metric in METRICS}


def dev_hash(collection: Collection, split: str) -> str:
    """Return one SHA-256 over the queries of a split, their judgements, the passages searched and how they are judged.

    It does not depend on the order of anything.
    """
    digest = hashlib.sha256(collection.judged.encode())
    for query, grades in sorted(collection.judgements[split].items()):
        asked = collection.queries[query]
        _add(digest, query, asked.text, *sorted(asked.metadata.get("excluded", ())))
        for name, grade in sorted(grades.items()):
            _add(digest, name, str(grade))
    for name, passage in sorted(collection.passages.items()):
        _add(digest, name, passage.passage_text, str(passage.metadata.get("parent_id", "")))
    return digest.hexdigest()


def _add(digest: hashlib._Hash, *texts: str) -> None:
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(f"{len(raw)}\0".encode())
        digest.update(raw)
