"""`login`, `logout`: who we are at a registry."""

from typing import TYPE_CHECKING

from layerstore.errors import InvalidInput, UsageError
from layerstore.oci.reference import DEFAULT_REGISTRY, Reference

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


def registry_name(text: str) -> str:
    """The registry that people mean by `text`: a host, perhaps with a scheme and a path; empty is Docker Hub.

    Raises `UsageError`.
    """
    if not text:
        return DEFAULT_REGISTRY
    host = text.removeprefix("https://").removeprefix("http://").partition("/")[0]
    try:
        found = Reference.parse_repository(f"{host}/check").registry
    except InvalidInput as error:
        raise UsageError(f"{text!r} names no registry") from error
    if found == DEFAULT_REGISTRY and not host.endswith(DEFAULT_REGISTRY):
        raise UsageError(f"{text!r} names no registry: its host needs a dot or a port")
    return found


def login(engine: "Engine", registry: str, username: str, password: str) -> None:
    """Show the credentials to `registry`, and keep them if it accepts them.

    Raises `Unauthorized`, `RegistryError`, `StorageError`, `InvalidDocument` for a broken config.json.
    """
    from registry_client.credentials import CredentialFiles
    from registry_client.docker_config import Credential

    credential = Credential(username, password)
    with engine.registries() as client:
        client.check_login(registry, credential)
    CredentialFiles.of_environment(engine.environment).store(registry, credential)


def logout(engine: "Engine", registry: str) -> bool:
    """Forget the credentials for `registry`; whether there were any. Raises as `login` does, without network."""
    from registry_client.credentials import CredentialFiles

    return CredentialFiles.of_environment(engine.environment).erase(registry)
