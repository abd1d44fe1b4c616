"""Models of sentence-transformers: read from a folder or the hub, built around a transformer, written."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

from retrieval_ko.errors import ModelError
from retrieval_ko.files import new_folder, read_json
from training_ko.libraries import quiet_libraries

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

ADAPTER = "adapter_config.json"
HOW_TO_MAKE_A_MODEL = "A model folder is made by: lex-dpr train CONFIG --out DIR (then use DIR/model)"

logger = logging.getLogger(__name__)


def load_sentence_transformer(
    name_or_path: str, *, device: str | None = None, pooling: str | None = None, download: bool = True
) -> SentenceTransformer:
    """Return a model of sentence-transformers; only a name on the hub is ever downloaded.

    Args:
        name_or_path: a folder of sentence-transformers, of transformers (the mean is then its pooling), or a name on the hub.
        device: "cpu", "cuda", …; None chooses what is there.
        pooling: "mean" or "cls"; None: what the folder says.
        download: whether a name on the hub may be; else it must be in the cache.

    Raises:
        ModelError: it cannot be loaded, has no tokenizer, or is no bi-encoder.
        DataError: one of a folder's JSON files is damaged; names file and line.
    """
    from safetensors import SafetensorError

    is_folder = Path(name_or_path).is_dir()
    if is_folder:
        _check_folder(Path(name_or_path))
    try:
        with quiet_libraries():
            local = is_folder or not download
            model = SentenceTransformer(name_or_path, device=device, local_files_only=local, model_kwargs={"dtype": "float32"})
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as failure:
        where = f"The model folder {name_or_path}" if is_folder else f"{name_or_path} is no folder here, and as a name on the hub it"
        raise ModelError(
            f"{where} cannot be loaded: {' '.join(str(failure).split())[:300]}",
            HOW_TO_MAKE_A_MODEL
            if is_folder
            else "Without a network, copy its folder (config.json, model.safetensors, tokenizer.json, modules.json) here and name it.",
        ) from failure
    _check_shape(model, name_or_path)
    if pooling:
        model[1] = Pooling(transformer_of(model).config.hidden_size, pooling)
    return model


def bi_encoder_around(
    body: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, max_tokens: int, pooling: str = "mean"
) -> SentenceTransformer:
    """Return a transformer with a pooling behind it, on the CPU.

    Args:
        body: without a head.
        tokenizer: its own.
        max_tokens: where a text is cut, special tokens included.
        pooling: "mean" or "cls".
    """
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():  # the library builds its modules from a folder only
        body.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        first = Transformer(folder, max_seq_length=max_tokens)
    first.auto_model.name_or_path = first.auto_model.config._name_or_path = ""
    return SentenceTransformer(modules=[first, Pooling(body.config.hidden_size, pooling)], device="cpu")


def with_normalization(model: SentenceTransformer, *, wanted: bool) -> SentenceTransformer:
    """Return the model with a Normalize at its end, or with none."""
    modules: list[nn.Module] = [module for module in model if not isinstance(module, Normalize)]
    if wanted:
        modules.append(Normalize())
    if [type(module) for module in modules] == [type(module) for module in model]:
        return model
    return SentenceTransformer(modules=modules, device=str(model.device), prompts=dict(model.prompts))


def ends_normalized(model: SentenceTransformer) -> bool:
    """Return whether the model's vectors have length 1 by a module of its own."""
    return any(isinstance(module, Normalize) for module in model)


def save_sentence_transformer(model: SentenceTransformer, folder: Path) -> None:
    """Write a model, whole or not at all; stock modules only, so it loads in sentence-transformers.

    Raises:
        RetrievalError: the disk is full or the folder may not be written.
    """
    with new_folder(Path(folder)) as target, quiet_libraries():
        model.save_pretrained(str(target), create_model_card=False, safe_serialization=True)


def transformer_of(model: SentenceTransformer) -> PreTrainedModel:
    """Return the transformer that reads the tokens."""
    return model[0].auto_model


def _check_shape(model: SentenceTransformer, name: str) -> None:
    modules = list(model)
    if len(modules) < 2 or not isinstance(modules[0], Transformer) or not isinstance(modules[1], Pooling):
        names = ", ".join(type(module).__name__ for module in modules)
        raise ModelError(
            f"{name} consists of {names}; a bi-encoder here is a Transformer with a Pooling behind it.",
            "A sparse encoder is loaded by sparse_ko.SparseEncoder.",
        )
    if not getattr(model.tokenizer, "is_fast", False):
        raise ModelError(f"{name} has no fast tokenizer (tokenizer.json), which OpenSearch needs.")


def _check_folder(folder: Path) -> None:
    if not (folder / "modules.json").is_file() and not (folder / "config.json").is_file() and not (folder / ADAPTER).is_file():
        nested = folder / "model"
        hint = f"Did you mean {nested}?" if (nested / "modules.json").is_file() else HOW_TO_MAKE_A_MODEL
        raise ModelError(f"{folder} is no model folder: it has no modules.json and no config.json.", hint)
    if (folder / "sparse_ko.json").is_file():
        raise ModelError(f"{folder} holds a sparse encoder.", "Load it with sparse_ko.SparseEncoder.load.")
    for settings in sorted(folder.rglob("*.json")):
        read_json(settings)  # a damaged one is named here; the libraries that read them later don't say which it was
    modules = _module_names(folder)
    if any(name in ("SpladePooling", "SparseStaticEmbedding", "Router") for name in modules):
        raise ModelError(f"{folder} holds a sparse encoder ({', '.join(modules)}).", "Load it with sparse_ko.SparseEncoder.load.")
    if not (folder / "tokenizer.json").is_file() and not (folder / ADAPTER).is_file() and not any(folder.rglob("tokenizer.json")):
        raise ModelError(
            f"The model folder {folder} has no tokenizer.json, so no text can be cut into tokens.",
            "Copy it from where the model came from; a model without its own tokenizer is of no use.",
        )
    if not any(folder.rglob("*.safetensors")):
        raise ModelError(f"The model folder {folder} has no weights (*.safetensors).", HOW_TO_MAKE_A_MODEL)


def _module_names(folder: Path) -> list[str]:
    path = folder / "modules.json"
    modules = read_json(path) if path.is_file() else []
    return [str(module.get("type", "")).rpartition(".")[2] for module in modules if isinstance(module, dict)]
