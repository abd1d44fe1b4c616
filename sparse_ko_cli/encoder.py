"""`sparse-ko encode`: texts through a model folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl, write_jsonl
from retrieval_ko.records import Passage, Query
from retrieval_ko.terminal import exit_on_error, notes, progress_bar
from sparse_ko_cli.requirement import need_torch

ModelOption = Annotated[Path | None, typer.Option(help="A model folder; by default the model that comes with the package.", metavar="DIR")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
TEXTS_AT_ONCE = 1024


def encode(
    source: Annotated[Path, typer.Option("--input", metavar="FILE", help='JSON lines: {"_id", "text", "title"?}.')],
    target: Annotated[Path, typer.Option("--output", metavar="FILE", help='JSON lines: {"_id", "weights": {token: weight}}.')],
    model: ModelOption = None,
    kind: Annotated[Literal["query", "document"], typer.Option("--type", help="What the texts are.")] = "document",
    top: Annotated[int | None, typer.Option(min=1, help="Keep only the heaviest tokens of a text.")] = None,
) -> None:
    """Turn texts into weights over the vocabulary.

    Example: sparse-ko encode --model runs/demo/model --input corpus.jsonl --output weights.jsonl
    """
    with exit_on_error():
        need_torch("sparse-ko encode")
        from sparse_ko.model import SparseEncoder
        from sparse_ko.packaged import packaged_model

        model = model or packaged_model()
        texts = list(_texts(source, kind))
        encoder = SparseEncoder.load(model)
        encode_texts = encoder.encode_query if kind == "query" else encoder.encode_document

        def rows() -> Iterator[dict[str, Any]]:
            with progress_bar("texts") as bar:
                task = bar.add_task("encoding", total=len(texts))
                for start in range(0, len(texts), TEXTS_AT_ONCE):
                    part = texts[start : start + TEXTS_AT_ONCE]
                    for (record, _), weights in zip(part, encoder.to_tokens(encode_texts([text for _, text in part]), top), strict=True):
                        yield {"_id": record, "weights": {token: round(weight, 4) for token, weight in weights.items()}}
                    bar.update(task, advance=len(part))

        count = write_jsonl(target, rows())
        notes.print(f"{count:,} texts in {escape(str(target))}")


def _texts(source: Path, kind: str) -> Iterator[tuple[str, str]]:
    from pydantic import ValidationError

    from retrieval_ko.collection import first_complaint

    seen: dict[str, int] = {}
    for number, row in read_jsonl(source):
        try:
            record = Query.model_validate(row) if kind == "query" else Passage.model_validate(row)
        except ValidationError as failure:
            raise DataError(f"{source}, line {number}: {first_complaint(failure)}.") from failure
        if record.id in seen:
            raise DataError(f"{source}, line {number}: the _id {record.id!r} was used before, in line {seen[record.id]}.")
        seen[record.id] = number
        yield record.id, record.passage_text if isinstance(record, Passage) else record.text
    if not seen:
        raise DataError(f"{source} is empty: it holds no text.")
