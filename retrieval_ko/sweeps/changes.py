"""Changes to a packaged sweep's file, such as local folders in the place of downloads; everything else stays as it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from retrieval_ko.errors import UsageError
from retrieval_ko.sweeps.program import Program
from retrieval_ko.sweeps.settings import KEYS

_GROUPS = ("sweep_id", "parameters", "fixed", "conditions")
"""Keys of a sweep's file that are changed by what stands in them, never as a whole."""
_EXAMPLE = "For example: --set model.base=[models/one,models/two] --set run_cap=10"


def with_changes(text: str, changes: Sequence[str], program: Program) -> str:
    """Return a sweep's file with other values; its comments, but for those beside what is replaced, and its order stay.

    Args:
        text: the file, in block style, with keys that have dots (as the packaged ones are written).
        changes: KEY=VALUE, the value as YAML. KEY is one of the file's own keys (run_cap, seed …) or of the settings. Of a parameter, a
            list is the values that are tried, a mapping another distribution, anything else its one value; another setting is fixed.
        program: whose settings the keys are.

    Raises:
        UsageError: a change is not KEY=VALUE, or there is no such key.
    """
    for change in changes:
        key, value = _read(change)
        name, values = program.renamed.get(key, key), yaml.safe_load(text)
        if key in KEYS and key not in _GROUPS:
            group, new = None, value
        elif name in values.get("parameters", {}):
            group = "parameters"
            new = {"values": value} if isinstance(value, list) else value if isinstance(value, dict) else {"value": value}
        elif name in program.keys:
            group, new = "fixed", value
        else:
            raise UsageError(f"--set {change}: {key} is no key of a sweep's file, and {program.name} train has no such setting.", _EXAMPLE)
        text = _replaced(text, group, name if group else key, new)
    return text


def _read(change: str) -> tuple[str, Any]:
    key, equals, spelt = change.partition("=")
    try:
        value = yaml.safe_load(spelt)
    except yaml.YAMLError as failure:
        raise UsageError(f"--set {change}: the value is not YAML: {' '.join(str(failure).split())}.", _EXAMPLE) from failure
    if not equals or not key or value is None:
        raise UsageError(f"--set {change}: expected KEY=VALUE.", _EXAMPLE)
    return key, value


def _replaced(text: str, group: str | None, key: str, value: Any) -> str:  # noqa: ANN401  any YAML value
    """Write `key: value`, below `group` or at the top, over the lines of the value that is there, or as a new line."""
    lines = text.splitlines()
    first, end, indent = 0, len(lines), ""
    if group:
        if group not in yaml.safe_load(text):
            lines.append(f"{group}:")
        start = next(number for number, line in enumerate(lines) if line.startswith(f"{group}:"))
        first, end, indent = start + 1, _end_of_block(lines, start, ""), "  "
    spelt = yaml.safe_dump({key: value}, default_flow_style=True, allow_unicode=True, width=10**9).strip()[1:-1]
    at = next((number for number in range(first, end) if lines[number].startswith(f"{indent}{key}:")), None)
    if at is None:
        lines.insert(end, indent + spelt)
    else:
        lines[at : _end_of_block(lines, at, indent)] = [indent + spelt]
    return "\n".join(lines) + "\n"


def _end_of_block(lines: Sequence[str], start: int, indent: str) -> int:
    """Return the number of the line after the last one that belongs to the key in line `start`."""
    for number in range(start + 1, len(lines)):
        if lines[number].strip() and not lines[number].startswith(f"{indent} "):
            return number
    return len(lines)
