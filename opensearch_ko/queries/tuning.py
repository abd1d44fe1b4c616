"""Weights of a hybrid, chosen on the dev split: never on the split that is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from opensearch_ko.queries.context import Context, Ranking, Technique
from opensearch_ko.queries.fusion import equal_weights, normalize
from opensearch_ko.queries.hybrid_modes import HYBRID_MODES, SUFFIXES, HybridMode, Part, part_mode
from opensearch_ko.queries.search_pipelines import ensure_search_pipeline, hybrid_pipeline, search_pipeline_name
from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.evaluation.judging import DEPTH, judge

JUDGED_DEPTH = 10
STEPS = 10
"""Weights are tried in tenths: finer ones fit the dev queries' noise."""
METRIC = "ndcg@10"

OnProgress = Callable[[int, int], None]


def _silent(done: int, total: int) -> None:
    return None


@dataclass(frozen=True)
class Tuning:
    """One technique's best weights on the dev split.

    Args:
        technique: how the lists were fused.
        weights: of the parts, in their order.
        ndcg: nDCG@10 with them.
        ndcg_equal: nDCG@10 with equal weights.
    """

    technique: Technique
    weights: tuple[float, ...]
    ndcg: float
    ndcg_equal: float


def single_rankings(
    context: Context, parts: Sequence[Part], queries: Mapping[str, str], on_progress: OnProgress = _silent
) -> dict[str, dict[str, Ranking]]:
    """Ask every part by itself; return part → query id → its first 100 passages.

    Raises:
        UsageError: a part cannot run on this index.
        ClusterError: a search failed.
    """
    deep = replace(context, size=DEPTH, source=(), explain=False)
    found: dict[str, dict[str, Ranking]] = {part: {} for part in parts}
    for part in parts:
        if why := part_mode(part, context).missing(context):
            raise UsageError(f"The part {part} cannot search {context.index}: {why}")
    total = len(parts) * len(queries)
    for part in parts:
        mode = part_mode(part, context)
        for query, text in queries.items():
            found[part][query] = mode.ask(mode.encode(text, deep), deep).ranking
            on_progress(sum(len(rankings) for rankings in found.values()), total)
    return found


def weight_choices(parts: int, steps: int = STEPS) -> Iterator[tuple[float, ...]]:
    """Yield every way to share 1 among the parts in whole steps, each part at least one: a part that counts nothing is no part."""
    for shares in _compositions(steps, parts):
        yield tuple(share / steps for share in shares)


def tune_weights(
    rankings: Sequence[Mapping[str, Ranking]],
    collection: Collection,
    split: str,
    technique: Technique,
    *,
    rank_constant: int = 60,
    on_progress: OnProgress = _silent,
) -> Tuning:
    """Return the weights with the best nDCG@10; among equals, those nearest to equal weights.

    Args:
        rankings: of each part, by query id, as `single_rankings` returns them.
        collection: judges them, by passage or by parent as it wants.
        split: whose judgements count: dev, never the one that is reported.
        technique: how the lists are fused, by the formulas of `fusion`.
        rank_constant: of `rrf`.
        on_progress: told how many weights have been tried, and how many there are.

    Raises:
        DataError: the collection has no such split.
    """
    queries = collection.relevant(split)
    candidates = {query: _Candidates.of([part.get(query, []) for part in rankings], technique, rank_constant) for query in queries}

    def places(query: str) -> int:
        """Return how many places are judged; more are fused where some of them will not count or are parts of one parent."""
        plain = collection.judged == "passage" and not collection.queries[query].metadata.get("excluded")
        return JUDGED_DEPTH if plain else DEPTH

    def quality(weights: tuple[float, ...]) -> float:
        fused = ((query, found.ranking(weights, places(query))) for query, found in candidates.items())
        return judge(technique, fused, collection, split, depth=JUDGED_DEPTH).scores.mean[METRIC]

    choices, tried = list(weight_choices(len(rankings))), {}
    for weights in choices:
        tried[weights] = quality(weights)
        on_progress(len(tried), len(choices))
    best = min(tried, key=lambda weights: (-round(tried[weights], 9), float(np.var(weights)), weights))
    return Tuning(technique, best, tried[best], quality(equal_weights(len(rankings))))


def hybrid_mode(parts: Sequence[str], technique: Technique) -> HybridMode:
    """Return the mode that fuses these parts in the cluster.

    Raises:
        UsageError: there is none.
    """
    for mode in HYBRID_MODES:
        if set(mode.parts) == set(parts) and mode.technique == technique:
            return mode
    known = ", ".join(dict.fromkeys(",".join(mode.parts) for mode in HYBRID_MODES))
    raise UsageError(f"No hybrid is made of {','.join(parts)} with {technique}.", f"Parts: {known}. Techniques: {', '.join(SUFFIXES)}")


def save_tuning(context: Context, mode: HybridMode, tuning: Tuning) -> bool:
    """Keep the weights as the search pipeline that is named after index and mode; return whether anything was written.

    Raises:
        ClusterError: the cluster refuses.
    """
    pipeline = hybrid_pipeline(tuning.technique, tuning.weights, context.options.rank_constant)
    return ensure_search_pipeline(context.cluster, search_pipeline_name(context.index, mode.name), pipeline)


@dataclass(frozen=True)
class _Candidates:
    """One query's candidates: ids in order, and what each part gives each of them before it is weighed, shape [parts, ids]."""

    ids: list[str]
    normalized: NDArray[np.float64]

    @classmethod
    def of(cls, rankings: Sequence[Ranking], technique: Technique, rank_constant: int) -> _Candidates:
        parts = [normalize(ranking, technique, rank_constant) for ranking in rankings]
        ids = sorted({passage for part in parts for passage in part})
        return cls(ids, np.array([[part.get(passage, 0.0) for passage in ids] for part in parts], dtype=np.float64))

    def ranking(self, weights: tuple[float, ...], depth: int) -> Ranking:
        if not self.ids:
            return []
        scores = np.asarray(weights) @ self.normalized
        order = np.argsort(-scores, kind="stable")[:depth]  # ids are sorted, so ties keep their order
        return [(self.ids[place], float(scores[place])) for place in order]


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    if parts == 1:
        yield (total,)
        return
    for first in range(1, total - parts + 2):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)
