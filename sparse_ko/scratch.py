"""An encoder built from scratch that, before its first training step, is a lexical matcher.

A random head would have to learn from a few thousand pairs what every term index knows: that a word means itself. Here the
weights start so that a token activates its own dimension, by its idf, and nothing else:

- every piece gets a random unit vector, drawn towards those of its kin (`sparse_ko.kinship`); `x` and `##x` get nearly the same
  one, since 계약 and ##계약 are one word;
- the output embedding (tied to the input) is that vector times a length that grows with the idf;
- the head passes the vector through, and a negative bias silences chance similarities;
- special tokens get a bias that no logit overcomes, so they weigh 0 in every library that loads the folder.

Training then moves weights and adds expansions. `static` is the same architecture with no attention layer at all.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from retrieval_ko.records import SynonymPair
from sparse_ko.kinship import morpheme_kinship, synonym_kinship
from sparse_ko.settings import ModelSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import BertForMaskedLM, PreTrainedTokenizerFast

SILENT_BIAS = -1e4
"""Bias of the special tokens' dimensions."""
NOISE_MARGIN = 0.3
"""Share of a vector's own activation that is taken off as bias: 4.8 standard deviations of a chance similarity in 256 dimensions."""
PIECE_KINSHIP = 0.9
"""Cosine between the vectors of `x` and `##x` at the start."""
TEXTS_AT_ONCE = 2_000
"""Texts that are tokenised together for counting."""
HEAD_GAIN = 4.0
"""Length of the head's output. Larger means smaller embedding entries, so that one learning rate moves them further."""


def inverse_document_frequency(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> Tensor:
    """Return ln(1 + (N - df + 0.5) / (df + 0.5)) of every piece, shape [vocabulary].

    `x` and `##x` are counted as one. A single character counts wherever it stands, also inside longer pieces: it is what an unknown
    word falls apart into, and eight letters must not outweigh the one word beside them. Punctuation gets 0.
    """
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    stems = [piece.removeprefix("##") for piece in pieces]
    column = {stem: number for number, stem in enumerate(dict.fromkeys(stems))}
    found = [{stem, *(stem if piece not in tokenizer.all_special_tokens else ())} for piece, stem in zip(pieces, stems, strict=True)]
    columns = [[column[part] for part in sorted(parts) if part in column] for parts in found]
    parts_of = _pattern(columns, len(column))  # of each piece: its stem, and the characters in it
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(max_length=tokenizer.model_max_length)
    backend.no_padding()
    count, frequencies = 0, np.zeros(len(column))
    rest = iter(texts)
    while some := list(islice(rest, TEXTS_AT_ONCE)):
        rows = _pattern([np.unique(encoding.ids) for encoding in backend.encode_batch(some)], len(pieces))
        frequencies += np.bincount((rows @ parts_of).indices, minlength=len(column))
        count += len(some)
    idf = [_idf(frequencies[column[stem]], count) for stem in stems]
    return torch.tensor([0.0 if _is_punctuation(piece) else weight for piece, weight in zip(pieces, idf, strict=True)])


def _pattern(rows: Sequence[Sequence[int] | NDArray[np.int64]], width: int) -> csr_matrix:
    """Return a matrix of ones where each row has its columns."""
    ends = np.cumsum([0, *map(len, rows)])
    return csr_matrix(
        (np.ones(ends[-1], dtype=np.int32), np.concatenate([np.zeros(0, dtype=np.int64), *rows]), ends), shape=(len(rows), width)
    )


def _idf(frequency: float, count: int) -> float:
    return math.log(1 + (count - frequency + 0.5) / (frequency + 0.5))


def _is_punctuation(piece: str) -> bool:
    return all(unicodedata.category(char).startswith(("P", "S")) for char in piece)


def _unit_vectors(pieces: list[str], stems: list[str], kinship: csr_matrix, dimensions: int, generator: torch.Generator) -> Tensor:
    def random_directions(count: int) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(count, dimensions, generator=generator), dim=1)

    directions = random_directions(len(stems))
    directions = torch.nn.functional.normalize(directions + torch.from_numpy((kinship @ directions.numpy()).astype("float32")), dim=1)
    number = {stem: place for place, stem in enumerate(stems)}
    shared = directions[[number[piece.removeprefix("##")] for piece in pieces]]
    # a share s of the common direction and √(1 - s²) of an own one gives the cosine s²
    own = math.sqrt(PIECE_KINSHIP)
    mixed = own * shared + math.sqrt(1 - own**2) * random_directions(len(pieces))
    return torch.nn.functional.normalize(mixed - mixed.mean(dim=1, keepdim=True), dim=1)


