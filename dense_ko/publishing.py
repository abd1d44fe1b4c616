"""What a card says of a bi-encoder, and how it is loaded to be compared with what was published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dense_ko.encoder import BiEncoder
from dense_ko.model_record import RECORD
from training_ko.publishing.model import PublishedModel, Publisher

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load(folder: Path) -> PublishedModel:
    """Load a bi-encoder's folder on the CPU.

    Raises:
        ModelError: see `BiEncoder.load`.
    """
    encoder = BiEncoder.load(folder, device="cpu")

    def vectors(passages: Sequence[str], queries: Sequence[str]) -> NDArray[np.float32]:
        return np.concatenate([encoder.encode_passages(passages), encoder.encode_queries(queries)])

    lora = encoder.get_training_config()
    parameters = sum(parameter.numel() for parameter in encoder.module.parameters())
    return PublishedModel(
        kind="A bi-encoder",
        facts=(
            ("dimensions", str(encoder.get_embedding_dimension())),
            ("parameters", f"{parameters:,}"),
            ("adapters", f"LoRA, r {lora['r']}, merged into the weights" if lora else "none"),
            ("template", encoder.template.value),
            ("a passage is cut at", f"{encoder.get_max_seq_length('document')} tokens"),
            ("a query is cut at", f"{encoder.get_max_seq_length('query')} tokens"),
            ("vectors have length 1", "yes" if encoder.normalize else "no"),
        ),
        library="sentence-transformers",
        tags=("sentence-transformers", "sentence-similarity", "dense", "korean", "opensearch"),
        usage=_usage,
        vectors=vectors,
    )


PUBLISHER = Publisher(load, RECORD)


def _usage(name: str, repo: str | None) -> str:
    made = f'BiEncoder("{repo}")' if repo else "BiEncoder()"
    option = f" --model {repo}" if repo else ""
    where = name if repo else "MODEL"
    download = f"    hf download {repo} --local-dir {name}\n" if repo else ""
    return (
        "```python\nfrom dense_ko import BiEncoder\n\n"
        f"encoder = {made}\n"
        'queries = encoder.encode_queries(["법인세 신고 기한은 언제인가?"])\n'
        'passages = encoder.encode_passages(["내국법인은 사업연도가 끝난 날부터 3개월 이내에 법인세를 신고하여야 한다."])\n'
        "print(queries @ passages.T)\n```\n\n"
        f"    lex-dpr embed{option} --input corpus.jsonl --outdir embeddings --prefix passages --type passage\n"
        f"    lex-dpr evaluate{option} --collection my-collection --split dev\n\n"
        "In OpenSearch, as a model that the cluster itself runs"
        + ("" if repo else "; MODEL is the folder that this file stands in")
        + f":\n\n{download}    sparse-ko export --model {where} --out exported\n"
        "    sparse-ko deploy --model SPARSE-MODEL --dense exported/ZIP --cluster --index my-index\n"
    )
