"""A body built from scratch that, before its first training step, matches words: rare ones weigh more, common ones less.

A random start would have to learn from a few thousand pairs what every term index knows. Here every piece gets a random direction, and
a length that grows with its idf; the mean of a text's pieces is then a random projection of its tf·idf vector. `x` and `##x` start
almost alike, since 계약 and ##계약 are one word. Where there are vectors of `sparse-ko vocab embed`, a piece's direction is that of the
company it keeps instead: then 해고 is near 해직 before a pair is seen.

BERT's LayerNorm would make all pieces equally long. Its ε is 1 instead of 10⁻¹²: short vectors pass almost unchanged, long ones are
held back, and it stays a stock BERT whose config.json says so.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dense_ko.settings import MAKE_A_VOCABULARY, DenseModelSettings
from retrieval_ko.errors import ModelError
from retrieval_ko.files import read_json
from training_ko.libraries import quiet_libraries
from training_ko.piece_vectors import load_embeddings

if TYPE_CHECKING:
    from transformers import BertModel, PreTrainedModel, PreTrainedTokenizerFast

SOFT_EPSILON = 1.0
"""ε of LayerNorm: x/√(var + 1) is x for short vectors."""
STATIC_SPREAD, LAYERED_SPREAD = 0.1, 0.3
"""Standard deviation of a vector's entries at idf 1: without attention all of them stay in LayerNorm's straight part."""
PIECE_KINSHIP = 0.9
"""Cosine between the vectors of `x` and `##x` at the start."""
OWN_SHARE = 0.5
"""Of a piece's direction where it has a learnt one too: kin are near each other, and a word still matches itself best."""
EDGE_WEIGHT = 0.01
"""What [CLS] and [SEP] weigh instead of their idf: an empty text then has a direction too, and a cluster refuses a vector of zeros."""
COUNTED_PASSAGES = 20_000
"""That idf is counted on, at most, drawn by a hash of their text."""
TEXTS_AT_ONCE = 1000


def scratch_tokenizer(folder: Path, max_tokens: int) -> PreTrainedTokenizerFast:
    """Return the tokenizer that `sparse-ko vocab train` wrote, cutting texts at `max_tokens`.

    Raises:
        ModelError: there is none, it lacks special tokens, or the libraries cannot read it.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"There is no tokenizer.json in {folder} (model.vocabulary).", f"Make one: {MAKE_A_VOCABULARY}")
    read_json(path)  # a damaged one is named here
    try:
        with quiet_libraries():
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as failure:
        raise ModelError(
            f"The tokenizer in {folder} cannot be loaded: {' '.join(str(failure).split())[:300]}", f"Make one: {MAKE_A_VOCABULARY}"
        ) from failure
    needed = {"pad_token": tokenizer.pad_token_id, "cls_token": tokenizer.cls_token_id, "sep_token": tokenizer.sep_token_id}
    if lacking := [name for name, token in needed.items() if token is None]:
        raise ModelError(f"The tokenizer in {folder} has no {', '.join(lacking)}.", f"Make one: {MAKE_A_VOCABULARY}")
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(f"The tokenizer in {folder} is no fast one (tokenizer.json).", f"Make one: {MAKE_A_VOCABULARY}")
    tokenizer.model_max_length = max_tokens
    return tokenizer


def pretrained_body(folder: Path, max_tokens: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Return the body of a model of `sparse-ko pretrain` without its head, and its tokenizer.

    Raises:
        ModelError: the folder cannot be used, or reads fewer tokens.
    """
    from safetensors import SafetensorError
    from transformers import AutoModel

    how = "A body is made by: sparse-ko pretrain CONFIG --out DIR"
    if not Path(folder).is_dir():
        raise ModelError(f"There is no folder {folder} (model.pretrained).", how)
    tokenizer = scratch_tokenizer(folder, max_tokens)
    torch.manual_seed(0)  # of the pooler, which nothing reads
    try:
        with quiet_libraries():
            body = AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as failure:
        raise ModelError(f"The model in {folder} cannot be loaded: {' '.join(str(failure).split())[:300]}", how) from failure
    limit = getattr(body.config, "max_position_embeddings", None)
    if limit and max_tokens > limit:
        raise ModelError(
            f"{folder} reads {limit} tokens, not {max_tokens}.", f"--set model.max_passage_tokens={limit} (and max_query_tokens no more)"
        )
    if body.config.vocab_size < len(tokenizer):
        raise ModelError(f"The tokenizer in {folder} has {len(tokenizer):,} tokens, its model {body.config.vocab_size:,}: they don't fit.")
    return body, tokenizer


