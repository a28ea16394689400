"""Who we are at which registry: docker's and podman's files, and the helpers that they name.

Read in this order: the file that REGISTRY_AUTH_FILE names, and then no other; else docker's config.json
(DOCKER_CONFIG is its directory), then podman's auth.json. `login` and `logout` write the first.
"""

import os
from collections.abc import Mapping
from typing import Protocol

from layerstore.disk.publish import make_directories, write_file
from layerstore.errors import InvalidDocument, UsageError, file_error
from registry_client.credential_helper import CredentialHelper, Run, runner
from registry_client.docker_config import MAX_CONFIG, Credential, DockerConfig

_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700


class Credentials(Protocol):
    """Finds what to show to a registry."""

    def credential(self, registry: str, repository: str) -> Credential | None:
        """The credential for `repository` at `registry` (``docker.io``, ``host:port``), None for anonymous."""
        ...


def files(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The configuration files that count for a user with `environment`, first the one that is written."""
    named = environment.get("REGISTRY_AUTH_FILE")
    if named:
        return (named,)
    home = environment.get("HOME", "")
    docker = environment.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else "")
    configuration = environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    runtime = environment.get("XDG_RUNTIME_DIR")
    places = (
        (docker, "config.json"),
        (runtime, "containers/auth.json"),
        (configuration, "containers/auth.json"),
    )
    return tuple(os.path.join(directory, name) for directory, name in places if directory)


class CredentialFiles:
    """Credentials as files and helpers have them; each look-up reads what is there now."""

    def __init__(self, paths: tuple[str, ...], run: Run) -> None:
        self._paths = paths
        self._run = run

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "CredentialFiles":
        """The files and helpers of a user with `environment`."""
        return cls(files(environment), runner(environment))

    def credential(self, registry: str, repository: str) -> Credential | None:
        """See `Credentials`. Raises `InvalidDocument` for a broken file, `RegistryError` for a failing helper."""
        for path in self._paths:
            config = _read(path)
            named = config.helper(registry)
            found = CredentialHelper(named[0], self._run).get(named[1]) if named is not None else None
            found = found or _from_file(config, path, registry, repository)
            if found is not None:
                return found
        return None

    def store(self, registry: str, credential: Credential) -> None:
        """Keep `credential` for `registry`, in its helper where one is configured, else in the first file.

        Raises `UsageError` where there is no file to write, and as `credential` does; `StorageError`.
        """
        path = self._written_path()
        config = _read(path)
        named = config.helper(registry)
        if named is not None:
            CredentialHelper(named[0], self._run).store(named[1], credential)
            _write(path, config.with_credential(registry, None))
        else:
            _write(path, config.with_credential(registry, credential))

    def erase(self, registry: str) -> bool:
        """Forget `registry` in every file and helper; whether anything knew of it.

        Raises as `credential` does, and `StorageError`.
        """
        was_known = False
        for path in self._paths:
            config = _read(path)
            named = config.helper(registry)
            if named is not None:
                helper = CredentialHelper(named[0], self._run)
                was_known = helper.get(named[1]) is not None or was_known
                helper.erase(named[1])
            if config.has_entry(registry):
                _write(path, config.without(registry))
                was_known = True
        return was_known

    def _written_path(self) -> str:
        if not self._paths:
            raise UsageError(
                "cannot store credentials: no home directory",
                hint="export REGISTRY_AUTH_FILE=FILE",
            )
        return self._paths[0]


def _from_file(config: DockerConfig, path: str, registry: str, repository: str) -> Credential | None:
    try:
        return config.credential(registry, repository)
    except InvalidDocument as error:
        raise InvalidDocument(
            f"{path}: {error.message} ({registry})", hint=f"lstore login {registry}"
        ) from error


def _read(path: str) -> DockerConfig:
    try:
        with open(path, "rb") as stream:
            return DockerConfig.parse(stream.read(MAX_CONFIG + 1), path)
    except (FileNotFoundError, NotADirectoryError):
        return DockerConfig()
    except OSError as error:
        raise file_error(error, f"read {path}") from error


def _write(path: str, config: DockerConfig) -> None:
    real = os.path.realpath(path)  # a config.json that is a link into some dotfiles stays one
    try:
        make_directories(os.path.dirname(real), mode=_DIRECTORY_MODE)
        write_file(real, config.dump(), mode=_FILE_MODE)
    except OSError as error:
        raise file_error(error, f"write {path}") from error
