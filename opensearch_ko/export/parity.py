"""The gate: PyTorch's weights and the exported graph's, token by token, on the texts that break exports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from opensearch_ko.export.onnx_session import load_onnx, run_onnx
from opensearch_ko.export.parity_texts import PARITY_TEXTS
from opensearch_ko.export.tokenizer import SERVER_LIMIT_TOKENS, spellings
from opensearch_ko.pruning import Pruning
from retrieval_ko.errors import ModelError, RetrievalError
from sparse_ko.forms.network import Kind
from sparse_ko.model import SparseEncoder

TOLERANCE = 1e-4
"""Largest difference of a weight that is let through; float32 over other batch shapes and engines moves weights by about 1e-6."""
TEXTS_AT_ONCE = 16

Row = NDArray[np.float32]
Graph = Callable[[list[int]], Row]
"""One text's token ids → its weights, shape [vocabulary]: the exported graph as a node runs it."""


@dataclass(frozen=True)
class Parity:
    """What the gate measured."""

    texts: int
    largest_difference: float
    heaviest_weight: float
    tolerance: float = TOLERANCE

    def as_json(self) -> dict[str, float | int]:
        """Return what the card keeps: the difference rounded up, so that it does not depend on the number of threads."""
        return {
            "texts": self.texts,
            "largest_difference": math.ceil(self.largest_difference * 1e6 - 1e-9) / 1e6,
            "tolerance": self.tolerance,
        }


def torchscript_graph(traced: torch.jit.ScriptModule) -> Graph:
    """Return a TorchScript graph as the gate asks it: one text, no padding."""

    def answer(ids: list[int]) -> Row:
        features = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.int64)}
        with torch.no_grad(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]  # or each length is compiled anew
            [output] = traced(features).values()
        row: Row = output[0].numpy()
        return row

    return answer


def onnx_graph(file: bytes) -> Graph:
    """Return an ONNX graph as the gate asks it: one text, no padding."""
    session = load_onnx(file)
    return lambda ids: run_onnx(session, [ids])[0]


def check_parity(
    encoder: SparseEncoder,
    graph: Graph,
    tokenizer_json: str,
    texts: Sequence[str] = PARITY_TEXTS,
    *,
    pruning: Pruning = Pruning(),  # noqa: B008  frozen
) -> Parity:
    """Compare the encoder with the graph, run as the node runs it: its own tokenizer file, one text at a time.

    Every weight of every id is compared (TOKEN_ID), and that an id's spelling is the model's own (WORD).

    Raises:
        ModelError: a weight differs by more than the tolerance; names the text, the token and both weights.
    """
    tokenizer = Tokenizer.from_str(tokenizer_json)
    names, own = spellings(tokenizer), spellings(encoder.tokenizer.backend_tokenizer)
    for number, (name, expected) in enumerate(zip(names, own, strict=True)):
        if name != expected:
            raise ModelError(f"The zip's tokenizer calls the id {number} {name!r}, the model's {expected!r}. Nothing was written.")
    texts = [text for text in texts if tokenizer.encode(text).ids]  # without special tokens around it, nothing is nothing to run
    rows = reference(encoder, texts, "document", SERVER_LIMIT_TOKENS)
    return compare(rows, lambda place: graph(tokenizer.encode(texts[place]).ids), tokenizer, texts, refusal, pruning=pruning)


def refusal(difference: str) -> ModelError:
    """Return the error that keeps an export from being written."""
    return ModelError(
        f"The exported graph is not the model: {difference}. Nothing was written.",
        "Please report it with the model's config.json; `pip install -c constraints.txt` gives the tested library versions.",
    )


def reference(encoder: SparseEncoder, texts: Sequence[str], kind: Kind, max_tokens: int) -> Iterator[tuple[int, Row]]:
    """Yield (place of a text, the weights that PyTorch gives it), texts of like length together, so not in their order."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    encoder.module.eval()
    for start in range(0, len(order), TEXTS_AT_ONCE):
        places = order[start : start + TEXTS_AT_ONCE]
        with torch.no_grad():
            rows = encoder.embed(encoder.tokenize([texts[place] for place in places], kind, max_tokens), kind).cpu().numpy()
        yield from zip(places, rows, strict=True)


def compare(
    expected: Iterable[tuple[int, Row]],
    answer: Callable[[int], Row],
    tokenizer: Tokenizer,
    texts: Sequence[str],
    complaint: Callable[[str], RetrievalError],
    *,
    pruning: Pruning = Pruning(),  # noqa: B008  frozen
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare rows of weights with those of what is judged, one text at a time.

    Args:
        expected: places in `texts` and their weights, unpruned.
        answer: the place of a text → the weights that are judged.
        tokenizer: names ids for the message.
        texts: what both were given.
        complaint: makes the error of a difference.
        pruning: what the judged one drops. A weight at the very edge may fall either way.
        tolerance: largest difference of a weight that is let through.

    Raises:
        RetrievalError: `complaint`, naming the text, the token and both weights.
    """
    largest = heaviest = 0.0
    compared = 0
    for place, full in expected:
        found = answer(place)
        row, edge = _pruned(_as_long_as(found, full), pruning)
        differences = np.abs(found - row)
        differences[edge & ((found == 0) | (row == 0))] = 0
        if not (differences <= tolerance).all():
            worst = int(np.where(np.isnan(differences), np.inf, differences).argmax())
            raise complaint(
                f"for {texts[place][:40]!r} the token {tokenizer.id_to_token(worst)!r} weighs {found[worst]:.6f} instead of "
                f"{row[worst]:.6f} (tolerance {tolerance:g})"
            )
        compared += 1
        largest = max(largest, float(differences.max(initial=0.0)))
        heaviest = max(heaviest, float(row.max(initial=0.0)))
    return Parity(compared, largest, heaviest, tolerance)


def _as_long_as(found: Row, row: Row) -> Row:
    """Return `row` with a 0 for each of the graph's dimensions that no token has."""
    return np.concatenate([row, np.zeros(max(0, len(found) - len(row)), dtype=np.float32)])


def _pruned(row: Row, pruning: Pruning) -> tuple[Row, NDArray[np.bool_]]:
    """Return (the row as pruning leaves it, the places so near its edge that they may fall either way)."""
    if pruning.ratio is None:
        return row, np.zeros(len(row), dtype=bool)
    kept = pruning.apply({int(token): float(row[token]) for token in np.flatnonzero(row)})
    left = np.zeros_like(row)
    left[list(kept)] = list(kept.values())
    if pruning.type in {"max_ratio", "abs_value"}:
        edge = pruning.ratio * (float(row.max()) if pruning.type == "max_ratio" else 1.0)
        return left, np.abs(row - edge) <= TOLERANCE
    lightest, dropped = min(kept.values(), default=0.0), float(row[left == 0].max(initial=0.0))
    if pruning.type == "top_k" and lightest - dropped > TOLERANCE:
        return left, np.zeros(len(row), dtype=bool)
    return left, (np.abs(row - lightest) <= TOLERANCE) | (np.abs(row - dropped) <= TOLERANCE)


def median_milliseconds(graph: Graph, ids: list[int], times: int = 7) -> float:
    """Return the median time of one text in milliseconds, the first run left out."""
    graph(ids)
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        graph(ids)
        seconds.append(time.perf_counter() - begin)
    return median(seconds) * 1000


def pytorch_graph(encoder: SparseEncoder) -> Graph:
    """Return the encoder itself as the gate asks a graph: to time it."""

    def answer(ids: list[int]) -> Row:
        features = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.int64)}
        with torch.no_grad():
            return encoder.embed(features, "document")[0].numpy()

    return answer
