"""The vectors that an encoder built from scratch starts with, as `sparse-ko vocab embed` writes them (PPMI and SVD)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval_ko.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

TENSOR, CARD = "vectors", "vocabulary"
"""What the file calls the vectors, and the list of their pieces in its metadata."""


def load_embeddings(path: Path, pieces: Sequence[str]) -> Tensor:
    """Return the vectors of `pieces` from a file of `sparse-ko vocab embed`, shape [len(pieces), dimensions], float32, of length 1.

    A piece that the file lacks, or that stood beside no other, has a vector of zeros: the caller gives it a direction.

    Raises:
        ModelError: the file is missing or is none of `sparse-ko vocab embed`, or not half of the pieces are in it.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    remedy = "Write it with: sparse-ko vocab embed --tokenizer DIR --input FILE --out FILE.safetensors"
    try:
        with safe_open(str(path), framework="pt") as file:
            known = json.loads((file.metadata() or {})[CARD])["pieces"]
            vectors: Tensor = file.get_tensor(TENSOR).float()
    except (OSError, SafetensorError, KeyError, ValueError) as failure:
        raise ModelError(f"{path} holds no vectors of pieces: {failure}.", remedy) from failure
    places = {piece: place for place, piece in enumerate(known)}
    found = [places.get(piece, -1) for piece in pieces]
    if sum(place >= 0 for place in found) * 2 < len(found):
        missing = sum(place < 0 for place in found)
        raise ModelError(f"{path} lacks {missing:,} of {len(found):,} pieces: it was made for another vocabulary.", remedy)
    rows = torch.cat([vectors, torch.zeros(1, vectors.shape[1])])[found]
    return torch.nn.functional.normalize(rows, dim=1)
