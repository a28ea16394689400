"""The client put together: what the application holds. Close it, or use it as a context manager."""

import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from layerstore.errors import NotFound, RegistryError, Unauthorized
from layerstore.oci.reference import Reference
from layerstore.progress import SILENT, Progress
from layerstore.tasks import Cancellation
from registry_client.authority import Authority
from registry_client.certificates import Trust, directories, trust_for
from registry_client.credentials import Credentials
from registry_client.docker_config import Credential
from registry_client.exchange import Exchange
from registry_client.hosts import origin_host, reading_hosts, search_host
from registry_client.messages import Transport
from registry_client.repository import Candidates, Repository, Sites, no_candidates
from registry_client.retry import Pace, RetryPolicy
from registry_client.schemes import Schemes
from registry_client.scope import CATALOG, PULL
from registry_client.settings import Settings
from registry_client.site import Site, Wire
from registry_client.transport import RequestsTransport

if TYPE_CHECKING:
    from registry_client.search import Found


class Client:
    """Registries as one user sees them, for any number of threads.

    Connections, tokens and what each host was found to speak are shared by all repositories.
    """

    def __init__(
        self,
        transport: Transport,
        settings: Settings,
        credentials: Credentials,
        *,
        progress: Progress = SILENT,
        pace: Pace,
    ) -> None:
        """`progress` gets notes of retries and fall-backs. See `over_network` for the usual transport."""
        self._transport = transport
        self._settings = settings
        self._progress = progress
        self._pace = pace
        self._wire = self._wire_with(credentials)

    @classmethod
    def over_network(
        cls,
        settings: Settings,
        credentials: Credentials,
        environment: Mapping[str, str],
        *,
        progress: Progress = SILENT,
        pace: Pace | None = None,
        cancellation: Cancellation | None = None,
    ) -> "Client":
        """A client over sockets; proxies and the user's certs.d come from `environment`.

        It has patience by the wall clock, unless `pace` says otherwise. Once `cancellation` is set, whatever it
        waits for breaks off, and all that it is asked raises `Cancelled`.
        """
        shared = cancellation or Cancellation()
        certs_d = directories(environment)

        def trust(authority: str) -> Trust:
            return trust_for(authority, settings, certs_d)

        transport = RequestsTransport(environment, trust, cancellation=shared)
        patient = pace or Pace(RetryPolicy(), time.time, random.random, shared.pause)
        return cls(transport, settings, credentials, progress=progress, pace=patient)

    def repository(
        self,
        reference: Reference,
        *,
        actions: frozenset[str] = PULL,
        candidates: Candidates = no_candidates,
    ) -> Repository:
        """The repository of `reference` for `actions` (`scope.PULL`, `PUSH`).

        Mirrors serve only who merely pulls: what is to be written is compared with the registry itself. Raises
        `RegistryError` for what is no host[:port].
        """
        if actions == PULL:
            hosts = reading_hosts(reference.registry, self._settings)
        else:
            hosts = (origin_host(reference.registry, self._settings),)
        sites = tuple(Site.of_repository(host, reference.repository, actions, self._wire) for host in hosts)
        return Repository(reference, Sites(sites), self._progress, candidates=candidates)

    def check_login(self, registry: str, credential: Credential) -> None:
        """Show `credential` to `registry`, if it asks who we are.

        Raises `Unauthorized` where it is not accepted, `Unreachable`, and `RegistryError` where no registry answers.
        """
        wire = self._wire_with(_Only(credential))
        site = Site(origin_host(registry, self._settings), "", frozenset(), wire)
        with site.send("GET", site.url("")) as response:
            if response.status == 401:
                raise Unauthorized(
                    f"{registry} did not accept the credentials", hint=f"lstore login {registry}", status=401
                )
            if response.status == 404:
                raise RegistryError(f"{registry} is no registry: it answered 404 to /v2/", status=404)
            site.expect_success(response, site.asked(registry, "ask"))

    def search(self, registry: str, term: str, *, limit: int = 25) -> "tuple[Found, ...]":
        """At most `limit` repositories of `registry` for `term`, by its search or else its catalogue.

        Raises `RegistryError`, `LimitExceeded`.
        """
        from registry_client import search  # noqa: PLC0415 - every pull imports this module

        site = Site(search_host(registry, self._settings), "", frozenset(), self._wire)
        try:
            return search.search(site, term, limit=limit)
        except (NotFound, Unauthorized):
            return self._search_catalogue(registry, term, limit)

    def close(self) -> None:
        """Let all connections go."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wire_with(self, credentials: Credentials) -> Wire:
        authority = Authority(credentials, self._pace.now)
        exchange = Exchange(self._transport, authority, self._pace, self._progress)
        return Wire(exchange, Schemes(exchange))

    def _search_catalogue(self, registry: str, term: str, limit: int) -> "tuple[Found, ...]":
        from registry_client import search  # noqa: PLC0415 - every pull imports this module

        site = Site(origin_host(registry, self._settings), "", frozenset({CATALOG}), self._wire)
        try:
            return search.search_catalogue(site, term, limit=limit)
        except (NotFound, Unauthorized) as error:
            raise RegistryError(
                f"cannot search {registry}: it has neither docker's search nor a catalogue for us"
            ) from error


class _Only:
    """One credential for everywhere it is shown."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def credential(self, registry: str, repository: str) -> Credential | None:
        return self._credential
