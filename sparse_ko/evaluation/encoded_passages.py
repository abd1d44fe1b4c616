"""A collection's weights on disk, so that a second evaluation of the same model need not encode it again."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.evaluation.identity import texts_hash
from retrieval_ko.files import folder_sha256, new_file

_PARTS = ("indptr", "indices", "data", "shape", "ids")


class EncodedPassages:
    """One file: the weights of one collection by one model, as NumPy arrays without pickle.

    The file's name is a hash of the model's files and of the passages' texts and ids; another model or another text is another file.

    Args:
        folder: where such files lie; made if need be.
        model: the model's folder.
        texts_hash: of the passages, `retrieval_ko.evaluation.identity.texts_hash`.
    """

    def __init__(self, folder: Path, model: Path, texts_hash: str) -> None:
        key = hashlib.sha256(f"{folder_sha256(model)}\n{texts_hash}".encode()).hexdigest()
        self.path = Path(folder) / f"passages-{key[:32]}.npz"

    @classmethod
    def of(cls, folder: Path | None, model: Path, collection: Collection) -> EncodedPassages | None:
        """Return the file of a collection by a model; None where no folder keeps such files."""
        return cls(folder, model, texts_hash(collection)) if folder else None

    def load(self) -> csr_matrix | None:
        """Return the weights, shape [passages, vocabulary]; None where they are not there yet.

        Raises:
            DataError: the file is damaged.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as parts:
                indptr, indices, data, shape, _ = (parts[name] for name in _PARTS)
            weights = csr_matrix((data, indices, indptr), shape=(int(shape[0]), int(shape[1])))
            weights.check_format(full_check=True)
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as failure:
            raise DataError(
                f"The kept weights {self.path} are damaged: {failure}.", f"Delete the file, it is made anew: rm {self.path}"
            ) from failure
        return weights

    def save(self, ids: Sequence[str], weights: csr_matrix) -> None:
        """Write the weights and the passages' ids (as JSON), whole or not at all."""
        written = np.frombuffer(json.dumps(list(ids), ensure_ascii=False).encode(), dtype=np.uint8)
        with new_file(self.path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                indptr=weights.indptr,
                indices=weights.indices,
                data=weights.data,
                shape=np.array(weights.shape, dtype=np.int64),
                ids=written,
            )
