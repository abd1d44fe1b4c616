"""The account that the node runs under when the command is run by root."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from opensearch_ko.node.errors import NodeError
from opensearch_ko.node.places import is_root, unreachable_folders

logger = logging.getLogger(__name__)

ACCOUNT_NAME = "sparse-ko"


@dataclass(frozen=True)
class Account:
    """An unprivileged account."""

    name: str
    uid: int
    gid: int

    def give(self, folder: Path) -> None:
        """Make `folder` and everything in it belong to this account."""
        os.chown(folder, self.uid, self.gid)
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.chown(Path(parent) / name, self.uid, self.gid, follow_symlinks=False)

    def require_way_to(self, folder: Path, remedy: str) -> None:
        """Make sure that this account can reach `folder`.

        Raises:
            NodeError: a folder on the way is closed to it.
        """
        if closed := unreachable_folders(folder):
            raise NodeError(
                f"The node runs under the account {self.name}, because OpenSearch refuses to run as root; "
                f"{closed[-1]} on the way to {folder} is closed to it.",
                remedy,
            )


def choose_account() -> Account | None:
    """Return the account to run under, None when this process is an ordinary user's; says aloud which one it is.

    `$SPARSE_KO_NODE_USER` names one; otherwise it is `sparse-ko`, made if need be, or `nobody` where none can be made.

    Raises:
        NodeError: no such account, or the named one does not exist.
    """
    if not is_root():
        return None
    if named := os.environ.get("SPARSE_KO_NODE_USER"):
        chosen = _account(named)
        if chosen is None:
            raise NodeError(
                f"SPARSE_KO_NODE_USER names {named}, which is no unprivileged account here.", f"Make it: useradd --system {named}"
            )
    else:
        chosen = _account(ACCOUNT_NAME) or _make_account() or _account("nobody")
        if chosen is None:
            raise NodeError(
                "OpenSearch refuses to run as root, and no other account could be made.", f"Run: useradd --system {ACCOUNT_NAME}"
            )
    logger.info("Running as root: the node itself runs under the account %s.", chosen.name)
    return chosen


def _account(name: str) -> Account | None:
    import pwd  # exists on POSIX systems only; this module must be importable on Windows, too

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid) if entry.pw_uid else None


def _make_account() -> Account | None:
    command = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if command is None:
        return None
    arguments = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
    made = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        logger.warning("Could not make the account %s: %s", ACCOUNT_NAME, made.stderr.strip())
        return None
    logger.info("Made the system account %s (remove it with: userdel %s).", ACCOUNT_NAME, ACCOUNT_NAME)
    return _account(ACCOUNT_NAME)
