"""Tiny model folders of each kind, for the tests of the export: the networks are random, the shapes are those that people save."""

import shutil
import unicodedata

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from transformers import BertConfig, BertForMaskedLM, BertModel, ModernBertConfig, ModernBertForMaskedLM

from opensearch_ko.export.parity_texts import PARITY_TEXTS
from sparse_ko.forms.lexical_floor import FloorCard, new_floor, random_vectors
from sparse_ko.forms.stock import stock_network
from sparse_ko.model import SparseEncoder
from sparse_ko.vocabulary import SPECIAL_TOKENS, build_tokenizer

MAX_TOKENS = 48
DIMENSIONS = 32
WORDS = ("전세", "보증금", "임차인", "절차", "신청", "서울", "opensearch", "검색", "한국어", "##에서", "##하는", "##습니다")
SHAPE = {"hidden_size": DIMENSIONS, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "initializer_range": 0.3}
SPARSE_FORMS = ("siamese", "doc-only", "floor", "floor-transformer")
WEIGHTLESS = slice(20, 40)
"""Ids whose weight in a query is 0."""


def tokenizer():
    """A WordPiece tokenizer over the characters of the parity texts and a few words."""
    composed = unicodedata.normalize("NFC", "".join(PARITY_TEXTS)).lower()
    characters = sorted({char for char in composed if char.isprintable() and not char.isspace()})
    return build_tokenizer([*SPECIAL_TOKENS, *characters, *(f"##{char}" for char in characters if char.isalnum()), *WORDS], MAX_TOKENS)


def masked_language_model(vocabulary_size, seed=3):
    """A BERT that gives some tenth of the vocabulary a weight."""
    torch.manual_seed(seed)
    model = BertForMaskedLM(BertConfig(vocab_size=vocabulary_size, max_position_embeddings=MAX_TOKENS, **SHAPE)).eval()
    with torch.no_grad():
        model.cls.predictions.bias.fill_(-3.5)
    return model


def modern_masked_language_model(vocabulary_size):
    torch.manual_seed(4)
    names = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    shape = SHAPE | {"num_hidden_layers": 2, "initializer_range": 0.1}
    config = ModernBertConfig(vocab_size=vocabulary_size, max_position_embeddings=MAX_TOKENS, local_attention=8, **shape, **names)
    return ModernBertForMaskedLM(config).eval()


def query_table(size):
    table = torch.linspace(0.5, 6.0, size)
    table[WEIGHTLESS] = 0
    return table


def encoder(form, pieces, table=None):
    """A sparse encoder of one of SPARSE_FORMS."""
    table = query_table(len(pieces)) if table is None else table
    if form == "siamese":
        return SparseEncoder(stock_network(masked_language_model(len(pieces)), pieces, MAX_TOKENS))
    if form == "doc-only":
        return SparseEncoder(stock_network(masked_language_model(len(pieces)), pieces, MAX_TOKENS, query_table=table))
    static = form == "floor"
    sizes = {"dimensions": DIMENSIONS, "k1": 1.2, "b": 0.75, "mean_tokens": 12.0, "max_tokens": MAX_TOKENS}
    card = FloorCard(body="static" if static else "transformer", lead=static, **sizes)
    body = {"vectors": random_vectors(len(pieces), DIMENSIONS, 1)} if static else {"model": masked_language_model(len(pieces))}
    torch.manual_seed(5)
    floor = new_floor(card, pieces, table, **body, lead=[0.8, 0.4, -0.5, 0.3, 0.6, -0.2, 0.5])
    with torch.no_grad():
        floor.module.gamma.fill_(0.3)
        adjust = floor.module.body.adjust if static else floor.module.body.adjust.weight
        adjust.normal_(std=0.3)
        if static:
            floor.module.body.expand.bias.fill_(-1.0)
            floor.module.body.expand.weight.normal_(std=0.3)
            floor.module.body.lead.normal_(std=0.3)
    return SparseEncoder(floor)


def save_dense(folder, pieces, pooling="mean", *, normalize=True, prompts=None):
    """A bi-encoder of sentence-transformers."""
    parts = folder.with_name(f"{folder.name}-parts")
    torch.manual_seed(6)
    BertModel(BertConfig(vocab_size=len(pieces), max_position_embeddings=MAX_TOKENS, **SHAPE)).save_pretrained(parts)
    pieces.save_pretrained(parts)
    modules = [Transformer(str(parts), max_seq_length=MAX_TOKENS), Pooling(DIMENSIONS, pooling), *([Normalize()] if normalize else [])]
    SentenceTransformer(modules=modules, device="cpu", prompts=prompts or {}).save_pretrained(str(folder))
    shutil.rmtree(parts)
    return folder
