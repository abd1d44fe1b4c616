"""`lex-dpr embed`: a file of texts to a file of vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich.markup import escape

from dense_ko.packaged import has_packaged_model, packaged_model
from dense_ko.templates import template_named
from retrieval_ko.collection import first_complaint
from retrieval_ko.errors import UsageError
from retrieval_ko.files import folder_sha256
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from sparse_ko_cli.requirement import need_torch

if TYPE_CHECKING:
    from dense_ko.embedding import TextEncoder
    from dense_ko.templates import TemplateMode

Load = Callable[[], "tuple[TextEncoder, Mapping[str, Any]]"]


def embed(
    source: Annotated[Path, typer.Option("--input", metavar="FILE", help='JSON lines: {"_id", "text", "title"?}; .gz and .zst too.')],
    outdir: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the files.")],
    prefix: Annotated[str, typer.Option(metavar="NAME", help="What the files' names begin with.")],
    kind: Annotated[Literal["query", "passage"], typer.Option("--type", help="What the texts are.")],
    model: Annotated[
        str | None, typer.Option(metavar="DIR|NAME", help="A model folder, a name on the hub, an alias; by default the packaged model.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts that go through the network at once.")] = 64,
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help="none, bge, bge-query, e5 or e5-instruct; by default the model's own.")
    ] = None,
    file_format: Annotated[
        Literal["npz", "npy"], typer.Option("--format", help="One NAME.npz, or NAME_ids.npy and NAME_embeds.npy.")
    ] = "npz",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 …; by default a GPU where there is one.")] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Encode with this graph of `sparse-ko export --format onnx`, int8 or fp32; needs no torch."),
    ] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="Texts that are written together: what a kill costs at most.")] = 4096,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that stopped.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Turn texts into vectors of length 1. Every line is checked before the first is encoded; a run that stopped goes on with --resume.

    Example: lex-dpr embed --model runs/law/model --input corpus.jsonl --outdir embeddings --prefix passages --type passage
    """
    with exit_on_error():
        from dense_ko.embedding import EmbedSettings, embed_file

        mode = template_named(template) if template else None
        try:
            settings = EmbedSettings(kind=kind, prefix=prefix, file_format=file_format, batch_size=batch_size, shard_size=shard_size)
        except ValidationError as failure:
            raise UsageError(f"--{first_complaint(failure)}.", "A prefix is the beginning of a file's name: --prefix passages") from failure
        load = _onnx_loader(onnx, model, mode, device) if onnx else _torch_loader(model, mode, device)
        with progress_bar("texts") as bar:
            task = bar.add_task("checking", total=None)
            done = embed_file(
                load,
                source,
                outdir,
                settings,
                resume=resume,
                on_progress=lambda what, count, total: bar.update(task, description=what, completed=count, total=total),
            )
        if as_json:
            print_json(done.as_json())
            return
        for file in done.files:
            out.print(escape(str(file)), soft_wrap=True)
        before = done.texts - done.encoded
        there = f", {before:,} of them were there already" if before else ""
        notes.print(f"{done.texts:,} vectors of {done.dimensions} dimensions{there}; {done.seconds:.1f} s")


def _torch_loader(model: str | None, template: TemplateMode | None, device: str | None) -> Load:
    if model is None and not has_packaged_model():
        raise UsageError(
            "Neither --model nor --onnx is named, and this installation comes without a model.",
            "lex-dpr embed --model DIR …    or without torch: lex-dpr embed --onnx ZIP …",
        )
    need_torch("lex-dpr embed")
    named = model or str(packaged_model())

    def load() -> tuple[TextEncoder, Mapping[str, Any]]:
        from dense_ko.embedding import identity_of
        from dense_ko.encoder import BiEncoder

        encoder = BiEncoder(named, template=template, device=device)
        return encoder, identity_of(encoder, named)

    return load


def _onnx_loader(onnx: Path, model: str | None, template: TemplateMode | None, device: str | None) -> Load:
    def load() -> tuple[TextEncoder, Mapping[str, Any]]:
        from dense_ko.embedding.onnx_encoder import OnnxBiEncoder

        encoder = OnnxBiEncoder(onnx, template, device=device)
        exported = str(encoder.card.get("version", "")).partition("-")[0]
        if model is not None and exported and Path(model).is_dir() and folder_sha256(Path(model))[:12] != exported:
            raise UsageError(
                f"{onnx} was exported from another model folder (version {exported}) than {model}.",
                f"Leave --model out, or export this one: sparse-ko export --model {model} --format onnx --out DIR",
            )
        return encoder, encoder.identity()

    return load
