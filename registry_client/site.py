"""One repository at one host: where its URLs are, and how it is asked."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from layerstore.dataclass import dataclass
from layerstore.errors import Unreachable
from registry_client.exchange import Exchange
from registry_client.failures import Asked, failure
from registry_client.hosts import Host
from registry_client.messages import Headers, Request, Response, Upload
from registry_client.retry import IMPATIENT, RetryPolicy
from registry_client.schemes import Schemes
from registry_client.scope import Access, Scope

Query = Sequence[tuple[str, str]]
_SUCCESS = frozenset({200, 201, 202, 204, 206})


@dataclass(frozen=True, slots=True)
class Document:
    """A small answer, read whole."""

    url: str
    headers: Headers
    data: bytes


@dataclass(frozen=True, slots=True)
class Wire:
    """What all sites of one client share."""

    exchange: Exchange
    schemes: Schemes


class Site:
    """A repository as one host has it; without a repository, the host as such."""

    def __init__(self, host: Host, repository: str, scopes: frozenset[Scope], wire: Wire) -> None:
        """`repository` is the host's own name for it."""
        self.host = host
        self.repository = repository
        self.access = Access(host.registry, repository, scopes)
        self.exchange = wire.exchange
        self._schemes = wire.schemes

    @classmethod
    def of_repository(cls, host: Host, repository: str, actions: frozenset[str], wire: Wire) -> "Site":
        """The site of `repository`, by the name that people give it, for `actions`."""
        name = host.repository(repository)
        return cls(host, name, frozenset({Scope.repository(name, actions)}), wire)

    @property
    def name(self) -> str:
        """registry/repository, for people."""
        return f"{self.host.registry}/{self.repository}" if self.repository else self.host.registry

    def url(self, path: str, query: Query = ()) -> str:
        """The URL of `path` in this repository."""
        place = f"{self.repository}/{path}" if self.repository else path
        return self.root_url(f"v2/{place}", query)

    def root_url(self, path: str, query: Query = ()) -> str:
        """The URL of `path` at the host itself."""
        asked = f"?{urlencode(query)}" if query else ""
        return f"{self._schemes.origin(self.host)}/{path}{asked}"

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Upload = b"",
        more_scopes: Sequence[Scope] = (),
    ) -> Response:
        """The answer to one request, whatever its status. Raises as `Exchange.send` does."""
        request = Request(method, url, headers or {}, body)
        access = self.access.with_scopes(more_scopes) if more_scopes else self.access
        return self.exchange.send(request, access, self._schemes.origin(self.host), policy=self._policy)

    def read(
        self, url: str, limit: int, asked: Asked, *, headers: Mapping[str, str] | None = None
    ) -> Document:
        """The whole answer to a GET, asked again if it breaks off.

        Raises `LimitExceeded` past `limit` bytes, and what a refusal stands for.
        """
        backoff = self.exchange.pace.backoff(self._policy)
        while True:
            with self.send("GET", url, headers=headers) as response:
                self.expect_success(response, asked)
                try:
                    data = response.read_all(limit, asked.what)
                except Unreachable as error:
                    if not self.exchange.wait(backoff, error.message):
                        raise
                    continue
                return Document(url, response.headers, data)

    def expect_success(self, response: Response, asked: Asked) -> None:
        """Raises what `response` stands for if it is a refusal."""
        if response.status not in _SUCCESS:
            raise failure(response, asked)

    def asked(self, what: str, verb: str = "pull") -> Asked:
        """What a request is about, for its error: `what` of this repository."""
        return Asked(self.host.registry, self.name, what, verb)

    @property
    def _policy(self) -> RetryPolicy | None:
        return IMPATIENT if self.host.is_mirror else None
