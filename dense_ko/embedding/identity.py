"""What a model's vectors depend on, so that two runs with different ones are never mixed in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval_ko.files import folder_sha256

if TYPE_CHECKING:
    from dense_ko.encoder import BiEncoder


def identity_of(encoder: BiEncoder, name_or_path: str | Path) -> dict[str, Any]:
    """Return what a bi-encoder's vectors depend on, as JSON values.

    Args:
        encoder: the model, loaded.
        name_or_path: what it was loaded from: a folder is known again by its bytes, wherever it lies; a name on the hub by itself.
    """
    folder = Path(name_or_path)
    source = {"folder_sha256": folder_sha256(folder)} if folder.is_dir() else {"name": str(name_or_path)}
    return {
        "engine": "torch",
        **source,
        "template": encoder.template.value,
        "normalize": encoder.normalize,
        "query_prefix": encoder.record.query_prefix,
        "passage_prefix": encoder.record.passage_prefix,
        "query_max_seq_length": encoder.get_max_seq_length("query"),
        "passage_max_seq_length": encoder.get_max_seq_length("document"),
        "device": str(encoder.model.device),
    }
