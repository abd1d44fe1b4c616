"""Queries read on this machine by a model folder: the encoder's weights, and a dense model's vectors. Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from opensearch_ko.prefixes import prefix_for
from retrieval_ko.errors import ModelError

if TYPE_CHECKING:
    from sparse_ko.model import SparseEncoder


class FolderReader:
    """Reads queries with a sparse encoder's folder; a doc-only one runs no network for that.

    Args:
        encoder: of the index that is searched.
    """

    def __init__(self, encoder: SparseEncoder) -> None:
        self._encoder = encoder
        backend = encoder.tokenizer.backend_tokenizer
        self._spellings: list[str] = [backend.decode([token], skip_special_tokens=True) for token in range(len(encoder.tokenizer))]

    @classmethod
    def read(cls, folder: Path) -> FolderReader:
        """Load a model folder on the CPU.

        Raises:
            ModelError: the folder or a part of it is missing or damaged.
        """
        from sparse_ko.model import SparseEncoder

        return cls(SparseEncoder.load(folder, device="cpu"))

    def ids(self, text: str) -> dict[int, float]:
        """Return the query's weights by token id, each > 0."""
        row = self._encoder.encode_query([text])
        return {int(token): float(weight) for token, weight in zip(row.indices, row.data, strict=True)}

    def weights(self, text: str) -> dict[str, float]:
        """Return the query's weights by token as the node spells it, each > 0."""
        return {self._spellings[token]: weight for token, weight in self.ids(text).items() if self._spellings[token]}

    def spelling(self, token_id: int) -> str:
        """Return what the node calls a token; the id itself where it has no name."""
        return self._spellings[token_id] or str(token_id)


def dense_reader(folder: Path, prefix: str | None = None, remembered: str | None = None) -> Callable[[str], list[float]]:
    """Return what embeds a query with a sentence-transformers folder, with what the node would put before it.

    Args:
        folder: of the model.
        prefix: put before queries whatever the index was deployed with; None: what `remembered` says.
        remembered: what the node puts before queries, by the index; None: the folder's template is taken.

    Raises:
        ModelError: the folder cannot be loaded, or contradicts itself.
        DataError: its record is damaged.
    """
    if not (Path(folder) / "modules.json").is_file():
        raise ModelError(f"{folder} is no sentence-transformers folder: it has no modules.json.", "Name one: --dense-model DIR")
    from sentence_transformers import SentenceTransformer

    from dense_ko.loading import template_in

    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as failure:
        raise ModelError(f"The dense model {folder} cannot be loaded: {' '.join(str(failure).split())[:300]}") from failure
    choice = template_in(model, Path(folder))
    before = prefix_for("query", asked=prefix, remembered=remembered, own=choice.prefixes.query, why=choice)

    def embed(text: str) -> list[float]:
        return [float(value) for value in model.encode_query([text], prompt=before, show_progress_bar=False)[0]]

    return embed
