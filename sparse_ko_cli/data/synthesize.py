"""`sparse-ko data synthesize`: a language model writes search queries for the passages of a collection."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.pairs.training_pairs import write_pairs
from retrieval_ko.synthesis.backend import TextGenerator
from retrieval_ko.synthesis.generation import Synthesis, generate_synthetic_qd_pairs
from retrieval_ko.synthesis.ollama import ANSWER_TIMEOUT_SECONDS, DEFAULT_URL, OllamaBackend
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar

SHOWN_FAILURES = 10


class Backend(StrEnum):
    """Who runs the language model."""

    OLLAMA = "ollama"
    TRANSFORMERS = "transformers"


def synthesize(
    collection: Annotated[Path, typer.Argument(help="A collection folder (BEIR).", metavar="DIR")],
    backend: Annotated[Backend, typer.Option(help="Who runs the model: an Ollama server, or transformers in this process.")],
    model: Annotated[str, typer.Option(help="The model's name at Ollama; a folder or hub name for transformers.", metavar="NAME")],
    url: Annotated[str, typer.Option(help="The Ollama server. It reads your passages.", metavar="URL")] = DEFAULT_URL,
    queries: Annotated[int, typer.Option(help="Queries a passage.", min=1)] = 3,
    max_documents: Annotated[int, typer.Option(help="Passages to ask about, drawn by --seed.", min=1)] = 1000,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="The pair file to write. Default: DIR/pairs/synthetic.jsonl", metavar="FILE")
    ] = None,
    workers: Annotated[int, typer.Option(help="Requests at the same time.", min=1, max=32)] = 1,
    seed: Annotated[int, typer.Option(help="Draws the passages and the model's words.", min=0)] = 0,
    filtering: Annotated[bool, typer.Option("--filter/--no-filter", help="Drop queries that are unfit for training.")] = True,
    timeout_seconds: Annotated[float, typer.Option("--timeout", help="Seconds for one answer (Ollama).", min=0.1)] = ANSWER_TIMEOUT_SECONDS,
    device: Annotated[str | None, typer.Option(help="cpu or cuda (transformers). Default: what is there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Let a language model write search queries for passages, and keep those that are fit for training.

    Every answer is on the disk before the next passage is asked: stopped or killed, the same command goes on where it was.
    The exit code is 1 where passages got no answer; the same command asks only those again.

    Example: sparse-ko data synthesize my-collection --backend ollama --model exaone3.5:7.8b
    """
    with exit_on_error():
        target = out_file or collection / "pairs" / "synthetic.jsonl"
        journal = target.with_name(f"{target.name}.journal")
        if target.exists() and not journal.exists():
            raise UsageError(f"{target} exists and was not written by this command.", "Name another file with --out.")
        read = Collection.read(collection)
        generator = _generator(backend, model, url, timeout_seconds, device)
        if filtering:
            notes.print(f"Indexing {len(read.passages):,} passages for BM25 …")
        with progress_bar("passages") as bar:
            task = bar.add_task(f"Asking {escape(model)}", total=min(max_documents, len(read.passages)))
            begun = time.monotonic()

            def show(result: Synthesis, total: int) -> None:
                asked = max(result.documents - result.answers_from_journal, 0)
                speed = asked / max(time.monotonic() - begun, 1e-3)
                status = f"Asking {escape(model)}: {speed:.2f} passages/s, {result.kept_share:.0%} of the queries kept"
                bar.update(task, completed=result.documents, total=total, description=status)

            try:
                result = generate_synthetic_qd_pairs(
                    read.passages.values(),
                    generator,
                    queries,
                    max_documents,
                    filtering,
                    known_queries=[query.text for query in read.queries.values()],
                    journal=journal,
                    workers=workers,
                    seed=seed,
                    on_progress=show,
                )
            except KeyboardInterrupt:
                notes.print(f"The answers so far are in {escape(str(journal))}; the same command goes on from there.", soft_wrap=True)
                raise
        write_pairs(target, result.pairs)
        _finish(result, target, journal, as_json)


def _generator(backend: Backend, model: str, url: str, timeout_seconds: float, device: str | None) -> TextGenerator:
    if backend is Backend.OLLAMA:
        server = OllamaBackend(model, url, timeout_seconds=timeout_seconds)
        server.check()
        return server
    from sparse_ko.generation import TransformersBackend

    return TransformersBackend.load(model, device)


def _finish(result: Synthesis, target: Path, journal: Path, as_json: bool) -> None:
    rejected = {reason: result.rejected[reason] for reason in sorted(result.rejected)}
    if as_json:
        print_json(
            {
                "out": str(target),
                "journal": str(journal),
                "documents": result.documents,
                "answers_from_journal": result.answers_from_journal,
                "queries": result.queries,
                "korean_share": round(result.korean_share, 4),
                "pairs": len(result.pairs),
                "kept_share": round(result.kept_share, 4),
                "rejected": rejected,
                "failures": [failure._asdict() for failure in result.failures],
            }
        )
    else:
        out.print(escape(f"{target}: {len(result.pairs):,} pairs from {result.documents:,} passages."), soft_wrap=True)
        table = Table(box=None, show_header=False)
        table.add_row("queries written", f"{result.queries:,}")
        table.add_row("Korean", f"{result.korean_share:.1%}")
        table.add_row("kept", f"{result.kept_share:.1%}")
        for reason, count in rejected.items():
            table.add_row(f"dropped: {reason}", f"{count:,}")
        out.print(table)
        for failure in result.failures[:SHOWN_FAILURES]:
            notes.print(escape(f"No answer for {failure.passage_id}: {failure.reason}"), soft_wrap=True)
        if len(result.failures) > SHOWN_FAILURES:
            notes.print(f"… and {len(result.failures) - SHOWN_FAILURES:,} more; --json lists all.")
    if result.failures:
        notes.print(f"{len(result.failures):,} passages got no answer; the same command asks them again.")
        raise typer.Exit(1)
