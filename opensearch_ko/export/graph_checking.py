"""Whether a zip's graph is what ML Commons runs: it loads, reads one dict at every length, and returns weights that can be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from opensearch_ko.export.archive import ExportCard
from opensearch_ko.export.parity_texts import PARITY_TEXTS
from opensearch_ko.export.tokenizer import SERVER_LIMIT_TOKENS, spellings
from retrieval_ko.errors import ModelError, RetrievalError
from sparse_ko.vocabulary.audit import special_ids
from sparse_ko.vocabulary.findings import Finding

LENGTHS = (1, 2, 3, 17, 128, SERVER_LIMIT_TOKENS)
"""In tokens; a graph whose trace took its example's length for a number that never changes fails at one of them."""
LARGEST_OPSET = 19
DENSE = "a bi-encoder (TEXT_EMBEDDING)"
ANEW = "Export the model anew: sparse-ko export --model DIR --format torchscript --out DIR"

Outputs = dict[str, NDArray[np.float32]]
Run = Callable[[list[int]], Outputs]


def graph_findings(name: str, file: bytes, tokenizer: Tokenizer, card: ExportCard | None) -> Iterator[Finding]:
    """Yield what there is to say of a graph.

    Args:
        name: of its file.
        file: its bytes.
        tokenizer: of the same zip.
        card: ours, where the zip has one.
    """
    try:
        run = _torchscript(file) if name.endswith(".pt") else _onnx(file)
    except RetrievalError as failure:
        yield forbids("graph", "can't be loaded", failure.problem, failure.remedy or ANEW)
        return
    tokenizer.no_padding()
    limit = min((tokenizer.truncation or {}).get("max_length", SERVER_LIMIT_TOKENS), SERVER_LIMIT_TOKENS)
    words = [
        token for token in tokenizer.encode(PARITY_TEXTS[0] * 200, add_special_tokens=False).ids if token not in special_ids(tokenizer)
    ]
    samples = {length: (words * SERVER_LIMIT_TOKENS)[:length] for length in LENGTHS if length <= limit} | {limit: (words * limit)[:limit]}
    rows: dict[int, Outputs] = {}
    for length, ids in samples.items():
        try:
            rows[length] = run(ids)
        except Exception as failure:  # noqa: BLE001  a graph of anybody fails in any way; its words are the finding
            yield _failed_run(length, " ".join(str(failure).split()), had_run=bool(rows))
            return
    yield fine("lengths", f"{', '.join(map(str, samples))} tokens")
    first = next(iter(rows.values()))
    if len(first) != 1:
        yield forbids(
            "output",
            ", ".join(first) or "none",
            "Every tensor becomes a row of weights of its own: they would shift against the texts.",
            ANEW,
        )
        return
    [(key, example)] = first.items()
    dense = card.role == "dense" if card else example.ndim != 2 or example.shape[1] < tokenizer.get_vocab_size() // 2
    yield fine("kind", DENSE if dense else "a sparse encoder (SPARSE_ENCODING)")
    if dense:
        yield from _vectors(key, example, name)
    else:
        yield from _weights({length: next(iter(row.values())) for length, row in rows.items()}, tokenizer)
    if card and card.probe_weights:
        yield _probe(run, tokenizer, card)


def _failed_run(length: int, words: str, *, had_run: bool) -> Finding:
    if "token_type_ids" in words:
        return forbids(
            "input", "wants token_type_ids", "ML Commons sends ids and mask only.", "Trace it without: BERT fills in zeros itself."
        )
    if had_run:
        meaning = (
            f"It answers shorter texts, but not one of {length} tokens: the trace baked a length in, or the model has fewer positions. "
            f"{words[-200:]}"
        )
        return forbids(
            "lengths", f"fails at {length} tokens", meaning, "Trace with free axes, and write the truncation into tokenizer.json."
        )
    return forbids(
        "input",
        f"fails at {length} tokens",
        f"It does not take one dict of input_ids and attention_mask: {words[-200:]}",
        "Wrap the model; sparse-ko export does.",
    )


def _weights(rows: dict[int, NDArray[np.float32]], tokenizer: Tokenizer) -> Iterator[Finding]:
    names = spellings(tokenizer)
    shapes = {row.shape for row in rows.values()}
    example = next(iter(rows.values()))
    if len(shapes) > 1 or example.ndim != 2 or example.shape[0] != 1:
        shown = " and ".join(str(list(shape)) for shape in sorted(shapes, key=len))
        yield forbids("shape", shown, "It must be [1, vocabulary] at every length: the maximum over the text is the graph's task.", ANEW)
        return
    width = example.shape[1]
    together = np.concatenate(list(rows.values()))
    if width < len(names):
        meaning = "Tokenizer and model do not belong together: the last tokens have no weight."
        yield forbids("vocabulary", f"{width:,} dimensions, {len(names):,} tokens", meaning, "Zip the model's own tokenizer.json.")
    elif together[:, len(names) :].any():
        yield forbids("vocabulary", f"{width - len(names)} dimensions without a token weigh something", "The node can't name them.", ANEW)
    else:
        yield fine("vocabulary", f"{width:,} dimensions")
    if not np.isfinite(together).all():
        yield forbids("weights", "not finite", "The node would send NaN or infinity.", ANEW)
    elif (together < 0).any():
        yield forbids("weights", f"{int((together < 0).sum())} below 0", "The pipeline refuses them: the ReLU is missing.", ANEW)
    elif not together.any():
        yield forbids("weights", "all 0", "The model gives no text any weight.", ANEW)
    else:
        yield fine("weights", f"{np.count_nonzero(together, axis=1).mean():.0f} a text, up to {together.max():.2f}")
    loud = [token for token in sorted(special_ids(tokenizer)) if token < width and together[:, token].any()]
    if loud:
        shown = ", ".join(str(tokenizer.id_to_token(token)) for token in loud[:5])
        meaning = "By tokens the node drops them; by ids (sparse_vector) they match every text."
        yield Finding("special tokens weigh", "warning", shown, meaning, ANEW)
    else:
        yield fine("special tokens weigh", "nothing")


