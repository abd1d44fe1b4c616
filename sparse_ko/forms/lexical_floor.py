"""The lexical floor: BM25 inside the encoder, and what training may add to it.

    w_j(d) = bm25tf_j(d) · (1 + tanh u_j(d)) + γ · expansion_j(d), γ ≥ 0
    bm25tf_j(d) = tf (k1 + 1) / (tf + k1 (1 - b + b |d| / mean |d|))
    q_j = θ_j for the query's own tokens; θ starts as the inverse document frequency

u and γ start at 0, so before the first step the encoder *is* BM25 over its vocabulary; a model that training made worse than that is
never kept as the best one. A query is a table look-up. Where `lead` is set, u also knows how near to the passage's start a token stands
first (titles stand there), and may start above 0.

Stock modules cannot hold this, so its folder is one of ours: sparse_ko.json says what it is, model.safetensors holds the weights
(or several files do: `training_ko.weights`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from retrieval_ko.collection import first_complaint
from retrieval_ko.errors import ModelError
from retrieval_ko.files import read_json, write_json
from sparse_ko.forms.bag_of_tokens import LEAD_GROUPS, BagOfTokens, Pieces, Read
from sparse_ko.forms.network import Features, Form, Kind
from training_ko.libraries import quiet_libraries
from training_ko.tokenizing import tokenize, tokenize_to_pieces
from training_ko.weights import WEIGHTS, Precision, read_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

CARD = "sparse_ko.json"
"""The file that tells a folder of ours from one of sentence-transformers."""
MASKED_OUT = -1e9
BODY = "body"
"""Folder of the masked language model inside ours, where there is one."""


class FloorCard(BaseModel):
    """What sparse_ko.json says; the weights fit it."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    form: Literal["lexical-floor"] = "lexical-floor"
    body: Literal["static", "transformer"]
    loads_with: str = "sparse_ko.model.SparseEncoder; sentence-transformers has no module for this form"
    dimensions: int
    k1: float
    b: float
    mean_tokens: float
    """Mean length of the passages that the floor was made for, in tokens."""
    max_tokens: int
    activation: Literal["log1p", "log1p-twice"] = "log1p"
    lead: bool = False
    """Whether the static body knows where a token stands first."""
    precision: Precision = "fp32"
    """Of the matrices in the files; in memory they are float32."""


class LanguageModelBody(nn.Module):
    """A masked language model as body: its logits expand, a number for each token moves the token's own weight.

    Args:
        model: with its MLM head.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.adjust = nn.Linear(model.config.hidden_size, 1)
        nn.init.zeros_(self.adjust.weight)
        nn.init.zeros_(self.adjust.bias)

    def forward(self, features: Features) -> Read:
        """Return what is read; the moves of the token at each place, shape [texts, tokens]."""
        ids, mask = features["input_ids"], features["attention_mask"]
        found = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        logits = found.logits.masked_fill(~mask.unsqueeze(-1).bool(), MASKED_OUT).max(dim=1).values.float()
        return Read(logits, self.adjust(found.hidden_states[-1]).squeeze(-1).float())


Weighed = tuple[Tensor, Tensor, Callable[[], Tensor]]
"""Weights of the passages' own tokens and the expansion's logits, [texts, vocabulary or C] each; what gives the moves' mean square."""


