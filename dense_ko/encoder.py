"""`BiEncoder`: text in, one dense vector out; queries and passages through one network, each with its template."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from sentence_transformers.sentence_transformer.modules import Normalize

from dense_ko.adapters import has_adapters, lora_record, merge, save_adapter
from dense_ko.bag import bag_in, mean_of_pieces
from dense_ko.loading import load_parts
from dense_ko.model_record import RECORD, ModelRecord, write_record
from dense_ko.packaged import packaged_model
from dense_ko.stock import HOW_TO_MAKE_A_MODEL, save_sentence_transformer, transformer_of, with_normalization
from dense_ko.templates import Prefixes, TemplateMode, prefixes_of, prompts_of, template_named
from retrieval_ko.errors import ModelError
from retrieval_ko.files import new_folder
from training_ko.tokenizing import tokenize
from training_ko.weights import Precision, repack

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerFast

Kind = Literal["query", "document"]
ADAPTER_FOLDER = "adapter"
"""Where in a model's folder the adapters stand by themselves; the weights beside it have them merged."""


class BiEncoder:
    """A bi-encoder: every text becomes one vector, compared by its dot product.

    What a model was trained with (template, lengths, normalisation) stands in its folder and is applied by itself; to ask for
    anything else is an error. A folder of others, or a name on the hub, is read as its own prompts and its name say.

    Args:
        name_or_path: a folder, a PEFT adapter's folder, an alias, or a name on the hub (which alone is downloaded); None: the packaged.
        template: what stands before texts; None: what the model was trained with.
        normalize: whether vectors have length 1; None: as the folder keeps it, else True.
        max_seq_length: where texts are cut, special tokens and template included; None: where the model's folder says.
        query_max_seq_length: of queries alone.
        passage_max_seq_length: of passages alone.
        peft_adapter_path: LoRA adapters that are put beside the base model `name_or_path`.
        device: "cpu", "cuda", …; None chooses what is there.

    Raises:
        ModelError: there is no such model, or a part of it is missing or damaged.
        UsageError: what is asked for is not what the model was trained with, or a length is more than it reads.

    Example:
        >>> encoder = BiEncoder("intfloat/multilingual-e5-small")  # doctest: +SKIP
        >>> queries = encoder.encode_queries(["법인세 신고 기한은 언제인가?"])  # doctest: +SKIP
        >>> passages = encoder.encode_passages(["내국법인은 각 사업연도의 종료일이 속하는 달의 말일부터 3개월 이내에 …"])  # doctest: +SKIP
        >>> queries @ passages.T  # doctest: +SKIP
        array([[0.87]], dtype=float32)
    """

    def __init__(
        self,
        name_or_path: str | Path | None = None,
        template: TemplateMode | str | None = None,
        *,
        normalize: bool | None = None,
        max_seq_length: int | None = None,
        query_max_seq_length: int | None = None,
        passage_max_seq_length: int | None = None,
        peft_adapter_path: str | Path | None = None,
        device: str | None = None,
    ) -> None:
        model, record = load_parts(
            str(packaged_model() if name_or_path is None else name_or_path),
            adapter=None if peft_adapter_path is None else Path(peft_adapter_path),
            template=None if template is None else template_named(template),
            normalize=normalize,
            lengths=(query_max_seq_length or max_seq_length, passage_max_seq_length or max_seq_length),
            device=device,
        )
        self._take(model, record)

    @classmethod
    def around(cls, model: SentenceTransformer, record: ModelRecord) -> BiEncoder:
        """Return an encoder around a live model that is used as `record` says."""
        encoder = cls.__new__(cls)
        encoder._take(model, record)
        return encoder

    @classmethod
    def load(cls, folder: Path | str, device: str | None = None) -> BiEncoder:
        """Load a model's folder; nothing is downloaded.

        Raises:
            ModelError: the folder or one of its parts is missing or damaged, or its files contradict each other.
            DataError: one of its JSON files is damaged; names file and line.
        """
        if not Path(folder).is_dir():
            raise ModelError(f"There is no model folder {folder}.", HOW_TO_MAKE_A_MODEL)
        return cls(folder, device=device)

    def _take(self, model: SentenceTransformer, record: ModelRecord) -> None:
        self.model: SentenceTransformer = with_normalization(model, wanted=record.normalize)
        self.record = record
        self.model.eval()
        self._settle(self.model)
        pooler = getattr(transformer_of(self.model), "pooler", None)
        if pooler is not None:  # nothing reads it, so nothing would train it
            pooler.requires_grad_(False)
        self._bag = bag_in(self.model)

    def _settle(self, model: SentenceTransformer) -> None:
        """Let the stock model itself do what the record says."""
        model.prompts = prompts_of(self._prefixes)
        model.max_seq_length = max(self.record.query_max_seq_length, self.record.passage_max_seq_length)
        model.similarity_fn_name = "cosine" if self.record.normalize else "dot"

    # what it is

    @property
    def template(self) -> TemplateMode:
        """What stands before texts."""
        return self.record.template

    @property
    def _prefixes(self) -> Prefixes:
        return Prefixes(self.record.query_prefix, self.record.passage_prefix)

    @property
    def normalize(self) -> bool:
        """Whether vectors have length 1."""
        return self.record.normalize

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer of both sides."""
        return self.model.tokenizer

    @property
    def max_tokens(self) -> int:
        """Where the longer side is cut, special tokens and template included."""
        return self.get_max_seq_length()

    def get_max_seq_length(self, kind: Kind | None = None) -> int:
        """Return where a text is cut, in tokens: of one kind, else of the longer one; not the length of its vector."""
        lengths = {"query": self.record.query_max_seq_length, "document": self.record.passage_max_seq_length}
        return lengths[kind] if kind else max(lengths.values())

    def get_embedding_dimension(self) -> int:
        """Return the length of the vectors."""
        return int(self.model.get_embedding_dimension())

    def get_training_config(self) -> dict[str, Any] | None:
        """Return `base_model_name_or_path`, `r`, `lora_alpha` and `target_modules` of a model trained with adapters, None for any other."""
        lora = lora_record(self.model, self._base_name) or self.record.lora
        return lora.model_dump() if lora else None

    @property
    def _base_name(self) -> str:
        return self.record.base_model or ""

    # what training asks of it

    @property
    def module(self) -> nn.Module:
        """The network with every parameter."""
        return self.model  # type: ignore[no-any-return]  # the library has no types

    @property
    def query_table(self) -> None:
        """None: a network reads the queries."""
        return

    def constrain(self) -> None:
        """Do nothing: any weight may be negative."""

    def tokenize(self, texts: Sequence[str], kind: Kind, max_tokens: int | None = None) -> dict[str, Tensor]:
        """Return what the network reads, on the CPU: `input_ids` and `attention_mask`, int64, shape [texts, tokens].

        Args:
            texts: at least one; the template of their side is put before each.
            kind: "query" or "document".
            max_tokens: cut earlier than the side's own length.
        """
        prefix = self._prefixes.query if kind == "query" else self._prefixes.passage
        limit = min(max_tokens or self.get_max_seq_length(kind), self.get_max_seq_length(kind))
        prefixed = [prefix + text for text in texts]
        if self.tokenizer.is_fast and (self.tokenizer.padding_side, self.tokenizer.truncation_side) == ("right", "right"):
            return tokenize(self.tokenizer, prefixed, limit)
        found = self.tokenizer(prefixed, truncation=True, max_length=limit, padding=True, return_tensors="pt")
        return {name: found[name] for name in ("input_ids", "attention_mask")}

    def embed(self, features: Mapping[str, Tensor], kind: Kind) -> Tensor:
        """Return vectors with gradient, float32, shape [texts, dimensions], of length 1 where the model normalises.

        Args:
            features: of `tokenize`.
            kind: does not matter: one network reads both.
        """
        device = next(self.model.parameters()).device
        state: dict[str, Any] = {name: value.to(device) for name, value in features.items()}
        modules: Iterable[nn.Module] = self.model
        if self._bag is not None:
            state = {"sentence_embedding": mean_of_pieces(self._bag, state["input_ids"], state["attention_mask"])}
            modules = list(self.model)[2:]
        for module in modules:
            if isinstance(module, Normalize):  # in full precision, whatever autocast computed in
                state["sentence_embedding"] = state["sentence_embedding"].float()
            state = module(state)
        vectors: Tensor = state["sentence_embedding"]
        return vectors.float()

    def save(self, folder: Path | str, *, precision: Precision = "fp32", max_shard_size: int | None = None) -> None:
        """Write the model, whole or not at all, as a stock sentence-transformers folder with `training_config.json` beside.

        Adapters are merged into the weights; by themselves they stand in `adapter/`, as PEFT writes them.

        Args:
            folder: where; a model that is there is replaced.
            precision: of the matrices on disk; "fp16" halves the files and rounds the weights.
            max_shard_size: bytes that no file of weights may have more of; None: one file.

        Raises:
            RetrievalError: the disk is full or the folder may not be written.
            ModelError: a weight is no number or too large for fp16, or one tensor alone is larger than a file may be.
        """
        adapted = has_adapters(self.model)
        lora = {"lora": lora_record(self.model, self._base_name)} if adapted else {}
        record = self.record.model_copy(update={"precision": "fp32", **lora})
        stock = merge(self.model) if adapted else self.model
        self._settle(stock)
        with new_folder(Path(folder)) as target:
            save_sentence_transformer(stock, target)
            write_record(target, record)
            if precision != "fp32" or max_shard_size is not None:
                repack(target, precision, max_shard_size, RECORD)
            if adapted:
                save_adapter(self.model, target / ADAPTER_FOLDER, self._base_name)
                write_record(target / ADAPTER_FOLDER, record)

    def describe_run(self, config: Mapping[str, Any], data: Mapping[str, str], seed: int, commit: str | None) -> None:
        """Keep what the model is trained on, for `training_config.json`.

        Args:
            config: the settings of the run.
            data: SHA-256 of what it is trained on, by name.
            seed: of the run.
            commit: of the code, None where it is not known.
        """
        self.record = self.record.model_copy(update={"config": dict(config), "data": dict(data), "seed": seed, "commit": commit})

    def with_template(self, template: TemplateMode | str) -> BiEncoder:
        """Return the same network read with another template than it was trained with: to measure what the template is worth."""
        mode = template_named(template)
        query, passage = prefixes_of(mode)
        other = copy.copy(self)
        other.record = self.record.model_copy(update={"template": mode, "query_prefix": query, "passage_prefix": passage})
        return other

    # what search asks of it

    def encode_queries(
        self, texts: Sequence[str], batch_size: int = 64, on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return the vectors of queries, shape [len(texts), dimensions]; see `encode_passages`."""
        return self._encode(texts, "query", batch_size, on_progress)

    def encode_passages(
        self, texts: Sequence[str], batch_size: int = 64, on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return the vectors of passages, shape [len(texts), dimensions].

        Args:
            texts: any number; the template is put before each.
            batch_size: texts that go through the network at once, of like length.
            on_progress: called with the number of texts done.
        """
        return self._encode(texts, "document", batch_size, on_progress)

    def _encode(self, texts: Sequence[str], kind: Kind, batch_size: int, on_progress: Callable[[int], None] | None) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), self.get_embedding_dimension()), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))  # like lengths together: little padding
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():  # not inference_mode: what is made in it cannot be trained on afterwards
                for start in range(0, len(order), batch_size):
                    places = order[start : start + batch_size]
                    vectors[places] = self.embed(self.tokenize([texts[place] for place in places], kind), kind).cpu().numpy()
                    if on_progress:
                        on_progress(start + len(places))
        finally:
            self.model.train(training)
        return vectors


def get_bi_encoder(
    name: str, template: TemplateMode | str | None = "bge", normalize: bool | None = True, max_len: int | None = None
) -> BiEncoder:
    """Return an encoder by the published factory's signature; `BiEncoder(name)` takes the model's own template instead.

    Args:
        name: a folder, an alias or a name on the hub.
        template: the published default is `bge`, whatever the model; None: what the model was trained with.
        normalize: whether vectors have length 1.
        max_len: where texts are cut; None: where the model's folder says.

    Raises:
        ModelError, UsageError: see `BiEncoder`.
    """
    return BiEncoder(name, template, normalize=normalize, max_seq_length=max_len)
