"""Where a cluster is and how one logs in: from a URL, a profile file, the environment or the embedded node.

A password never comes from the command line, which `ps` shows to every user of the machine.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from retrieval_ko.errors import DataError, UsageError

CLUSTER_VARIABLE = "SPARSE_KO_CLUSTER"
USER_VARIABLE = "SPARSE_KO_CLUSTER_USER"
PASSWORD_VARIABLE = "SPARSE_KO_CLUSTER_PASSWORD"
CA_VARIABLE = "SPARSE_KO_CLUSTER_CA"
CONFIG_VARIABLE = "SPARSE_KO_CONFIG"

PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
LOGIN_REMEDY = f"Set the environment variables {USER_VARIABLE} and {PASSWORD_VARIABLE}, or write a profile (user, password, mode 600)."


class ClusterProfile(BaseModel):
    """One cluster and one login. The password never appears in `repr`, in an error or in a dump."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str
    """http://host[:9200] or https://host[:443], with a path where a proxy adds one."""
    other_urls: tuple[str, ...] = ()
    """More addresses of the same cluster, to go on with when the first does not answer."""
    user: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    """PEM file of the authority that signed the cluster's certificate; None: the system's authorities."""
    timeout_seconds: float = Field(default=30, gt=0)
    """Longest wait for an ordinary answer; opensearch-py's 10 s is too short for a busy two-core node. Deploys have their own."""

    @field_validator("other_urls")
    @classmethod
    def _plain_addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(cls._plain_address(url) for url in urls)

    @field_validator("url")
    @classmethod
    def _plain_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is not an address; expected http://HOST:PORT or https://HOST:PORT") from None
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
            raise ValueError("is not an address; expected http://HOST:PORT or https://HOST:PORT")
        if "@" in parts.netloc:
            raise ValueError("holds a user or password, which every user of this machine could read")
        return url.rstrip("/")

    @field_validator("ca_file")
    @classmethod
    def _present(cls, ca_file: Path | None) -> Path | None:
        if ca_file is not None and not ca_file.expanduser().is_file():
            raise ValueError(f"there is no certificate file {ca_file}")
        return ca_file.expanduser() if ca_file else None

    @model_validator(mode="after")
    def _whole_login(self) -> ClusterProfile:
        if (self.user is None) != (self.password is None):
            missing = "password" if self.password is None else "user"
            raise ValueError(f"a login needs both a user and a password, and the {missing} is missing")
        return self

    @property
    def host(self) -> str:
        """The machine's name, without scheme and port."""
        return urlsplit(self.url).hostname or ""

    @property
    def sends_password_in_clear(self) -> bool:
        """Whether the password would cross a network without TLS."""
        elsewhere = [url for url in (self.url, *self.other_urls) if urlsplit(url).hostname not in {"localhost", "127.0.0.1", "::1"}]
        return self.password is not None and any(url.startswith("http://") for url in elsewhere)


def profile_file() -> Path:
    """Return where profiles are read from: `$SPARSE_KO_CONFIG`, else `~/.config/sparse-ko/clusters.yaml`."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "sparse-ko" / "clusters.yaml"


def resolve_profile(value: str | None = None) -> ClusterProfile:
    """Find the cluster that `--cluster` means.

    Args:
        value: a URL (or several of one cluster, commas between), a profile's name, or nothing. Nothing means `$SPARSE_KO_CLUSTER`, else
            the running embedded node. `$SPARSE_KO_CLUSTER_USER`, `_PASSWORD` and `_CA` complete whatever is found, except the embedded
            node.

    Raises:
        UsageError: the address is malformed or holds a password, the profile is unknown, or nothing is running.
        DataError: the profile file is damaged, or other users can read its password.
    """
    value = value or os.environ.get(CLUSTER_VARIABLE)
    if not value:
        return _embedded_node()
    if "://" in value or "@" in value:
        first, *others = value.split(",")
        return _checked({"url": first, "other_urls": others}, _safe_address(value), UsageError)
    if not PROFILE_NAME.fullmatch(value):
        raise UsageError(f"--cluster {value!r} is neither an address nor a profile's name.", "Write http://HOST:PORT or https://HOST:PORT.")
    return _checked(_read_profile(value), f"{profile_file()}, profile {value}", DataError)


def _embedded_node() -> ClusterProfile:
    from opensearch_ko.node import find_running_node

    url = find_running_node()
    if url is None:
        raise UsageError(
            f"No cluster was named: there is no --cluster URL, {CLUSTER_VARIABLE} is not set, and no embedded node is running.",
            "Start one on this machine: sparse-ko node start    or name yours: --cluster https://HOST:9200",
        )
    return ClusterProfile(url=url)


def _safe_address(url: str) -> str:
    return re.sub(r"(^|//)[^/]*@", r"\1…@", url)


def _checked(settings: dict[str, Any], origin: str, error: type[DataError] | type[UsageError]) -> ClusterProfile:
    environment = {"user": USER_VARIABLE, "password": PASSWORD_VARIABLE, "ca_file": CA_VARIABLE}
    for field, variable in environment.items():
        if settings.get(field) is None and os.environ.get(variable):
            settings[field] = os.environ[variable]
    try:
        return ClusterProfile.model_validate(settings)
    except ValidationError as failure:
        complaint = failure.errors()[0]
        field = ".".join(str(part) for part in complaint["loc"])
        message = complaint["msg"].removeprefix("Value error, ")
        remedy = LOGIN_REMEDY if "password" in message else ""
    # Outside the except block: the validation error, which may quote the input, is not chained.
    raise error(f"{origin}: {f'{field} ' if field else ''}{message}.", remedy)


def _read_profile(name: str) -> dict[str, Any]:
    source = profile_file()
    try:
        text = source.read_text(encoding="utf-8")
        mode = source.stat().st_mode
    except FileNotFoundError:
        raise UsageError(
            f"There is no profile {name!r}: the file {source} does not exist.",
            f"Write it:\n{name}:\n  url: https://HOST:9200\n  user: NAME\n  password: …\nthen: chmod 600 {source}",
        ) from None
    except (OSError, UnicodeDecodeError) as failure:
        raise DataError(f"Cannot read {source}: {getattr(failure, 'strerror', None) or 'it is not UTF-8 text'}.") from None
    line = 0
    try:
        profiles = yaml.safe_load(text)
    except yaml.YAMLError as failure:  # its message quotes the file, which may hold a password
        mark = getattr(failure, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        profiles = None
    if line:
        raise DataError(f"{source}, line {line}: not YAML.")
    if not isinstance(profiles, dict) or not all(isinstance(settings, dict) for settings in profiles.values()):
        raise DataError(f"{source}: expected profiles, each a name with settings below it (url, user, password, ca_file).")
    if os.name == "posix" and mode & 0o077 and any("password" in settings for settings in profiles.values()):
        raise DataError(
            f"{source} holds a password and other users of this machine can read it (mode {mode & 0o777:03o}).", f"chmod 600 {source}"
        )
    if name not in profiles:
        raise UsageError(f"{source} has no profile {name!r}; it has: {', '.join(sorted(map(str, profiles))) or 'none'}.")
    return dict(profiles[name])