class LexicalFloor(nn.Module):
    """Every parameter of the form, and the formula above.

    Args:
        card: sizes and BM25's parameters.
        idf: inverse document frequency of every token, shape [vocabulary]; special tokens 0.
        searchable: 1 for tokens that may weigh something, 0 for special ones, shape [vocabulary].
        body: what expands.
    """

    def __init__(self, card: FloorCard, idf: Tensor, searchable: Tensor, body: BagOfTokens | LanguageModelBody) -> None:
        super().__init__()
        self.card = card
        self.body = body
        self.query_table = nn.Parameter(idf.clone())
        self.gamma = nn.Parameter(torch.zeros(()))
        self.idf: Tensor
        self.searchable: Tensor
        self.register_buffer("idf", idf.clone())
        self.register_buffer("searchable", searchable)

    def frequencies(self, features: Features) -> Tensor:
        """Return how often each token stands in each text, shape [texts, vocabulary]; special tokens and padding 0."""
        ids, mask = features["input_ids"], features["attention_mask"]
        found = torch.zeros(ids.shape[0], self.idf.shape[0], device=ids.device)  # of len() a trace would make a constant
        return found.scatter_add(1, ids, mask.float()) * self.searchable

    def pieces(self, features: Features) -> Pieces:
        """Return the searchable pieces of texts that were tokenised to pieces."""
        kept = (features["counts"] * self.searchable[features["input_ids"]]) > 0
        text, place = kept.nonzero(as_tuple=True)
        times = features["counts"][text, place].float()
        lengths = torch.zeros(len(kept), device=times.device).index_add(0, text, times)
        held = kept.sum(dim=1)
        first = features["first_places"][text, place].clamp(max=len(LEAD_GROUPS) - 1)
        groups = torch.tensor(LEAD_GROUPS, device=first.device)[first]
        return Pieces(features["input_ids"][text, place], text, held.cumsum(0) - held, times, lengths[text], groups)

    def queries(self, features: Features, dimensions: Tensor | None = None) -> Tensor:
        """Return the weights of queries, shape [texts, vocabulary], or of the dimensions asked for, [texts, C]."""
        ids = features["input_ids"]
        table = self.query_table.relu()
        if dimensions is None:
            return (self.frequencies(features) > 0).float() * table
        held = self._at_dimensions(ids, features["attention_mask"] * self.searchable[ids], dimensions) > 0
        return held.float() * table[dimensions]

    def passages(self, features: Features, dimensions: Tensor | None = None, *, in_parts: bool = False) -> Tensor:
        """Return the weights of passages, shape [texts, vocabulary], or of the dimensions asked for, [texts, C].

        `in_parts`: behind them the part γ · expansion, and how far each passage's own tokens were moved: the mean square of what u
        learnt, shape [texts, 2 · vocabulary + 1 or 2 C + 1].
        """
        # what is dense is large (texts × vocabulary): everything that concerns the passage's own tokens is done at their places
        if "counts" in features and isinstance(self.body, BagOfTokens):
            own, logits, moved = self._by_pieces(self.body, features, dimensions)
        else:
            own, logits, moved = self._by_places(features, dimensions)
        searchable = self.searchable if dimensions is None else self.searchable[dimensions]
        table = self.query_table.detach() if dimensions is None else self.query_table.detach()[dimensions]
        searchable = searchable * (table > 0)  # what weighs nothing in any query would only make the index larger
        own = own * searchable
        expansion = (logits + (1 - searchable) * MASKED_OUT).relu().log1p()
        if self.card.activation == "log1p-twice":
            expansion = expansion.log1p()
        added = self.gamma * expansion
        weights: Tensor = own + added
        return torch.cat([weights, added, moved().unsqueeze(1)], dim=1) if in_parts else weights

    def _by_pieces(self, body: BagOfTokens, features: Features, dimensions: Tensor | None) -> Weighed:
        pieces = self.pieces(features)
        weights = self.floor(pieces.times, pieces.lengths)
        read = body.of_pieces(pieces, weights, self.idf, dimensions)
        columns, width = self._columns(dimensions)
        texts = len(pieces.starts)
        own = torch.zeros(texts * width, device=weights.device)
        own = own.scatter(0, pieces.text * width + columns[pieces.ids], weights * read.own)

        def moved() -> Tensor:
            nothing = torch.zeros(texts, device=weights.device)
            held = nothing.index_add(0, pieces.text, torch.ones_like(weights))
            return nothing.index_add(0, pieces.text, read.moves.square()) / held.clamp(min=1)

        return own.view(-1, width)[:, : read.logits.shape[1]], read.logits, moved

    def _by_places(self, features: Features, dimensions: Tensor | None) -> Weighed:
        """Return the same of tokens as they stand in the text, which a trace and a transformer read."""
        ids = features["input_ids"]
        frequencies = self.frequencies(features)
        times = frequencies.gather(1, ids)
        shares = self.floor(times, frequencies.sum(dim=1, keepdim=True)) / times.clamp(min=1)
        shares = shares * features["attention_mask"]
        if isinstance(self.body, BagOfTokens):
            read = self.body(features, shares, self.idf, dimensions)
        else:
            read = self.body(features)
            read = read if dimensions is None else read._replace(logits=read.logits[:, dimensions])

        def moved() -> Tensor:
            once = features["attention_mask"] * self.searchable[ids] / times.clamp(min=1)
            mean: Tensor = (read.moves.square() * once).sum(dim=1) / once.sum(dim=1).clamp(min=1)
            return mean

        return self._at_dimensions(ids, shares * read.own, dimensions), read.logits, moved

    def _at_dimensions(self, ids: Tensor, values: Tensor, dimensions: Tensor | None) -> Tensor:
        """Return values of the tokens at each place, summed by dimension, shape [texts, vocabulary or C]."""
        if dimensions is None:
            return torch.zeros(ids.shape[0], self.idf.shape[0], device=ids.device).scatter_add(1, ids, values)
        columns, width = self._columns(dimensions)
        return torch.zeros(ids.shape[0], width, device=ids.device).scatter_add(1, columns[ids], values)[:, :-1]

    def _columns(self, dimensions: Tensor | None) -> tuple[Tensor, int]:
        """Return where each token of the vocabulary stands among `dimensions`, and how many columns that takes."""
        device = self.idf.device
        if dimensions is None:
            return torch.arange(len(self.idf), device=device), len(self.idf)
        columns = torch.full(self.idf.shape, len(dimensions), device=device)  # the last one takes what is not asked for
        columns[dimensions] = torch.arange(len(dimensions), device=device)
        return columns, len(dimensions) + 1

    def floor(self, times: Tensor, lengths: Tensor) -> Tensor:
        """Return BM25's weight of tokens that stand `times` in passages of these lengths."""
        k1, b = self.card.k1, self.card.b
        return times * (k1 + 1) / (times + k1 * (1 - b + b * lengths / self.card.mean_tokens))


