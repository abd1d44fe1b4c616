"""The command that began a run, kept so that it can be begun again; what is secret in it is not kept."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

LEFT_OUT = "***"
_SECRET_NAME = re.compile(r"(pass(word|wd|phrase)?|secret|credentials?|api[_-]?key|(^|[._-])(auth|token))$", re.IGNORECASE)
_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def this_command() -> dict[str, Any]:
    """Return how this process was begun: {"argv", "folder", "processes"}.

    `argv` begins with the interpreter; `folder` is the working directory, which relative paths in it count from; `processes` how many
    train together, since a launcher's command is not that of any of them.
    """
    argv = without_secrets([sys.executable, *sys.orig_argv[1:]])
    return {"argv": argv, "folder": str(Path.cwd()), "processes": int(os.environ.get("WORLD_SIZE", "1"))}


def without_secrets(argv: list[str]) -> list[str]:
    """Return a command with `***` for what follows a secret's name (--password X, es.token=X) and for a user in an address."""
    kept: list[str] = []
    hide_next = False
    for word in argv:
        name, equals, _ = word.partition("=")
        if hide_next:
            kept.append(LEFT_OUT)
        elif equals and _SECRET_NAME.search(name):
            kept.append(f"{name}={LEFT_OUT}")
        else:
            kept.append(_USER_IN_ADDRESS.sub(LEFT_OUT, word))
        hide_next = not equals and word.startswith("-") and bool(_SECRET_NAME.search(word))
    return kept
