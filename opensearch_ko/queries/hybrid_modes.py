"""Modes that ask several ways at once: fused by the node (`hybrid-bm25-sparse-rrf`), or by this machine (`bm25+sparse-rrf`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from opensearch_ko.queries.bodies import hybrid_clause
from opensearch_ko.queries.context import Answer, Context, SearchRequest, Technique, answer_of, post, post_together
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
        return _weights_of((self.name,), self.parts, context)


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
        raws, _ = post_together(context, _part_requests(self.parts, encoded, context))
        rankings = [answer_of(raw).ranking for raw in raws]
        return part_contributions(rankings, self.technique, self.weights(context), context.options.rank_constant)


@dataclass(frozen=True)
class ClientFusedMode(FusedMode):
    """One search a part, sent together and fused on this machine by the node's formulas.

    Within one index it ranks as the node's hybrid does, for the price of its parts: a hybrid of 3.6 scores every passage that has any term,
    one at a time, where a search by itself skips those that cannot come in (neural-search #1829, mended after 3.6). Across two indexes
    nothing else is possible: vectors for HNSW and for SEISMIC cannot stand in one.

    Args:
        technique: None: what the options say.
    """

    technique: Technique | None

    def weights(self, context: Context) -> tuple[float, ...]:
        """Return the parts' weights: its own, else those that were tuned for the node's hybrid of the same parts and technique."""
        return _weights_of((self.name, f"hybrid-{self.name.replace('+', '-')}"), self.parts, context)

    def requests(self, encoded: list[Any], context: Context) -> list[SearchRequest]:
        """Return one request a part, each for all the candidates that are fused."""
        return _part_requests(self.parts, encoded, context)

    def ask(self, encoded: list[Any], context: Context) -> Answer:
        """Ask for the ids of every part's candidates at once, then fuse; what is shown of a hit is fetched for those that came in alone."""
        weights = self.weights(context)  # first: what is wrong with them is said before anything is sent
        raws, took = post_together(context, self.requests(encoded, context))
        rankings = [answer_of(raw).ranking for raw in raws]
        ranking = fuse(rankings, self._technique(context), weights, context.options.rank_constant)[: context.size]
        shown, more = _shown([passage for passage, _ in ranking], context)
        hits = [{"_id": passage, "_score": score, **shown.get(passage, {})} for passage, score in ranking]
        took += more
        return Answer(ranking, took, {"took": took, "hits": {"hits": hits}, "parts": rankings})

    def shares(self, encoded: list[Any], answer: Answer, context: Context) -> dict[str, list[float]]:
        """Return what each part added to each passage's score, by passage id; they sum to the score."""
        return part_contributions(answer.raw["parts"], self._technique(context), self.weights(context), context.options.rank_constant)

    def _technique(self, context: Context) -> Technique:
        return self.technique or context.options.fusion


def _part_requests(parts: tuple[Part, ...], encoded: list[Any], context: Context) -> list[SearchRequest]:
    deep = replace(context, size=context.depth, source=(), explain=False)
    return [request for part, asked in zip(parts, encoded, strict=True) for request in part_mode(part, context).requests(asked, deep)]


def _shown(passages: list[str], context: Context) -> tuple[dict[str, dict[str, Any]], int]:
    """Return `_source` by passage id, and the node's milliseconds; nothing is asked where only ids are wanted.

    Reading a passage's stored fields costs the node more than finding it (docs/search.md), and most candidates are never shown.
    """
    if not context.source or not passages:
        return {}, 0
    body = {"size": len(passages), "query": {"ids": {"values": passages}}, "_source": list(context.source)}
    raw = post(context, SearchRequest(context.index, body))
    return {hit["_id"]: {"_source": hit["_source"]} for hit in raw["hits"]["hits"]}, int(raw["took"])


def _weights_of(names: tuple[str, ...], parts: tuple[Part, ...], context: Context) -> tuple[float, ...]:
    known = context.options.weights
    weights = next((known[name] for name in names if known.get(name)), equal_weights(len(parts)))
    if len(weights) != len(parts):
        raise UsageError(f"{names[0]} has {len(parts)} parts ({', '.join(parts)}), and there are {len(weights)} weights.")
    return weights


def _first_missing(parts: tuple[Part, ...], context: Context) -> str | None:
    return next((why for part in parts if (why := part_mode(part, context).missing(context))), None)


def _fields(parts: tuple[Part, ...]) -> tuple[str, ...]:
    return tuple(field for part in parts for field in _BY_NAME[part].fields)


_OF_ONE_INDEX: tuple[tuple[Part, ...], ...] = (("bm25", "sparse"), ("bm25", "dense"), ("sparse", "dense"), ("bm25", "sparse", "dense"))

HYBRID_MODES = tuple(
    HybridMode(f"hybrid-{'-'.join(parts)}-{suffix}", f"{' + '.join(parts)}, {technique}", _fields(parts), parts, technique)
    for parts in _OF_ONE_INDEX
    for suffix, technique in SUFFIXES.items()
)
_ACROSS: tuple[tuple[Part, ...], ...] = (("bm25", "seismic"),)
_DENSE_AND_SEISMIC: tuple[Part, ...] = ("dense", "seismic")
CLIENT_FUSED_MODES = (
    *(
        ClientFusedMode(
            f"{'+'.join(parts)}-{suffix}", f"{' + '.join(parts)}, {technique}, fused by the client", _fields(parts), parts, technique
        )
        for parts in (*_OF_ONE_INDEX, *_ACROSS)
        for suffix, technique in SUFFIXES.items()
    ),
    ClientFusedMode(
        "dense+seismic", "dense + SEISMIC, two indexes, fused by the client", _fields(_DENSE_AND_SEISMIC), _DENSE_AND_SEISMIC, None
    ),
)
