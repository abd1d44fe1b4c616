"""Weights on disk: in half precision where asked, in several files where one would be too large; float32 in memory.

model.safetensors                  one file, or
model-00001-of-00003.safetensors   several of them, as the hub names them, and
model.safetensors.index.json       which tensor stands in which

In half precision the matrices are fp16. What has one dimension or none (biases, norms, idf, the weights of query tokens, γ) stays
float32: it is a hundredth of the bytes, and BM25 inside a lexical floor stays exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from retrieval_ko.errors import ModelError, UsageError
from retrieval_ko.files import read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor

Precision = Literal["fp32", "fp16"]
WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
PATTERN = "model{suffix}.safetensors"
LARGEST_HALF = 65_504.0
"""The largest number that fp16 holds."""
HEADER_BYTES = 100_000
"""Room that is left in a shard for the names of its tensors, which the library that splits does not count."""


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a model folder on the CPU by name, floating ones as float32, whatever precision the files have.

    Args:
        folder: with model.safetensors, or with shards and their index.

    Raises:
        ModelError: a file is missing or damaged, or a shard lacks what the index says.
    """
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in _as_stored(Path(folder)).items()}


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a folder's weights, the index among them; empty where it has none.

    Raises:
        ModelError: the index is damaged, or a shard that it names is missing.
    """
    folder = Path(folder)
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        return []
    shards = [folder / name for name in sorted(set(_weight_map(folder).values()))]
    for shard in shards:
        if not shard.is_file():
            raise ModelError(f"{folder / INDEX} names {shard.name}, which is missing.", "Copy the whole folder from where it came from.")
    return [*shards, folder / INDEX]


def repack(folder: Path, precision: Precision, max_shard_size: int | None = None, card: str | None = None) -> None:
    """Write the weights of a model folder anew, in each of its folders that has some; other files stay as they are.

    Weights that are as they should be keep their bytes. LoRA adapters (adapter_model.safetensors) stay as PEFT wrote them.

    Args:
        folder: of a model.
        precision: of the matrices on disk.
        max_shard_size: bytes that no file of weights may have more of; None: one file.
        card: name of the JSON file in `folder` whose `precision` says what was written; None or not there: nothing says it.

    Raises:
        ModelError: a weight is no number or too large for fp16, or one tensor alone is larger than a file may be.
    """
    from huggingface_hub import save_torch_state_dict

    for part in _parts(Path(folder)):
        stored = _as_stored(part)
        wanted = {name: _converted(part / name, tensor, precision) for name, tensor in stored.items()}
        _check_sizes(part, wanted, max_shard_size)
        is_converted = any(wanted[name].dtype != tensor.dtype for name, tensor in stored.items())
        files = weight_files(part)
        is_too_large = max_shard_size is not None and any(file.stat().st_size > max_shard_size for file in files)
        if not is_converted and not is_too_large and (max_shard_size is not None or len(files) == 1):
            continue
        total = sum(tensor.numel() * tensor.element_size() for tensor in wanted.values())
        limit = total + 1 if max_shard_size is None else max_shard_size - HEADER_BYTES
        for file in files:
            file.unlink()
        save_torch_state_dict(wanted, part, filename_pattern=PATTERN, max_shard_size=max(1, limit))
    if card and (Path(folder) / card).is_file():
        write_json(Path(folder) / card, {**read_json(Path(folder) / card), "precision": precision})


def parse_size(text: str) -> int:
    """Return the bytes of "45MB" (decimal units: KB, MB, GB, or bytes).

    Raises:
        UsageError: it is no size, or too small to hold a tensor's name.
    """
    units = {"GB": 10**9, "MB": 10**6, "KB": 10**3, "": 1}
    number, unit = text.strip().upper(), ""
    for name in ("GB", "MB", "KB"):
        if number.endswith(name):
            number, unit = number.removesuffix(name).strip(), name
    try:
        size = int(float(number) * units[unit])
    except (ValueError, OverflowError):
        size = 0
    if size <= 2 * HEADER_BYTES:
        raise UsageError(f"{text} is no size of a file that holds weights.", "For example 45MB; at least 0.3MB.")
    return size


def _parts(folder: Path) -> Iterator[Path]:
    for place in (folder, *sorted(path for path in folder.rglob("*") if path.is_dir())):
        if weight_files(place):
            yield place


def _weight_map(folder: Path) -> dict[str, str]:
    index = read_json(folder / INDEX)
    found = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(found, dict) or not all(isinstance(name, str) and Path(name).name == name for name in found.values()):
        raise ModelError(f"{folder / INDEX} is no index of shards.", "Copy the whole folder from where it came from.")
    return found


def _as_stored(folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    files = [file for file in weight_files(folder) if file.name != INDEX]
    if not files:
        raise ModelError(f"The model folder {folder} has no weights ({WEIGHTS}).")
    found: dict[str, Tensor] = {}
    for file in files:
        try:
            found |= load_file(str(file))
        except SafetensorError as failure:
            raise ModelError(f"{file} is damaged: {failure}.", "Copy the whole folder from where it came from.") from failure
    if len(files) > 1 and (lost := sorted(set(_weight_map(folder)) - set(found))):
        raise ModelError(f"{folder}: the shards lack {', '.join(lost[:3])}, which {INDEX} names.")
    return found


def _converted(where: Path, tensor: Tensor, precision: Precision) -> Tensor:
    import torch

    if not tensor.is_floating_point():
        return tensor
    if not bool(torch.isfinite(tensor).all()):
        raise ModelError(f"{where} holds a weight that is no finite number.", "A model like that answers nonsense: train it anew.")
    if precision == "fp32" or tensor.dim() < 2:
        return tensor.float()
    largest = float(tensor.abs().max()) if tensor.numel() else 0.0
    if largest > LARGEST_HALF:
        raise ModelError(
            f"{where} holds the weight {largest:g}; fp16 ends at {LARGEST_HALF:,.0f}.", "Write this model in full precision: fp32."
        )
    return tensor.half()


def _check_sizes(folder: Path, tensors: dict[str, Tensor], max_shard_size: int | None) -> None:
    if max_shard_size is None:
        return
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if size + HEADER_BYTES > max_shard_size:
            raise ModelError(
                f"{folder}: the tensor {name} alone has {size / 1e6:.1f} MB, and no file may have more than {max_shard_size / 1e6:.1f} MB.",
                "Allow larger files, or halve it with fp16.",
            )
