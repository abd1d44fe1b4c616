"""An exported ONNX graph run on the client, by onnxruntime: what encodes passages outside the cluster."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from opensearch_ko.export.archive import ModelArchive
from opensearch_ko.export.tokenizer import spellings
from retrieval_ko.errors import ModelError, UsageError


class OnnxEncoder:
    """A sparse encoder out of a zip of `sparse-ko export --format onnx`; needs onnxruntime, not torch.

    Args:
        source: the zip, or an `.onnx` file.
        tokenizer: the `tokenizer.json` that goes with an `.onnx` file; a zip has its own.
        threads: for one batch; None lets onnxruntime choose.

    Raises:
        ModelError: the zip holds no ONNX graph, or it can't be loaded.
        UsageError: onnxruntime isn't installed, or an `.onnx` file comes without its tokenizer.
    """

    def __init__(self, source: Path | str, tokenizer: Path | str | None = None, *, threads: int | None = None) -> None:
        source = Path(source)
        if source.suffix == ".zip":
            ModelArchive.read(source)
            graph, text = _zip_parts(source)
        elif tokenizer is None:
            raise UsageError(f"{source} comes without its tokenizer.", "Name the zip, or the tokenizer.json beside the graph.")
        else:
            graph, text = source.read_bytes(), Path(tokenizer).read_text(encoding="utf-8")
        self.session = load_onnx(graph, threads)
        self.tokenizer = Tokenizer.from_str(text)
        self.names = spellings(self.tokenizer)
        """Token id → what the node calls it; '' for special tokens."""

    def ids(self, token: str) -> int | None:
        """Return the id of a token, None where the vocabulary lacks it."""
        found: int | None = self.tokenizer.token_to_id(token)
        return found

    def encode(
        self, texts: Sequence[str], batch_size: int = 32, *, on_progress: Callable[[int], None] | None = None
    ) -> list[dict[str, float]]:
        """Return the weights of each text by token, as the node sends them (WORD)."""
        return [
            {self.names[token]: weight for token, weight in row.items() if self.names[token]}
            for row in self.encode_ids(texts, batch_size, on_progress=on_progress)
        ]

    def encode_ids(
        self, texts: Sequence[str], batch_size: int = 32, *, on_progress: Callable[[int], None] | None = None
    ) -> list[dict[int, float]]:
        """Return the weights of each text by token id.

        Args:
            texts: any number.
            batch_size: texts that go through the graph at once, of like length.
            on_progress: called with the number of texts done.
        """
        return encode_rows(self.session, self.tokenizer, texts, batch_size, on_progress)


def encode_rows(
    session: Any,  # noqa: ANN401  see load_onnx
    tokenizer: Tokenizer,
    texts: Sequence[str],
    batch_size: int = 32,
    on_progress: Callable[[int], None] | None = None,
) -> list[dict[int, float]]:
    """Return the weights of each text by token id; see `OnnxEncoder.encode_ids`."""
    encodings = tokenizer.encode_batch(list(texts))
    order = sorted(range(len(texts)), key=lambda place: -len(encodings[place].ids))  # like lengths together: little padding
    rows: list[dict[int, float]] = [{} for _ in texts]
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        weights = run_onnx(session, [encodings[place].ids for place in places])
        for place, row in zip(places, weights, strict=True):
            rows[place] = {int(token): float(row[token]) for token in np.flatnonzero(row)}
        if on_progress:
            on_progress(start + len(places))
    return rows


def load_onnx(file: bytes, threads: int | None = None) -> Any:  # noqa: ANN401  an onnxruntime.InferenceSession, imported late
    """Load an ONNX file as the node would.

    Raises:
        ModelError: onnxruntime can't.
        UsageError: onnxruntime isn't installed.
    """
    try:
        import onnxruntime
    except ImportError as missing:
        raise UsageError("Running an ONNX graph needs onnxruntime.", "Install it: pip install 'sparse-ko[export]'") from missing
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads that spin starve everything beside them
    if threads:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as failure:  # the library's exceptions share no base class but this
        raise ModelError(f"onnxruntime can't load the graph: {' '.join(str(failure).split())[:300]}") from failure


def run_onnx(session: Any, encodings: Sequence[Sequence[int]]) -> NDArray[np.float32]:  # noqa: ANN401  see load_onnx
    """Return the graph's one output, shape [texts, …], for rows of token ids, padded here to the longest."""
    longest = max(map(len, encodings), default=0)
    ids = np.zeros((len(encodings), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(encodings):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    inputs = {node.name: values[node.name.removeprefix("input1.")] for node in session.get_inputs()}
    return session.run(None, inputs)[0]  # type: ignore[no-any-return]


def _zip_parts(path: Path) -> tuple[bytes, str]:
    with zipfile.ZipFile(path) as archive:
        graphs = [name for name in archive.namelist() if name.endswith(".onnx")]
        if not graphs:
            raise ModelError(f"{path} holds no ONNX graph.", "Write one: sparse-ko export --model DIR --format onnx --out DIR")
        return archive.read(graphs[0]), archive.read("tokenizer.json").decode()
