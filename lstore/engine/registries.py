"""How registries are spoken to: lstore's own configuration over docker's, with the user's credentials."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from layerstore.progress import Progress
from layerstore.tasks import Cancellation
from lstore.engine.configuration import read_settings
from registry_client.client import Client
from registry_client.credentials import CredentialFiles


@contextmanager
def open_client(
    config: str | None,
    environment: Mapping[str, str],
    progress: Progress,
    cancellation: Cancellation | None = None,
) -> Iterator[Client]:
    """A client of all registries, which `cancellation` breaks off.

    Raises `UsageError` for a configuration that cannot be used.
    """
    settings = read_settings(config, environment)
    credentials = CredentialFiles.of_environment(environment)
    with Client.over_network(
        settings, credentials, environment, progress=progress, cancellation=cancellation
    ) as client:
        yield client
