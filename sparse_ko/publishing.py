"""What a card says of a sparse encoder, and how it is loaded to be compared with what was published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scipy.sparse import vstack

from sparse_ko.forms.lexical_floor import CARD
from sparse_ko.model import SparseEncoder
from training_ko.publishing.model import PublishedModel, Publisher

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def load(folder: Path) -> PublishedModel:
    """Load a sparse encoder's folder on the CPU.

    Raises:
        ModelError: see `SparseEncoder.load`.
    """
    encoder = SparseEncoder.load(folder, device="cpu")
    stock = encoder.form != "lexical-floor"

    def vectors(passages: Sequence[str], queries: Sequence[str]) -> NDArray[np.float32]:
        weights: NDArray[np.float32] = vstack([encoder.encode_document(passages), encoder.encode_query(queries)]).toarray()
        return weights

    parameters = sum(parameter.numel() for parameter in encoder.module.parameters())
    return PublishedModel(
        kind=f"A sparse encoder ({encoder.form})",
        facts=(
            ("form", encoder.form),
            ("parameters", f"{parameters:,}"),
            ("vocabulary", f"{len(encoder.tokenizer):,} tokens, one dimension each"),
            ("a passage is cut at", f"{encoder.max_tokens} tokens"),
            ("a query is read by", "a table of weights, no network" if encoder.query_table is not None else "the network"),
        ),
        library="sentence-transformers" if stock else "sparse-ko",
        tags=("sparse-encoder", "sparse", "splade", "korean", "opensearch", *(("sentence-transformers",) if stock else ())),
        usage=lambda name, repo: _usage(name, repo, stock=stock),
        vectors=vectors,
    )


PUBLISHER = Publisher(load, CARD)


def _usage(name: str, repo: str | None, *, stock: bool) -> str:
    folder = "" if repo is None else f'.load("{name}")'
    made = f"encoder = SparseEncoder{folder or '()'}"
    option = "" if repo is None else f" --model {name}"
    parts = []
    if repo:
        parts.append(f"    hf download {repo} --local-dir {name}\n")
    parts.append(
        "```python\nfrom sparse_ko import SparseEncoder\n\n"
        f"{made}\n"
        'weights = encoder.encode_document(["전세 보증금을 돌려받지 못한 임차인은 임차권등기명령을 신청할 수 있다."])\n'
        "print(encoder.to_tokens(weights, top=10)[0])\n```\n"
    )
    if stock and repo:
        parts.append(
            "Or with sentence-transformers alone:\n\n```python\nfrom sentence_transformers import SparseEncoder\n\n"
            f'encoder = SparseEncoder("{repo}")\n```\n'
        )
    parts.append(
        f"    sparse-ko encode{option} --input corpus.jsonl --output weights.jsonl\n"
        f'    sparse-ko explain{option} "월세가 밀리면" "차임을 연체하면 임대인은 계약을 해지할 수 있다"\n'
        f"    sparse-ko evaluate{option} --collection my-collection --split dev\n"
    )
    where = name if repo else "MODEL"
    parts.append(
        "In OpenSearch, as a model that the cluster itself runs"
        + ("" if repo else "; MODEL is the folder that this file stands in")
        + f":\n\n    sparse-ko deploy --model {where} --cluster --index my-index\n"
        "    sparse-ko index --cluster --index my-index --collection my-collection\n"
        '    sparse-ko search --cluster --index my-index --mode sparse "월세가 밀리면"\n'
    )
    return "\n".join(parts)
