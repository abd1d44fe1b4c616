"""Write docs/configs.md: every key of a training config with its values and its default, out of the settings themselves.

    python scripts/config_docs.py

tests/sparse_ko/test_config_docs.py holds the page against the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

import sparse_ko
from retrieval_ko.files import write_text
from sparse_ko.settings import TrainSettings
from training_ko.settings import Settings, settings_in

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configs.md"
CONFIGS = Path(sparse_ko.__file__).parent / "configs"

BEGINNING = """# Configs

Written by `python scripts/config_docs.py` from `sparse_ko/settings.py` and `training_ko/settings.py`; do not edit.

A config is one YAML file: one story of a run. A key that is left out has its default. A single value is changed on the command line:

    sparse-ko train configs/demo.yaml --set training.epochs=2 --set sparsity.target_doc_dims=120

An unknown key, a value out of range and keys that contradict each other are refused before anything starts, with the file, the key and,
for an unknown one, the key that was probably meant. `sparse-ko train CONFIG --dry-run` shows data, steps and the model's size.

## Packaged

| config | what | time |
|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    rows = [f"| `{source.stem}` | {_remark(source, 'What')} | {_remark(source, 'Time')} |" for source in sorted(CONFIGS.glob("*.yaml"))]
    return "\n".join([BEGINNING + "\n".join(rows), "", "## Keys", *_tables(TrainSettings, ""), ""])


def _remark(source: Path, name: str) -> str:
    """Return what a config's first comment says of itself."""
    lines = source.read_text(encoding="utf-8").splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(f"# {name}:")).replace("|", "\\|")


def _tables(settings: type[Settings], prefix: str) -> Iterator[str]:
    simple = {name: field for name, field in settings.model_fields.items() if not settings_in(field.annotation)}
    if simple:
        yield from ["", "| key | values | default | |", "|---|---|---|---|"]
    for name, field in simple.items():
        cells = [f"`{prefix}{name}`", _values(field), _default(field), " ".join((field.description or "").split())]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    for name, field in settings.model_fields.items():
        if nested := settings_in(field.annotation):
            is_list = get_origin(field.annotation) is list
            yield from ["", f"### `{prefix}{name}`" + (" (a list)" if is_list else "")]
            about = [" ".join((text or "").split()) for text in (nested.__doc__, field.description)]
            yield from ["", " ".join(filter(None, about))]
            yield from _tables(nested, f"{prefix}{name}." if not is_list else "")


def _values(field: FieldInfo) -> str:
    text = _type(field.annotation)
    limits = []
    for limit in field.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("pattern", "like")):
            if (value := getattr(limit, name, None)) is not None:
                limits.append(f"{sign} {f'`{value}`' if name == 'pattern' else f'{value:,}'}")
    return ", ".join([text, *limits])


def _type(annotation: Any) -> str:  # noqa: ANN401  any type
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is list:
        return f"list of {_type(get_args(annotation)[0])}"
    if get_args(annotation):  # X | None
        return _type(next(inner for inner in get_args(annotation) if inner is not type(None)))
    return {int: "whole number", float: "number", str: "text", bool: "true, false", Path: "path"}[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    write_text(PAGE, page())