class FloorNetwork:
    """The lexical floor with its tokenizer; see `sparse_ko.forms.network.Network`."""

    form: Form = "lexical-floor"
    silent_specials = True

    def __init__(self, module: LexicalFloor, tokenizer: PreTrainedTokenizerFast) -> None:
        self.module: LexicalFloor = module
        self.tokenizer = tokenizer
        self.max_tokens = module.card.max_tokens

    @property
    def query_table(self) -> nn.Parameter:
        """See `Network`."""
        return self.module.query_table

    def constrain(self) -> None:
        """See `Network`."""
        with torch.no_grad():
            self.module.query_table.clamp_(min=0)
            self.module.gamma.clamp_(min=0)

    def tokenize(self, texts: Sequence[str], kind: Kind, max_tokens: int | None = None) -> Features:
        """See `Network`. Passages of a static body come with `counts`: their pieces, each once."""
        limit = min(max_tokens or self.max_tokens, self.max_tokens)
        if kind == "document" and isinstance(self.module.body, BagOfTokens):
            return tokenize_to_pieces(self.tokenizer, texts, limit)
        return tokenize(self.tokenizer, texts, limit)

    def embed(self, features: Features, kind: Kind, dimensions: Tensor | None = None, *, in_parts: bool = False) -> Tensor:
        """See `Network`."""
        device = self.module.gamma.device
        moved = {name: value.to(device) for name, value in features.items()}
        chosen = None if dimensions is None else dimensions.to(device)
        if kind == "query":
            return self.module.queries(moved, chosen)
        return self.module.passages(moved, chosen, in_parts=in_parts)

    def save(self, folder: Path) -> None:
        """See `Network`."""
        write_json(folder / CARD, {**self.module.card.model_dump(), "precision": "fp32"})
        body = self.module.body
        if isinstance(body, LanguageModelBody):
            body.model.save_pretrained(str(folder / BODY), safe_serialization=True)
        weights = {
            name: value.detach().cpu().contiguous()
            for name, value in self.module.state_dict().items()
            if not name.startswith("body.model.")
        }
        save_file(weights, str(folder / WEIGHTS))
        self.tokenizer.save_pretrained(str(folder))

    @classmethod
    def load(cls, folder: Path, device: str | None = None) -> FloorNetwork:
        """Load what `save` wrote.

        Raises:
            ModelError: the weights don't fit what sparse_ko.json says.
        """
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        try:
            card = FloorCard.model_validate(read_json(folder / CARD))
        except ValidationError as failure:
            raise ModelError(f"{folder / CARD}: {first_complaint(failure)}.") from failure
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        weights = read_weights(folder)
        vocabulary = len(weights["query_table"])
        if vocabulary != len(tokenizer):
            raise ModelError(f"{folder}: the tokenizer has {len(tokenizer):,} tokens, the weights are for {vocabulary:,}.")
        if card.body == "static":
            lead = torch.zeros(max(LEAD_GROUPS) + 1) if card.lead else None
            body: BagOfTokens | LanguageModelBody = BagOfTokens(torch.zeros(vocabulary, card.dimensions), lead)
        else:
            model = AutoModelForMaskedLM.from_pretrained(str(folder / BODY), local_files_only=True, dtype=torch.float32)
            body = LanguageModelBody(model)
        module = LexicalFloor(card, torch.zeros(vocabulary), torch.zeros(vocabulary), body)
        missing, unexpected = module.load_state_dict(weights, strict=False)
        lost = [name for name in missing if not name.startswith("body.model.")]
        if lost or unexpected:
            raise ModelError(f"{folder / WEIGHTS} does not fit {CARD}: {', '.join([*lost, *unexpected][:3])}.")
        module.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
        return cls(module, tokenizer)


