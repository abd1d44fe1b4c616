"""What a command needs that this machine may not have."""

from __future__ import annotations

from importlib.util import find_spec

from retrieval_ko.errors import UsageError


def need_torch(command: str) -> None:
    """Stop with the way out where the training libraries are missing.

    Raises:
        UsageError: torch or sentence-transformers is not installed.
    """
    missing = [name for name in ("torch", "sentence_transformers") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"`{command}` needs {' and '.join(missing)}, which this installation leaves out.",
            "Install it with: pip install 'sparse-ko[train]'",
        )
