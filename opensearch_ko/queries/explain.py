"""Why a passage was found: the node's own explanation of a score, read as what each token added."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from opensearch_ko.indexes import SPARSE_FIELD

Explanation = Mapping[str, Any]

_WEIGHT = re.compile(r"^weight\((?P<field>[^:]+):(?P<term>.+) in \d+\)", re.DOTALL)
_FEATURE = re.compile(r"^Linear function on the (?P<field>\S+) field for the (?P<term>.+) feature, computed as", re.DOTALL)
_QUANTIZED = re.compile(r"^token '(?P<token>\d+)' contribution:")


def stored_weight(weight: float) -> float:
    """Return the weight that a rank_features field keeps: the float's bits cut to 9 of the mantissa (at most 0.4 % lost)."""
    bits: int = struct.unpack(">I", struct.pack(">f", weight))[0]
    kept: float = struct.unpack(">f", struct.pack(">I", bits >> 15 << 15))[0]
    return kept


def bm25_contributions(explanation: Explanation, field: str = "morphemes") -> dict[str, float]:
    """Return what each term of a text field added to the score, the heaviest first."""
    return _terms(explanation, _WEIGHT, field)


def sparse_contributions(explanation: Explanation, field: str = SPARSE_FIELD) -> dict[str, float]:
    """Return what each token of a rank_features field added to the score, the heaviest first; they sum to the score."""
    return _terms(explanation, _FEATURE, field)


def seismic_contributions(explanation: Explanation, spelling: Callable[[int], str] | None = None) -> dict[str, float]:
    """Return what each token of a sparse_vector field added to the score, the heaviest first; they sum to the score.

    Args:
        explanation: of 3.5 or later; the numbers are those of SEISMIC's 8-bit weights.
        spelling: token id to token; without it tokens are called by their ids.
    """
    scale, products = 1.0, {}
    for node in _walk(explanation):
        description, value = str(node.get("description", "")), float(node["value"])
        if description.startswith("quantization rescaling"):
            scale = value
        elif token := _QUANTIZED.match(description):
            products[int(token["token"])] = value
    named = {spelling(token) if spelling else str(token): product * scale for token, product in products.items()}
    return _heaviest_first(named)


def _terms(explanation: Explanation, pattern: re.Pattern[str], field: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for node in _walk(explanation):
        clause = pattern.match(str(node.get("description", "")))
        if clause and clause["field"] == field:
            found[clause["term"]] = found.get(clause["term"], 0.0) + float(node["value"])
    return _heaviest_first(found)


def _walk(explanation: Explanation) -> list[Explanation]:
    """Return the node and everything below it; what lies below a clause that was matched has other descriptions."""
    return [explanation, *(below for part in explanation.get("details", ()) for below in _walk(part))]


def _heaviest_first(found: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