def lucene_idf(document_frequencies: Tensor, documents: int) -> Tensor:
    """Return ln(1 + (N - df + 0.5) / (df + 0.5)), the idf of Lucene's BM25, shape [vocabulary]."""
    return torch.log1p((documents - document_frequencies + 0.5) / (document_frequencies + 0.5))


def random_vectors(vocabulary: int, dimensions: int, seed: int) -> Tensor:
    """Return directions to start from, shape [vocabulary, dimensions], of mean length 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(vocabulary, dimensions, generator=generator) / math.sqrt(dimensions)


def new_floor(
    card: FloorCard,
    tokenizer: PreTrainedTokenizerFast,
    idf: Tensor,
    *,
    queries: Tensor | None = None,
    vectors: Tensor | None = None,
    model: PreTrainedModel | None = None,
    left_out: Sequence[int] = (),
    lead: Sequence[float] = (),
) -> FloorNetwork:
    """Return a lexical floor before its first step: BM25.

    Args:
        card: sizes and parameters.
        tokenizer: the vocabulary.
        idf: of every token, shape [vocabulary].
        queries: what each token weighs in a query, shape [vocabulary]; None: its idf.
        vectors: where the static body's vectors start, shape [vocabulary, dimensions].
        model: the masked language model of the transformer body.
        left_out: tokens that weigh nothing and are no part of a length, as special ones.
        lead: what a token of each group of `LEAD_GROUPS` weighs more than BM25 says, as a share, above -1 and below 1; with `card.lead`.
    """
    searchable = torch.ones(len(tokenizer))
    searchable[[*tokenizer.all_special_ids, *left_out]] = 0
    if model is not None:
        body: BagOfTokens | LanguageModelBody = LanguageModelBody(model)
    else:
        assert vectors is not None
        shares = torch.tensor([*lead, *[0.0] * (max(LEAD_GROUPS) + 1)][: max(LEAD_GROUPS) + 1])
        body = BagOfTokens(vectors, shares.atanh() if card.lead else None)
    with quiet_libraries():
        module = LexicalFloor(card, idf * searchable, searchable, body)
        if queries is not None:
            module.query_table = nn.Parameter(queries * searchable)
        return FloorNetwork(module, tokenizer)