def new_body(settings: DenseModelSettings, tokenizer: PreTrainedTokenizerFast, passages: Sequence[str], seed: int) -> BertModel:
    """Return a BERT whose token vectors start as described above.

    Args:
        settings: layers, dimensions, heads, lengths.
        tokenizer: the vocabulary.
        passages: that idf is counted on.
        seed: the same seed gives the same weights.
    """
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    static = settings.layers == 0
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.dimensions,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads if settings.layers else 1,
        intermediate_size=4 * settings.dimensions,
        max_position_embeddings=max(settings.max_query_tokens, settings.max_passage_tokens),
        pad_token_id=tokenizer.pad_token_id,
        layer_norm_eps=SOFT_EPSILON,
        hidden_dropout_prob=0.0 if static else 0.1,
        attention_probs_dropout_prob=0.1,
    )
    body = BertModel(config)
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    idf = inverse_document_frequency(tokenizer, pieces, passages)
    idf[tokenizer.all_special_ids] = EDGE_WEIGHT
    spread = STATIC_SPREAD if static else LAYERED_SPREAD
    with torch.no_grad():
        directions = _directions(pieces, settings.dimensions, torch.Generator().manual_seed(seed))
        if settings.embeddings:
            directions = _drawn_to(directions, _learnt(settings.embeddings, pieces, settings.dimensions))
        vectors = directions * math.sqrt(settings.dimensions)
        body.embeddings.word_embeddings.weight.copy_(vectors * (spread * idf).unsqueeze(1))
        body.embeddings.position_embeddings.weight.zero_()
        body.embeddings.token_type_embeddings.weight.zero_()
        for layer in body.encoder.layer:  # small outputs: after the residual connection a token is still itself
            layer.attention.output.dense.weight.mul_(0.1)
            layer.output.dense.weight.mul_(0.1)
    return body.eval()


def _learnt(file: Path, pieces: Sequence[str], dimensions: int) -> Tensor:
    """Return the directions of a file of `sparse-ko vocab embed`, without what all of them have in common; a row of zeros: none.

    Raises:
        ModelError: the file is none, or was made for another vocabulary or another length.
    """
    vectors = load_embeddings(file, pieces)
    if vectors.shape[1] != dimensions:
        raise ModelError(
            f"The vectors in {file} have {vectors.shape[1]} dimensions, the model {dimensions} (model.embeddings).",
            f"--set model.dimensions={vectors.shape[1]}, or sparse-ko vocab embed --dimensions {dimensions}",
        )
    known = vectors.norm(dim=1) > 0
    vectors[known] -= vectors[known].mean(dim=0)  # all-but-the-top (Mu and Viswanath 2018), of which the mean is the first
    return vectors


def _drawn_to(random: Tensor, learnt: Tensor) -> Tensor:
    """Return unit vectors: a share of each piece's own direction, the rest its learnt one where it has one."""
    known = learnt.norm(dim=1, keepdim=True) > 0
    mixed = math.sqrt(OWN_SHARE) * random + math.sqrt(1 - OWN_SHARE) * torch.nn.functional.normalize(learnt, dim=1)
    mixed = torch.where(known, mixed, random)
    return torch.nn.functional.normalize(mixed - mixed.mean(dim=1, keepdim=True), dim=1)


def inverse_document_frequency(tokenizer: PreTrainedTokenizerFast, pieces: Sequence[str], passages: Sequence[str]) -> Tensor:
    """Return ln(1 + (N - df + 0.5) / (df + 0.5)) of every piece, shape [vocabulary]; `x` and `##x` count as one, punctuation has 0."""
    stems = [piece.removeprefix("##") for piece in pieces]
    frequency: Counter[str] = Counter()
    counted = sorted(passages, key=lambda text: blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())[:COUNTED_PASSAGES]
    rest = iter(counted)
    while some := list(islice(rest, TEXTS_AT_ONCE)):
        for ids in tokenizer(some, truncation=True, add_special_tokens=False)["input_ids"]:
            frequency.update({stems[token] for token in ids})
    count = len(counted)
    values = {stem: math.log(1 + (count - frequency[stem] + 0.5) / (frequency[stem] + 0.5)) for stem in set(stems)}
    return torch.tensor([0.0 if _is_punctuation(stem) else values[stem] for stem in stems])


def _is_punctuation(piece: str) -> bool:
    return all(unicodedata.category(char).startswith(("P", "S")) for char in piece)


def _directions(pieces: Iterable[str], dimensions: int, generator: torch.Generator) -> Tensor:
    """Return unit vectors, shape [vocabulary, dimensions], without a mean of their own, since LayerNorm takes it off."""
    pieces = list(pieces)
    number = {stem: place for place, stem in enumerate(dict.fromkeys(piece.removeprefix("##") for piece in pieces))}

    def random_directions(count: int) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(count, dimensions, generator=generator), dim=1)

    shared = random_directions(len(number))[[number[piece.removeprefix("##")] for piece in pieces]]
    # a share s of the common direction and √(1 - s²) of an own one gives the cosine s²
    own = math.sqrt(PIECE_KINSHIP)
    mixed = own * shared + math.sqrt(1 - own**2) * random_directions(len(pieces))
    return torch.nn.functional.normalize(mixed - mixed.mean(dim=1, keepdim=True), dim=1)
