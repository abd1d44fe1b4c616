"""LoRA on a cross-encoder: attached by name, written beside the base, and restored with the same rank and alpha or refused.

model folder
  config.json model.safetensors tokenizer…   the base, as it was
  adapter/                                    peft's adapter_config.json and adapter_model.safetensors, the head among them
  lora_config.json                            r, alpha, dropout, targets, modules trained whole
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from dense_ko.teacher.settings import TeacherLoraSettings
from retrieval_ko.errors import ModelError
from retrieval_ko.files import read_json, write_json

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

ADAPTER, LORA_CARD = "adapter", "lora_config.json"


def attach_adapters(network: PreTrainedModel, lora: TeacherLoraSettings, fresh: Sequence[str] = ()) -> PeftModel:
    """Return the network with adapters; of its own weights only the head and what is fresh is trained.

    Args:
        network: a sequence classifier.
        lora: rank, scale, dropout, targets.
        fresh: names of parameters that started at random, so that they must not stay as they are.

    Raises:
        ModelError: no linear layer has such a name, or the architecture is one whose usual targets are not known.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    linear = _linear_names(network)
    targets = lora.targets or _usual_targets(network, linear)
    for name in targets:
        if name not in linear:
            raise ModelError(f"model.lora.targets: no linear layer is called {name!r}.", f"There are: {', '.join(linear)}")
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(targets),
        modules_to_save=_trained_whole(network, fresh),
    )
    return get_peft_model(network, config)


def save_adapters(network: PeftModel, folder: Path) -> None:
    """Write base, adapter and lora_config.json into a model folder."""
    from safetensors.torch import save_file

    base = network.get_base_model()
    base.config.save_pretrained(str(folder))
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in _base_weights(base).items()}
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = network.peft_config["default"]
    config.base_model_name_or_path = None  # it stands one folder up; a path of this machine helps nobody
    network.save_pretrained(str(folder / ADAPTER))
    (folder / ADAPTER / "README.md").unlink(missing_ok=True)
    write_json(folder / LORA_CARD, _described(config))


def restore_adapters(network: PreTrainedModel, folder: Path) -> PeftModel:
    """Return the base with the adapters of a model folder.

    Raises:
        ModelError: the adapter is missing or damaged, or is of another rank or scale than lora_config.json says.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    wanted = read_json(folder / LORA_CARD)
    try:
        restored = PeftModel.from_pretrained(network, str(folder / ADAPTER), is_trainable=False)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as failure:
        raise ModelError(
            f"The adapter in {folder / ADAPTER} cannot be loaded: {' '.join(str(failure).split())[:300]}",
            "Copy the whole model folder; base, adapter/ and lora_config.json belong together.",
        ) from failure
    found = _described(restored.peft_config["default"])
    ranks = {module.shape[0] for name, module in restored.named_parameters() if ".lora_A." in name}
    differing = [key for key in found if not isinstance(wanted, dict) or wanted.get(key) != found[key]]
    if differing or ranks != {found["r"]}:
        raise ModelError(
            f"{folder / LORA_CARD} and the adapter beside it differ in {', '.join(differing) or 'r'}.",
            "They were not written by one run; copy the model folder again, or train anew.",
        )
    return restored


def _described(config: Any) -> dict[str, Any]:  # noqa: ANN401  peft's
    return {
        "r": config.r,
        "alpha": config.lora_alpha,
        "dropout": config.lora_dropout,
        "targets": sorted(config.target_modules),
        "trained_whole": sorted(set(config.modules_to_save or ())),  # peft names the head once more whenever it loads
    }


def _linear_names(network: PreTrainedModel) -> list[str]:
    """Return the last parts of the names of the body's linear layers, each once."""
    body = f"{network.base_model_prefix}."
    found = (name for name, module in network.named_modules() if isinstance(module, nn.Linear) and name.startswith(body))
    return list(dict.fromkeys(name.rpartition(".")[2] for name in found))


def _usual_targets(network: PreTrainedModel, linear: Sequence[str]) -> list[str]:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as USUAL

    architecture = network.config.model_type
    usual = [name for name in USUAL.get(architecture, ()) if name in linear]
    if not usual:
        raise ModelError(
            f"Which layers of the architecture {architecture} get adapters is not known.",
            f"Name them: --set 'model.lora.targets=[…]'; there are: {', '.join(linear)}",
        )
    return usual


def _trained_whole(network: PreTrainedModel, fresh: Sequence[str]) -> list[str]:
    """Return the modules that are trained whole: the head, and a pooler that started at random."""
    body = f"{network.base_model_prefix}."
    heads = [name for name, _ in network.named_children() if name != network.base_model_prefix and any(True for _ in _.parameters())]
    inside = {name.removeprefix(body).partition(".")[0] for name in fresh if name.startswith(body)}
    return sorted({*heads, *inside})


def _base_weights(base: nn.Module) -> dict[str, Tensor]:
    """Return the base's weights under the names they had before adapters were attached."""
    return {
        name.replace(".base_layer.", ".").replace(".original_module.", "."): tensor
        for name, tensor in base.state_dict().items()
        if ".lora_" not in name and ".modules_to_save." not in name
    }
