"""The files that say how registries are spoken to: lstore's own over docker's. Nothing of the network is imported."""

import os
from collections.abc import Mapping

from layerstore.errors import InvalidInput, UsageError
from layerstore.oci.document import MAX_DOCUMENT, parse_object
from registry_client.settings import Settings, from_daemon_json, from_toml

SYSTEM_CONFIG = "/etc/lstore/config.toml"
DAEMON_CONFIG = "/etc/docker/daemon.json"


def read_settings(config: str | None, environment: Mapping[str, str]) -> Settings:
    """What docs/registries.md describes: the file `config`, or else the user's over the system's over docker's.

    Raises `UsageError`, `InvalidDocument`, `LimitExceeded`, `StorageError`.
    """
    if config is not None:
        return _read_toml(config, must_exist=True)
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/"), ".config")
    settings = _read_daemon_json(DAEMON_CONFIG)
    for path in (SYSTEM_CONFIG, os.path.join(home, "lstore", "config.toml")):
        settings = _read_toml(path, must_exist=False).over(settings)
    return settings


def _read_toml(path: str, *, must_exist: bool) -> Settings:
    raw = _read(path, must_exist=must_exist)
    if not raw:
        return Settings()
    import tomllib  # most have no such file, and every pull would import it

    try:
        return from_toml(tomllib.loads(raw.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, UsageError) as error:
        raise UsageError(f"cannot use the configuration {path}: {error}") from error


def _read_daemon_json(path: str) -> Settings:
    raw = _read(path, must_exist=False)
    try:
        return from_daemon_json(parse_object(raw or b"{}", path))
    except (InvalidInput, UsageError) as error:
        raise UsageError(f"cannot use docker's configuration {path}: {error.message}") from error


def _read(path: str, *, must_exist: bool) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(MAX_DOCUMENT)
    except OSError as error:
        if not must_exist and isinstance(error, FileNotFoundError | PermissionError):
            return b""
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot read the configuration {path}: {reason}") from error