def _vectors(key: str, example: NDArray[np.float32], name: str) -> Iterator[Finding]:
    found = f"{key} {list(example.shape)}"
    if name.endswith(".pt") and key != "sentence_embedding":
        meaning = (
            "framework_type sentence_transformers wants it to be called sentence_embedding; huggingface_transformers hands over no dict."
        )
        yield Finding("output", "warning", found, meaning, ANEW)
    elif not np.isfinite(example).all():
        yield forbids("output", "not finite", "The node would store NaN or infinity.", ANEW)
    else:
        yield fine("output", found)


def _probe(run: Run, tokenizer: Tokenizer, card: ExportCard) -> Finding:
    names = spellings(tokenizer)
    [row] = next(iter(run(tokenizer.encode(card.probe_text).ids).values()))
    found = {str(token) if card.probe_by_id else names[token]: float(row[token]) for token in np.flatnonzero(row)}
    worst = max(
        (abs(found.get(key, 0.0) - card.probe_weights.get(key, 0.0)) for key in found.keys() | card.probe_weights.keys()), default=0.0
    )
    if not worst <= card.tolerance:
        return forbids("card", f"differs by {worst:.2g}", "The graph does not answer as its card says: one of the two was changed.", ANEW)
    return fine("card", f"the graph answers as it says, to {worst:.1e}")


def _torchscript(file: bytes) -> Run:
    import torch

    from opensearch_ko.export.graph import load_traced

    try:
        traced = load_traced(file)
    except RuntimeError as failure:
        raise ModelError(f"PyTorch can't load it: {' '.join(str(failure).split())[:300]}") from failure

    def run(ids: list[int]) -> Outputs:
        features = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.int64)}
        with torch.no_grad(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            found: Any = traced(features)
        if not isinstance(found, dict):
            raise TypeError(f"it returned {type(found).__name__}, and a dict is wanted")
        return {str(key): value.float().numpy() for key, value in found.items()}

    return run


def _onnx(file: bytes) -> Run:
    import onnx

    from opensearch_ko.export.onnx_graph import LARGEST_IR, SPARSE_INPUTS
    from opensearch_ko.export.onnx_session import load_onnx

    try:
        model = onnx.load_from_string(file)
    except Exception as failure:  # the library raises protobuf's errors
        raise ModelError(f"It is no ONNX file: {' '.join(str(failure).split())[:200]}") from failure
    opset = max((entry.version for entry in model.opset_import if not entry.domain), default=0)
    if model.ir_version > LARGEST_IR or opset > LARGEST_OPSET:
        raise ModelError(
            f"It has IR version {model.ir_version} and opset {opset}; the node's onnxruntime takes up to {LARGEST_IR} and {LARGEST_OPSET}.",
            "Export it with torch.onnx.export(…, dynamo=False, opset_version=17).",
        )
    session = load_onnx(file)
    inputs = {node.name for node in session.get_inputs()}
    dense = {"input_ids", "attention_mask"}
    if inputs != set(SPARSE_INPUTS) and not dense <= inputs <= {*dense, "token_type_ids"}:
        raise ModelError(
            f"Its inputs are {', '.join(sorted(inputs))}; of a sparse model they must be named {' and '.join(SPARSE_INPUTS)}.",
            "Name them so when you export it: input_names=[…].",
        )
    if dense <= inputs and len(session.get_outputs()) == 1 and len(session.get_outputs()[0].shape) == 2:
        raise ModelError(
            f"Its inputs are {', '.join(sorted(inputs))}; of a sparse model they must be named {' and '.join(SPARSE_INPUTS)}; "
            "a bi-encoder must return [batch, tokens, dimensions].",
            "Name them so when you export it: input_names=[…].",
        )
    outputs = [node.name for node in session.get_outputs()]

    def run(ids: list[int]) -> Outputs:
        row = np.array([ids], dtype=np.int64)
        values = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        found = session.run(None, {name: values[name.removeprefix("input1.")] for name in inputs})
        return dict(zip(outputs, found, strict=True))

    return run


def fine(name: str, found: str) -> Finding:
    """Return a finding that nothing need be done about."""
    return Finding(name, "fine", found)


def forbids(name: str, found: str, meaning: str, remedy: str) -> Finding:
    """Return a finding that keeps a zip from being deployed."""
    return Finding(name, "forbids", found, meaning, remedy)
