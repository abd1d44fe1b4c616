"""`lex-dpr teacher fit`: a teacher of BM25, earlier citations and encoders, without training a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.files import folder_sha256, sha256
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from retrieval_ko.terms import Tokenization, available_cores
from sparse_ko_cli.requirement import need_torch

if TYPE_CHECKING:
    from dense_ko.teacher.signals import Encodes
    from sparse_ko.model import SparseEncoder

_SPARSE_SCALE = 10.0
"""A sparse score is a sum of some tens; divided by this it is about as large as the other signals."""


def fit(
    collection: Annotated[Path, typer.Option("--collection", help="A collection folder (BEIR).", metavar="DIR")],
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="The teacher's folder.")],
    pairs: Annotated[str, typer.Option(help="Name of a file in its pairs/: the queries whose citations speak.")] = "train",
    split: Annotated[
        str | None, typer.Option(help="Fit on this split's queries; by default on those of --pairs, their own pairs left out.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="An encoder that is asked too, dense or sparse; may be repeated.", metavar="DIR")
    ] = None,
    tokenization: Annotated[Tokenization, typer.Option(help="How text is cut; bigram needs no Kiwi.")] = Tokenization.BIGRAM,
    neighbours: Annotated[int, typer.Option(min=1, help="Similar training queries that speak for a query.")] = 100,
    depth: Annotated[int, typer.Option(min=2, help="Passages that BM25 and the neighbours propose each.")] = 100,
    max_samples: Annotated[int, typer.Option(min=1, help="Queries that the weights are fitted on, at most, drawn by hash.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fit a teacher that looks up instead of reading: BM25, what similar training queries cite, how often a passage is cited.

    It scores, evaluates and distils like a cross-encoder: --model DIR, --teacher DIR. An encoder named with --model was
    trained on the training queries, so fit on another --split then.

    Example: lex-dpr teacher fit --collection my-collection --out runs/ensemble
    """
    with exit_on_error():
        need_torch("lex-dpr teacher fit")
        from dense_ko.teacher.ensemble import (
            CARD,
            EnsembleCard,
            EnsembleRecipe,
            NamedModel,
            pair_file,
            save_ensemble,
            signals_of,
        )
        from dense_ko.teacher.fitting import fit_ensemble, queries_of_pairs, queries_of_split, weights_in_words

        if folder.exists() and not (folder / CARD).is_file():
            raise UsageError(f"{folder} is there already, and is no ensemble.", "Name another folder: --out DIR")
        data = Collection.read(collection)
        source = pair_file(collection, pairs)
        known = list(read_pairs(source))
        models = {_name(path, model or []): _named(path, NamedModel) for path in model or []}
        recipe = EnsembleRecipe(pairs=pairs, tokenization=tokenization, neighbours=neighbours, depth=depth, models=models)
        queries = queries_of_split(data, split, max_samples) if split else queries_of_pairs(data, known, max_samples)
        with progress_bar("") as bar:
            task = bar.add_task("passages into terms", total=len(data.passages))
            signals = signals_of(
                recipe,
                data,
                known,
                load_encoder,
                workers=available_cores(),
                on_progress=lambda done: bar.update(task, completed=done),
            )
            task_fit = bar.add_task("queries", total=len(queries))
            fitted = fit_ensemble(signals, queries, depth, on_progress=lambda done, total: bar.update(task_fit, completed=done))
        teacher = fitted.teacher
        card = EnsembleCard(
            recipe=recipe,
            collection=data.name,
            pairs_sha256=sha256(source),
            weights=dict(teacher.weights),
            bias=teacher.bias,
            fitted={"on": split or pairs, **fitted.facts},
        )
        save_ensemble(card, folder)
        if as_json:
            print_json({"teacher": str(folder), "weights": card.weights, "bias": card.bias, **card.fitted})
            return
        facts = fitted.facts
        out.print(f"The teacher is in {escape(str(folder))}: {weights_in_words(card.weights)}.", soft_wrap=True)
        out.print(
            f"Fitted on {facts['used']:,} of {facts['queries']:,} queries; "
            f"its first passage is an answer for {facts['first_is_answer']:.0%}.",
            soft_wrap=True,
        )
        notes.print(f"Next: lex-dpr teacher evaluate --model {escape(str(folder))} --collection {escape(str(collection))}", soft_wrap=True)


def load_encoder(path: str) -> Encodes:
    """Return the encoder of a folder, dense or sparse."""
    if _is_sparse(Path(path)):
        from sparse_ko.model import SparseEncoder

        return _SparseAsEncoder(SparseEncoder.load(path))
    from dense_ko.encoder import BiEncoder

    return BiEncoder(path)


class _SparseAsEncoder:
    """A sparse encoder under the names that an ensemble asks for."""

    def __init__(self, encoder: SparseEncoder) -> None:
        self._encoder = encoder

    def encode_queries(self, texts: Sequence[str], batch_size: int = 32) -> Any:  # noqa: ANN401  a sparse matrix
        return self._encoder.encode_query(texts, batch_size)

    def encode_passages(self, texts: Sequence[str], batch_size: int = 32) -> Any:  # noqa: ANN401  a sparse matrix
        return self._encoder.encode_document(texts, batch_size)


def _is_sparse(folder: Path) -> bool:
    modules = folder / "modules.json"
    return (folder / "sparse_ko.json").is_file() or (modules.is_file() and "sparse_encoder" in modules.read_text(encoding="utf-8"))


def _named(path: str, record: Any) -> Any:  # noqa: ANN401  NamedModel, which is imported late
    if not Path(path).is_dir():
        raise UsageError(f"There is no model folder {path}.", "Name a folder of lex-dpr train or sparse-ko train: --model runs/NAME/model")
    place = Path(path).resolve()
    return record(path=str(place), sha256=folder_sha256(place), scale=_SPARSE_SCALE if _is_sparse(place) else 1.0)


def _name(path: str, paths: Sequence[str]) -> str:
    """Return what a model's weight is called: the run's name, and the path where two runs have the same."""
    place = Path(path).resolve()
    short = place.parent.name if place.name == "model" else place.name
    others = [Path(other).resolve() for other in paths if other != path]
    return str(place) if any(short in (other.name, other.parent.name) for other in others) else f"model {short}"
