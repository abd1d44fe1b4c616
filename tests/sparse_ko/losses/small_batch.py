"""A small encoder and one batch of texts, shared by the tests of the whole batch and by the processes they start."""

import numpy as np
import torch
from torch import nn

from sparse_ko.losses import WeightedSum
from sparse_ko.settings import TrainSettings
from training_ko.losses import Features, WholeBatch

VOCABULARY = 23
TEXTS = {key: [(key * 7 + step * step) % VOCABULARY for step in range(1 + key % 5)] for key in range(40)}
"""Pieces of the text that each key stands for; some texts are one piece long."""
BATCH = [  # query's text, keys of its candidates (positive first), keys of further relevant documents
    (30, [1, 2, 3], [4]),
    (31, [5, 2], []),
    (32, [1, 6, 7], []),
    (33, [8, 9, 1], [9, 30]),
    (34, [10], []),
]
SYNONYMS = [(20, 21), (22, 23), (24, 25)]


class SmallEncoder(nn.Module):
    """max over the pieces of log1p(relu(head(dropout(embedding)))), as SPLADE has it, in 64 bits."""

    def __init__(self, dropout=0.0):
        super().__init__()
        torch.manual_seed(5)
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(6, VOCABULARY)
        self.never_used = nn.Parameter(torch.ones(3))
        self.double()
        self.calls = 0

    def embed(self, texts, kind):
        self.calls += 1
        logits = self.head(self.dropout(self.embedding(texts["input_ids"]))) + (0.1 if kind == "query" else 0.0)
        logits = logits.masked_fill(texts["attention_mask"].unsqueeze(2) == 0, 0.0)
        return logits.amax(dim=1).relu().log1p()


def tokenised(keys):
    if not keys:
        return None
    length = max(len(TEXTS[key]) for key in keys)
    ids = [TEXTS[key] + [0] * (length - len(TEXTS[key])) for key in keys]
    mask = [[1] * len(TEXTS[key]) + [0] * (length - len(TEXTS[key])) for key in keys]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def padded(rows, filler, dtype=torch.int64):
    width = max((len(row) for row in rows), default=1)
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], dtype=dtype).reshape(len(rows), width)


def teacher_of(query, document):
    return float((query * 3 + document * 5) % 11)


def share(rows=BATCH, synonyms=SYNONYMS, teacher=True):
    """The features of some of the batch's rows."""
    documents = list(dict.fromkeys(key for _, own, _ in rows for key in own))
    places = [[documents.index(key) for key in own] for _, own, _ in rows]
    return Features(
        queries=tokenised([query for query, _, _ in rows]),
        documents=tokenised(documents),
        document_keys=torch.tensor(documents, dtype=torch.int64),
        positive=torch.tensor([own[0] for own in places], dtype=torch.int64),
        candidates=padded(places, -1),
        relevant_keys=padded([known for _, _, known in rows], -1),
        teacher=padded([[teacher_of(query, key) for key in own] for query, own, _ in rows], np.nan, torch.float64) if teacher else None,
        korean=tokenised([ko for ko, _ in synonyms]),
        english=tokenised([en for _, en in synonyms]),
    )


def loss_of(ranking="infonce", document="flops", **sparsity):
    settings = {
        "name": "small",
        "ranking": {"loss": ranking},
        "collection": "somewhere",
        "data": [{"collection": "somewhere", "pairs": "train"}],
        "training": {"hard_negatives": 2},
        "synonyms": {"weight": 0.1, "as_pairs": False},
        "sparsity": {"document": document, "document_weight": 0.3, "query_weight": 0.2, "anti_collapse": 0.5, **sparsity},
    }
    return WeightedSum(TrainSettings.model_validate(settings))


def step(features, loss, chunk_size=None, dropout=0.0, times=1):
    """Loss parts and gradients, by name, of `times` steps whose gradients add up."""
    encoder = SmallEncoder(dropout)
    whole = WholeBatch(encoder.embed, loss, chunk_size, list(encoder.parameters()))
    for _ in range(times):
        parts = whole.step(features, lambda scalar: scalar.backward())
    gradients = {name: parameter.grad for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    return parts, gradients, encoder
