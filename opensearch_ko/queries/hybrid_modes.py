"""Modes that ask several ways at once: fused by the node within one index, by this machine across two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

from opensearch_ko.queries.bodies import hybrid_clause
from opensearch_ko.queries.context import Answer, Context, SearchRequest, Technique, answer_of, post
from opensearch_ko.queries.fusion import equal_weights, fuse, part_contributions
from opensearch_ko.queries.search_pipelines import hybrid_pipeline
from opensearch_ko.queries.single_mode import SingleMode
from opensearch_ko.queries.single_modes import SINGLE_MODES
from retrieval_ko.errors import UsageError

Part = Literal["bm25", "sparse", "dense", "seismic"]
SUFFIXES: dict[str, Technique] = {"minmax": "min_max", "l2": "l2", "zscore": "z_score", "rrf": "rrf"}
"""How a mode's name spells a technique."""

_BY_NAME = {mode.name: mode for mode in SINGLE_MODES}
_ON_THE_CLIENT = {"sparse": "sparse-tokens", "seismic": "seismic-tokens", "dense": "knn"}


def part_mode(part: str, context: Context) -> SingleMode:
    """Return the single mode that a part is: read by the cluster's model where there is one, else by this machine."""
    meta = context.meta
    reader = {"sparse": meta.query_model_id, "seismic": meta.query_model_id, "dense": meta.dense.model_id if meta.dense else ""}
    return _BY_NAME[part if reader.get(part, "-") else _ON_THE_CLIENT[part]]


@dataclass(frozen=True)
class FusedMode:
    """What modes of several parts share."""

    name: str
    label: str
    fields: tuple[str, ...]
    parts: tuple[Part, ...]

    def missing(self, context: Context) -> str | None:
        """Say what the first part that cannot run lacks."""
        return _first_missing(self.parts, context)

    def encode(self, text: str, context: Context) -> list[Any]:
        """Read the query for every part."""
        return [part_mode(part, context).encode(text, context) for part in self.parts]

    def weights(self, context: Context) -> tuple[float, ...]:
        """Return the parts' weights: tuned ones where there are, else alike.

        Raises:
            UsageError: there are not as many as parts.
        """
        return _weights_of(self.name, self.parts, context)


@dataclass(frozen=True)
class HybridMode(FusedMode):
    """One request with two or three clauses, fused by a search pipeline that comes with it."""

    technique: Technique

    def requests(self, encoded: list[Any], context: Context) -> list[SearchRequest]:
        """See `Mode`."""
        clauses = [part_mode(part, context).clause(asked, context) for part, asked in zip(self.parts, encoded, strict=True)]
        pipeline = hybrid_pipeline(self.technique, self.weights(context), context.options.rank_constant)
        body = {
            "size": context.size,
            "query": hybrid_clause(clauses, context.depth, context.filter),
            "_source": list(context.source) or False,
            "search_pipeline": pipeline,  # never with `explain`: 3.6 then normalises twice, which changes scores and order
        }
        return [SearchRequest(context.index, body)]

    def ask(self, encoded: list[Any], context: Context) -> Answer:
        """See `Mode`."""
        [request] = self.requests(encoded, context)
        return answer_of(post(context, request))

    def shares(self, encoded: list[Any], answer: Answer, context: Context) -> dict[str, list[float]]:
        """Return what each part added to each passage's score, by passage id; they sum to the score of an index of one shard.

        Every part is asked once more by itself and fused here, by the node's formulas. The node's own `hybrid_score_explanation`
        is of no use: with it 3.6 normalises scores that are normalised already.
        """
        rankings = [answer_of(post(context, request)).ranking for request in _part_requests(self.parts, encoded, context)]
        return part_contributions(rankings, self.technique, self.weights(context), context.options.rank_constant)


@dataclass(frozen=True)
class TwoIndexMode(FusedMode):
    """Two requests, since vectors for HNSW and for SEISMIC cannot stand in one index; fused on this machine by the node's formulas."""

    def requests(self, encoded: list[Any], context: Context) -> list[SearchRequest]:
        """Return one request a part, each for all the candidates that are fused."""
        return _part_requests(self.parts, encoded, context)

    def ask(self, encoded: list[Any], context: Context) -> Answer:
        """Ask one index after the other, then fuse."""
        raws = [post(context, request) for request in self.requests(encoded, context)]
        options = context.options
        rankings = [answer_of(raw).ranking for raw in raws]
        ranking = fuse(rankings, options.fusion, self.weights(context), options.rank_constant)[: context.size]
        by_id = {hit["_id"]: hit for raw in raws for hit in raw["hits"]["hits"]}
        took = sum(int(raw["took"]) for raw in raws)
        hits = [by_id[passage] | {"_score": score} for passage, score in ranking]
        return Answer(ranking, took, {"took": took, "hits": {"hits": hits}, "parts": rankings})

    def shares(self, encoded: list[Any], answer: Answer, context: Context) -> dict[str, list[float]]:
        """Return what each part added to each passage's score, by passage id; they sum to the score."""
        return part_contributions(answer.raw["parts"], context.options.fusion, self.weights(context), context.options.rank_constant)


def _part_requests(parts: tuple[Part, ...], encoded: list[Any], context: Context) -> list[SearchRequest]:
    deep = replace(context, size=context.depth, explain=False)
    return [request for part, asked in zip(parts, encoded, strict=True) for request in part_mode(part, context).requests(asked, deep)]


def _weights_of(name: str, parts: tuple[Part, ...], context: Context) -> tuple[float, ...]:
    weights = context.options.weights.get(name) or equal_weights(len(parts))
    if len(weights) != len(parts):
        raise UsageError(f"{name} has {len(parts)} parts ({', '.join(parts)}), and there are {len(weights)} weights.")
    return weights


def _first_missing(parts: tuple[Part, ...], context: Context) -> str | None:
    return next((why for part in parts if (why := part_mode(part, context).missing(context))), None)


def _hybrids() -> tuple[HybridMode, ...]:
    names: tuple[Part, ...] = ("bm25", "sparse", "dense")
    sets = [*combinations(names, 2), names]
    return tuple(
        HybridMode(
            name=f"hybrid-{'-'.join(parts)}-{suffix}",
            label=f"{' + '.join(parts)}, {technique}",
            fields=tuple(field for part in parts for field in _BY_NAME[part].fields),
            parts=parts,
            technique=technique,
        )
        for parts in sets
        for suffix, technique in SUFFIXES.items()
    )


HYBRID_MODES = _hybrids()
TWO_INDEX_MODES = (
    TwoIndexMode("dense+seismic", "dense + SEISMIC, two indexes, fused by the client", ("dense", "seismic:sparse"), ("dense", "seismic")),
)
