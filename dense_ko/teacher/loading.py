"""A teacher by its folder, whichever kind it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dense_ko.teacher.asked import Teacher
from dense_ko.teacher.ensemble import LoadModel, is_ensemble, load_ensemble
from retrieval_ko.collection import Collection
from retrieval_ko.files import folder_sha256
from retrieval_ko.terms import available_cores

if TYPE_CHECKING:
    from dense_ko.encoder import BiEncoder


def load_teacher(name: str, collection: Collection, collection_folder: Path, load_model: LoadModel | None = None) -> Teacher:
    """Return the cross-encoder or the ensemble of a folder, or a re-ranker of the hub.

    Args:
        name: a folder, or OWNER/NAME on the hub.
        collection: whose passages will be judged; an ensemble is bound to it.
        collection_folder: where it stands.
        load_model: path → encoder, for an ensemble that asks one; None: `dense_ko.BiEncoder`.

    Raises:
        ModelError: there is no such teacher, or a part of it is missing or damaged.
        DataError: an ensemble was fitted to other pairs.
    """
    if is_ensemble(name):
        return load_ensemble(Path(name), collection, collection_folder, load_model or _bi_encoder, workers=available_cores())
    from dense_ko.teacher.model import CrossEncoderTeacher

    return CrossEncoderTeacher.load(name)


def teacher_sha256(name: str) -> str:
    """Return what tells a teacher from others: the hash of its folder, or its name on the hub."""
    return folder_sha256(Path(name)) if Path(name).is_dir() else name


def _bi_encoder(path: str) -> BiEncoder:
    from dense_ko.encoder import BiEncoder

    return BiEncoder(path)
