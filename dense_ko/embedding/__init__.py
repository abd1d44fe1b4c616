"""Texts to files of vectors, and search over them. Nothing here loads torch.

Example:
    >>> encoder = BiEncoder("runs/law/model")  # doctest: +SKIP
    >>> settings = EmbedSettings(kind="passage", prefix="passages")  # doctest: +SKIP
    >>> load = lambda: (encoder, identity_of(encoder, "runs/law/model"))  # doctest: +SKIP
    >>> embed_file(load, Path("corpus.jsonl"), Path("embeddings"), settings)  # doctest: +SKIP
    >>> ids, vectors = read_embeddings("embeddings/passages.npz")  # doctest: +SKIP
    >>> [ranking] = exact_search(ids, vectors, encoder.encode_queries(["부가가치세 신고 기한"]), 10)  # doctest: +SKIP
"""

from dense_ko.embedding.arrays import read_embeddings, write_embeddings
from dense_ko.embedding.identity import identity_of
from dense_ko.embedding.run import Embedded, EmbedSettings, TextEncoder, embed_file
from dense_ko.embedding.search import HnswSettings, approximate_search, exact_search, recall_between
from dense_ko.embedding.texts import check_texts, read_texts

__all__ = [
    "EmbedSettings",
    "Embedded",
    "HnswSettings",
    "TextEncoder",
    "approximate_search",
    "check_texts",
    "embed_file",
    "exact_search",
    "identity_of",
    "read_embeddings",
    "read_texts",
    "recall_between",
    "write_embeddings",
]
