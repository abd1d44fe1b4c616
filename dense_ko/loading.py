"""A model's name → its network and how it is used: what its folder keeps, else what its prompts and its name say."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dense_ko.adapters import adapter_base, load_adapter, lora_record
from dense_ko.model_record import RECORD, ModelRecord, read_record
from dense_ko.registry import pooling_of, resolve
from dense_ko.stock import ADAPTER, ends_normalized, load_sentence_transformer, transformer_of
from dense_ko.template_choice import TemplateChoice, choose_template
from dense_ko.templates import PREFIXES, Prefixes, TemplateMode, template_of_prompts
from retrieval_ko.errors import ModelError, UsageError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

NO_LIMIT = 1_000_000
"""A tokenizer that knows no limit says 10^30."""
USUAL_LIMIT = 512
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer")
"""Kinds of model that count positions from 2, so that two fewer tokens fit."""

logger = logging.getLogger(__name__)


def load_parts(
    name: str,
    *,
    adapter: Path | None = None,
    template: TemplateMode | None = None,
    normalize: bool | None = None,
    lengths: tuple[int | None, int | None] = (None, None),
    device: str | None = None,
    pooling: str | None = None,
) -> tuple[SentenceTransformer, ModelRecord]:
    """Return a network and how it is used; see `dense_ko.BiEncoder`.

    Args:
        name: a folder, an alias or a name on the hub.
        adapter: folder of adapters beside it.
        template: that is asked for.
        normalize: whether length 1 is asked for.
        lengths: of queries and of passages that are asked for.
        device: None chooses.
        pooling: that is asked for; None: the model's own.

    Raises:
        ModelError, UsageError, DataError: see `dense_ko.BiEncoder`.
    """
    download = True
    name = resolve(name)
    if adapter is None and (Path(name) / ADAPTER).is_file() and not (Path(name) / "modules.json").is_file():
        adapter = Path(name)
        name, download = _base_beside(adapter), False
    model = load_sentence_transformer(name, device=device, pooling=pooling or pooling_of(name), download=download)
    kept = read_record(Path(name))
    if kept:
        _check_files(model, kept, name)
    if adapter:
        logger.info("%s with the adapters of %s", name, adapter)
        load_adapter(model, adapter)
        kept = read_record(adapter) or kept
    if kept:
        _check_asked(kept, adapter or Path(name), template, normalize, lengths)
        return model, kept
    return model, _new_record(model, name, template, normalize, lengths)


def template_in(model: SentenceTransformer, folder: Path) -> TemplateChoice:
    """Return the template of a folder that was loaded by sentence-transformers alone: the one that `dense_ko.BiEncoder` reads it with.

    Raises:
        ModelError: the folder's files contradict each other.
        DataError: its record is damaged.
    """
    kept = read_record(folder)
    if kept:
        _check_files(model, kept, str(folder))
    return choose_template(str(folder), model.prompts, kept)


def position_limit(model: SentenceTransformer) -> int | None:
    """Return how many tokens the network can tell apart by their places, None where it has no such limit."""
    config = transformer_of(model).config
    limit = getattr(config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    return limit - 2 if config.model_type in OFFSET_POSITIONS else limit


def _base_beside(adapter: Path) -> str:
    base = adapter_base(adapter)
    if not base:
        raise ModelError(f"The adapter {adapter} does not name its base model.", f"Name it: BiEncoder(BASE, peft_adapter_path={adapter})")
    return base


def _new_record(
    model: SentenceTransformer, name: str, template: TemplateMode | None, normalize: bool | None, lengths: tuple[int | None, int | None]
) -> ModelRecord:
    mode, prefixes = _template(model, name, template)
    own = model.max_seq_length or NO_LIMIT
    limit = position_limit(model)
    usual = min(own if own < NO_LIMIT else USUAL_LIMIT, limit or NO_LIMIT)
    query, passage = (length or usual for length in lengths)
    if limit and max(query, passage) > limit:
        raise UsageError(f"{name} reads {limit} tokens at most, not {max(query, passage)}.", f"Cut texts at {limit} or earlier.")
    live = lora_record(model, name)
    return ModelRecord(
        template=mode,
        query_prefix=prefixes.query,
        passage_prefix=prefixes.passage,
        normalize=normalize is not False,
        query_max_seq_length=query,
        passage_max_seq_length=passage,
        base_model=name,
        lora=live,
    )


def _template(model: SentenceTransformer, name: str, asked: TemplateMode | None) -> tuple[TemplateMode, Prefixes]:
    if asked is TemplateMode.OWN:
        return template_of_prompts(model.prompts)
    if asked is not None:
        return asked, PREFIXES[asked]
    choice = choose_template(name, model.prompts)
    logger.info("%s", choice)
    return choice.mode, choice.prefixes


def _check_asked(
    kept: ModelRecord, folder: Path, template: TemplateMode | None, normalize: bool | None, lengths: tuple[int | None, int | None]
) -> None:
    """Raise where something else is asked for than the model was trained with."""
    asked: list[tuple[str, Any, Any]] = [
        ("template", template, kept.template),
        ("normalize", normalize, kept.normalize),
        ("query_max_seq_length", lengths[0], kept.query_max_seq_length),
        ("passage_max_seq_length", lengths[1], kept.passage_max_seq_length),
    ]
    for what, wanted, known in asked:
        if wanted is not None and wanted != known:
            raise UsageError(
                f"The model in {folder} was trained with {what} {known}, not {wanted} ({RECORD}).",
                f"Leave {what} out: what a model was trained with is applied by itself."
                + (" To compare templates: BiEncoder.with_template." if what == "template" else ""),
            )


def _check_files(model: SentenceTransformer, kept: ModelRecord, name: str) -> None:
    """Raise where a folder's record and its stock files, which other libraries read, say different things."""
    _, prompts = template_of_prompts(model.prompts)
    recorded_prefixes = Prefixes(kept.query_prefix, kept.passage_prefix)
    found: list[tuple[str, Any, Any]] = [
        ("the prompts", tuple(prompts), tuple(recorded_prefixes)),
        ("the template's prefixes", tuple(PREFIXES.get(kept.template, recorded_prefixes)), tuple(recorded_prefixes)),
        ("normalisation", ends_normalized(model), kept.normalize),
        ("the length", model.max_seq_length, max(kept.query_max_seq_length, kept.passage_max_seq_length)),
    ]
    for what, stock, recorded in found:
        if stock != recorded:
            raise ModelError(
                f"{name} contradicts itself: {what} are {stock!r} in its stock files and {recorded!r} in {RECORD}.",
                "Somebody changed one of them; take the folder anew from its run.",
            )
