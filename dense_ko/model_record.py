"""`training_config.json` in a model's folder: how it must be used, and where it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dense_ko.templates import TemplateMode
from retrieval_ko.collection import first_complaint
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_json, write_json
from training_ko.weights import Precision

RECORD = "training_config.json"


class LoraRecord(BaseModel):
    """The adapters that a model was trained with, in the words of PEFT."""

    model_config = ConfigDict(extra="forbid")

    base_model_name_or_path: str
    r: int
    lora_alpha: float
    target_modules: list[str]


class ModelRecord(BaseModel):
    """What training, evaluation and serving must have in common, and what the training was."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    template: TemplateMode
    query_prefix: str
    passage_prefix: str
    normalize: bool
    query_max_seq_length: int
    passage_max_seq_length: int
    base_model: str | None = None
    """Folder or name on the hub that training started from; None: from scratch."""
    lora: LoraRecord | None = None
    """None: every weight was trained."""
    data: dict[str, str] = {}
    """SHA-256 of what it was trained on, by name."""
    seed: int | None = None
    commit: str | None = None
    """Of the code that trained it."""
    config: dict[str, Any] | None = None
    """The settings of the run."""
    precision: Precision = "fp32"
    """Of the matrices in the folder's files; in memory they are float32."""


def read_record(folder: Path) -> ModelRecord | None:
    """Return a model folder's record, None where it has none: a folder of others.

    Raises:
        DataError: the file is damaged, or no record of this package.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return ModelRecord.model_validate(read_json(path))
    except ValidationError as failure:
        raise DataError(
            f"{path}: {first_complaint(failure)}.",
            f"It says how the model must be used. Take the folder anew from its run; without {RECORD} it is read as a folder of others.",
        ) from failure


def write_record(folder: Path, record: ModelRecord) -> None:
    """Write a model folder's record."""
    write_json(folder / RECORD, record.model_dump(mode="json"))
