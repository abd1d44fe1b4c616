"""An untrained encoder out of settings and a collection: vocabulary, body, form."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from retrieval_ko.collection import Collection, texts_of
from sparse_ko.forms.lexical_floor import FloorCard, FloorNetwork, lucene_idf, new_floor, random_vectors
from sparse_ko.forms.pretrained import load_masked_language_model, silence
from sparse_ko.forms.stock import stock_network
from sparse_ko.model import SparseEncoder
from sparse_ko.scratch import build_from_scratch, inverse_document_frequency
from sparse_ko.settings import TrainSettings
from sparse_ko.vocabulary import build_tokenizer, learn_vocabulary, load_tokenizer
from sparse_ko.vocabulary.content import function_pieces
from sparse_ko.vocabulary.embeddings import load_embeddings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

TEXTS_AT_ONCE = 2048
FUNCTION_SAMPLE_CHARACTERS = 2_000_000
"""Of the passages, read by Kiwi for `model.content_only`: about a minute."""

logger = logging.getLogger(__name__)


def build_encoder(settings: TrainSettings, collection: Collection, workers: int = 1, others: Iterable[Collection] = ()) -> SparseEncoder:
    """Return an untrained encoder: from a pre-trained model, or from scratch with weights that start as a lexical matcher.

    A vocabulary learnt here sees passages, the queries of the train split and the synonym pairs; never a query of dev or test.

    Args:
        settings: what to build.
        collection: whose passages tell how rare a token is, and which words there are.
        workers: processes that cut texts for the vocabulary.
        others: further collections that the run trains on; theirs count, too.

    Raises:
        ModelError: the base model or the vocabulary cannot be used; see `load_masked_language_model`.
    """
    passages = list(dict.fromkeys(text for one in (collection, *others) for text in texts_of(one.passages.values())))
    asked = settings.model
    model: PreTrainedModel | None = None
    if asked.base:
        model, tokenizer = load_masked_language_model(asked.base)
        silence(model, [*tokenizer.all_special_ids, *range(len(tokenizer), model.config.vocab_size)])
        tokenizer.model_max_length = asked.max_tokens
    elif settings.vocabulary.source:
        tokenizer = load_tokenizer(settings.vocabulary.source, asked.max_tokens)
    else:
        tokenizer = _learn_tokenizer(settings, collection, passages, workers)
    if model is None and (asked.form != "lexical-floor" or asked.body == "transformer"):
        idf = inverse_document_frequency(tokenizer, passages)
        synonyms = collection.synonyms if settings.synonyms.as_pairs else ()
        model = build_from_scratch(asked, tokenizer, idf, settings.training.seed, synonyms)
    if asked.form == "lexical-floor":
        return SparseEncoder(_floor(settings, tokenizer, passages, model))
    assert model is not None
    table = None
    if asked.form == "doc-only":
        frequencies, _ = token_statistics(tokenizer, passages, asked.max_tokens)
        table = query_weights(frequencies, len(passages), asked.query_max_df)
        table[tokenizer.all_special_ids] = 0
    return SparseEncoder(stock_network(model, tokenizer, asked.max_tokens, activation=asked.activation, query_table=table))


def _learn_tokenizer(settings: TrainSettings, collection: Collection, passages: list[str], workers: int) -> PreTrainedTokenizerFast:
    asked = [collection.queries[query].text for query in collection.relevant("train")] if "train" in collection.judgements else []
    terms = [text for pair in collection.synonyms for text in (pair.ko, pair.en)]
    limit = settings.vocabulary.sample_characters
    logger.info("learning a vocabulary of %d pieces from at most %d characters", settings.vocabulary.size, limit)
    texts = [*_sample(passages, limit * 3 // 4), *_sample(asked, limit // 4), *terms]
    return build_tokenizer(learn_vocabulary(texts, settings.vocabulary.size, workers), settings.model.max_tokens)


def _sample(texts: list[str], characters: int) -> Iterator[str]:
    """Yield texts, drawn by their hash where all of them are more than so many characters."""
    if sum(map(len, texts)) <= characters:
        yield from texts
        return
    for text in sorted(texts, key=lambda text: blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()):
        characters -= len(text)
        if characters < 0:
            return
        yield text


def _floor(settings: TrainSettings, tokenizer: PreTrainedTokenizerFast, passages: list[str], model: PreTrainedModel | None) -> FloorNetwork:
    asked = settings.model
    logger.info("counting tokens in %d passages", len(passages))
    left_out: list[int] = []
    if asked.content_only:
        left_out = function_pieces(tokenizer, _sample(passages, FUNCTION_SAMPLE_CHARACTERS))
        logger.info("%d of %d pieces are particles, endings or punctuation: they weigh nothing", len(left_out), len(tokenizer))
    frequencies, mean_tokens = token_statistics(tokenizer, passages, asked.max_tokens, left_out)
    card = FloorCard(
        body="static" if model is None else "transformer",
        dimensions=asked.dimensions,
        k1=asked.lexical_floor.k1,
        b=asked.lexical_floor.b,
        mean_tokens=mean_tokens,
        max_tokens=asked.max_tokens,
        activation=asked.activation,
        lead=bool(asked.lexical_floor.lead),
    )
    idf = lucene_idf(frequencies, len(passages))
    vectors = None
    if model is None:
        vectors = random_vectors(len(tokenizer), asked.dimensions, settings.training.seed)
        if asked.embeddings:
            pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
            learnt = load_embeddings(asked.embeddings, pieces)
            vectors = torch.where(learnt.any(dim=1, keepdim=True), learnt, vectors)
    torch.manual_seed(settings.training.seed)
    return new_floor(
        card,
        tokenizer,
        idf,
        queries=query_weights(frequencies, len(passages), asked.query_max_df),
        vectors=vectors,
        model=model,
        left_out=left_out,
        lead=asked.lexical_floor.lead,
    )


def query_weights(frequencies: Tensor, passages: int, max_df: float) -> Tensor:
    """Return what each token weighs in a query before training: its idf, or 0 where more than `max_df` of the passages have it.

    A weight of 0 gets no gradient through the table's ReLU, so it stays 0.
    """
    return lucene_idf(frequencies, passages) * (frequencies <= max_df * passages)


def token_statistics(
    tokenizer: PreTrainedTokenizerFast, texts: Iterable[str], max_tokens: int, left_out: Sequence[int] = ()
) -> tuple[Tensor, float]:
    """Return in how many texts each token stands, shape [vocabulary], and the mean number of tokens a text.

    Special tokens and those `left_out` are not counted; where a text is cut they count.
    """
    counted = np.ones(len(tokenizer), dtype=bool)
    counted[[*tokenizer.all_special_ids, *left_out]] = False
    frequencies = np.zeros(len(tokenizer))
    count = total = 0
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(max_length=max_tokens)
    backend.no_padding()
    rest = iter(texts)
    while part := list(islice(rest, TEXTS_AT_ONCE)):
        for encoding in backend.encode_batch(part, add_special_tokens=False):
            ids = np.asarray(encoding.ids, dtype=np.int64)
            ids = ids[counted[ids]]
            count += 1
            total += len(ids)
            frequencies[np.unique(ids)] += 1
    return torch.from_numpy(frequencies).float(), max(total / max(count, 1), 1.0)
