"""A masked language model without the pieces that a corpus never uses: fewer rows of the embedding, fewer logits, the same answers.

Longest match first picks among the pieces that are there: a text whose pieces are all kept is cut as before, so its hidden states, and
the logits of every kept piece, are the original's. Special tokens and single characters stay whatever the corpus holds, so that an
unseen word falls apart instead of being unknown.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from retrieval_ko.errors import DataError, ModelError
from retrieval_ko.files import check_replaceable, new_folder
from sparse_ko.vocabulary.sources import count_lines, read_texts, text_files

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

OWN_FILES = frozenset(
    {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"}
)
_TEXTS_AT_ONCE = 2_000
_ID_KEYS = ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "mask_token_id", "decoder_start_token_id")


def prune_model(
    model: str,
    sample: Sequence[Path],
    out: Path,
    *,
    minimum: int = 1,
    share: float = 1.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Write a masked language model that keeps only the pieces of a corpus, and its tokenizer.

    Args:
        model: a folder, or a name on the hub.
        sample: as the sources of `train_vocabulary`: passages, train queries, synonyms.
        out: the folder; an earlier model there is replaced.
        minimum: how often a piece must occur in the sample.
        share: of the lines to read, drawn by hash.
        on_progress: told (lines read, lines in all).

    Returns:
        Pieces before and after, parameters before and after.

    Raises:
        ModelError: no masked language model, its head is missing, or its tokenizer is no WordPiece.
        DataError: the sample is missing, damaged or empty.
        UsageError: `out` holds something else.
    """
    from sparse_ko.forms.pretrained import load_masked_language_model

    check_replaceable(Path(out), OWN_FILES, "config.json")
    original, tokenizer = load_masked_language_model(model)
    backend = tokenizer.backend_tokenizer
    if type(backend.model).__name__ != "WordPiece":
        raise ModelError(
            f"The tokenizer of {model} is {type(backend.model).__name__}; only WordPiece can be pruned.",
            "In other kinds a piece that goes changes how texts of the remaining ones are cut.",
        )
    files = text_files(sample)
    lines = count_lines(files)
    counts = count_ids(backend, read_texts(files, share, (lambda done: on_progress(done, lines)) if on_progress else None))
    if not counts:
        raise DataError(f"{', '.join(map(str, sample))} holds no text.")
    kept = kept_ids(backend, counts, minimum)
    pruned = without_pieces(original, kept)
    with new_folder(Path(out)) as target:
        pruned.save_pretrained(str(target))
        _pruned_tokenizer(tokenizer, kept).save_pretrained(str(target))
    return {
        "pieces": len(tokenizer),
        "kept": len(kept),
        "parameters_before": original.num_parameters(),
        "parameters": pruned.num_parameters(),
    }


def count_ids(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[int]:
    """Return how often each id occurs in texts."""
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.no_truncation()
    plain.no_padding()
    counts: Counter[int] = Counter()
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _TEXTS_AT_ONCE:
            counts.update(number for encoding in plain.encode_batch(batch, add_special_tokens=False) for number in encoding.ids)
            batch.clear()
    counts.update(number for encoding in plain.encode_batch(batch, add_special_tokens=False) for number in encoding.ids)
    return counts


def kept_ids(tokenizer: Tokenizer, counts: Counter[int], minimum: int = 1) -> list[int]:
    """Return the ids that stay, in their old order: those seen often enough, special and added tokens, single characters."""
    prefix = json.loads(tokenizer.to_str())["model"]["continuing_subword_prefix"]
    added = tokenizer.get_added_tokens_decoder()
    unknown = tokenizer.model.unk_token
    return sorted(
        number
        for piece, number in tokenizer.get_vocab(with_added_tokens=True).items()
        if counts[number] >= minimum or number in added or piece == unknown or len(piece.removeprefix(prefix)) == 1
    )


def without_pieces(model: PreTrainedModel, kept: Sequence[int]) -> PreTrainedModel:
    """Return a copy of a masked language model that has only the rows `kept` of embedding, head and bias, numbered anew.

    Raises:
        ModelError: a parameter is neither of the vocabulary's length nor independent of it.
    """
    import copy

    import torch
    from transformers import AutoModelForMaskedLM

    config = copy.deepcopy(model.config)
    size, config.vocab_size = config.vocab_size, len(kept)
    renumbered = {old: new for new, old in enumerate(kept)}
    for key in _ID_KEYS:
        if isinstance(number := getattr(config, key, None), int):
            setattr(config, key, renumbered.get(number))
    pruned = AutoModelForMaskedLM.from_config(config, dtype=model.dtype)
    rows = torch.tensor(list(kept))
    shapes = {name: tensor.shape for name, tensor in pruned.state_dict().items()}
    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name not in shapes or tensor.shape == shapes[name]:
            state[name] = tensor
        elif tensor.shape[0] == size and shapes[name] == (len(kept), *tensor.shape[1:]):
            state[name] = tensor[rows]
        else:
            raise ModelError(f"The parameter {name} of shape {tuple(tensor.shape)} cannot be cut to {len(kept):,} pieces.")
    pruned.load_state_dict(state)
    pruned.tie_weights()
    return pruned.eval()


def _pruned_tokenizer(tokenizer: PreTrainedTokenizerFast, kept: Sequence[int]) -> PreTrainedTokenizerFast:
    """Return the tokenizer with the ids of `kept` only, numbered anew in every place of its file."""
    renumbered = {old: new for new, old in enumerate(kept)}
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    content["model"]["vocab"] = {piece: renumbered[number] for piece, number in content["model"]["vocab"].items() if number in renumbered}
    for token in content["added_tokens"]:
        token["id"] = renumbered[token["id"]]
    if content.get("post_processor"):
        _renumber(content["post_processor"], renumbered)
    content["padding"] = None
    return type(tokenizer)(
        tokenizer_object=Tokenizer.from_str(json.dumps(content, ensure_ascii=False)),
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        clean_up_tokenization_spaces=tokenizer.clean_up_tokenization_spaces,
        **tokenizer.special_tokens_map,
    )


def _renumber(processor: dict[str, Any], renumbered: dict[int, int]) -> None:
    for part in processor.get("processors", []):
        _renumber(part, renumbered)
    for end in ("sep", "cls"):  # BertProcessing and RobertaProcessing: (token, id)
        if end in processor:
            processor[end] = [processor[end][0], renumbered[processor[end][1]]]
    for token in (processor.get("special_tokens") or {}).values():
        token["ids"] = [renumbered[number] for number in token["ids"]]