def _kinship(settings: ModelSettings, stems: list[str], tokenizer: PreTrainedTokenizerFast, synonyms: Iterable[SynonymPair]) -> csr_matrix:
    def stems_of(term: str) -> list[str]:
        return [piece.removeprefix("##") for piece in tokenizer.tokenize(term)]

    kinship = settings.synonym_pull * synonym_kinship(stems, synonyms, stems_of)
    if settings.neighbour_pull:
        kinship = kinship + settings.neighbour_pull * morpheme_kinship(stems)
    return csr_matrix(kinship)


def build_from_scratch(
    settings: ModelSettings, tokenizer: PreTrainedTokenizerFast, idf: Tensor, seed: int, synonyms: Iterable[SynonymPair] = ()
) -> BertForMaskedLM:
    """Return a BERT with an MLM head whose logits start as described above.

    Args:
        settings: form and size.
        tokenizer: the vocabulary, WordPiece.
        idf: inverse document frequency of every piece, shape [vocabulary].
        seed: of the random directions; the same seed gives the same weights.
        synonyms: pairs whose two sides start as kin.
    """
    from transformers import BertConfig, BertForMaskedLM

    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.dimensions,
        num_hidden_layers=0 if settings.body == "static" else settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.dimensions,
        max_position_embeddings=settings.max_tokens,
        pad_token_id=tokenizer.pad_token_id,
        hidden_dropout_prob=0.0 if settings.body == "static" else 0.1,
        attention_probs_dropout_prob=0.1,
    )
    model = BertForMaskedLM(config)
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    stems = list(dict.fromkeys(piece.removeprefix("##") for piece in pieces))
    kinship = _kinship(settings, stems, tokenizer, synonyms)
    vectors = _unit_vectors(pieces, stems, kinship, settings.dimensions, generator)
    head = model.cls.predictions
    with torch.no_grad():
        for layer in model.bert.encoder.layer:
            # small outputs: after the residual connection and LayerNorm a token is still itself
            layer.attention.output.dense.weight.mul_(0.1)
            layer.output.dense.weight.mul_(0.1)
        model.bert.embeddings.position_embeddings.weight.zero_()
        model.bert.embeddings.token_type_embeddings.weight.zero_()
        head.transform.dense.weight.copy_(torch.eye(settings.dimensions))
        head.transform.dense.bias.zero_()
        head.transform.LayerNorm.weight.fill_(HEAD_GAIN / math.sqrt(settings.dimensions))
        head.transform.LayerNorm.bias.zero_()
        through = head.transform(torch.nn.functional.layer_norm(vectors, (settings.dimensions,)))
        own_activation = (through * vectors).sum(dim=1).mean()
        # own weight log1p(length · activation · (1 - margin)) = sqrt(idf), so that a shared term adds idf to the score
        length = torch.expm1(idf.clamp(min=0.01).sqrt()) / (own_activation * (1 - NOISE_MARGIN))
        model.bert.embeddings.word_embeddings.weight.copy_(vectors * length.unsqueeze(1))
        bias = -NOISE_MARGIN * own_activation * length
        bias[tokenizer.all_special_ids] = SILENT_BIAS
        head.bias.copy_(bias)
    return model.eval()
