"""Sockets: the only module that knows `requests`, and lets only our own errors out.

Redirects, retries and credentials are others' work; so netrc, environment and cookies, where
`requests` would look for them, are switched off. Bodies come as they are on the wire, never decoded,
since a digest names exactly those bytes.
"""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import cast

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from layerstore.content import CHUNK
from layerstore.errors import ContentMismatch, RegistryError, Unreachable
from layerstore.tasks import Cancellation
from registry_client.certificates import Trust
from registry_client.connections import Connections
from registry_client.messages import Headers, Request, Response, Upload
from registry_client.origin import Origin, is_local
from registry_client.proxies import proxy_for
from registry_client.tls import tls_context

CONNECT_TIMEOUT = 20.0
"""Seconds until a connection stands."""
READ_TIMEOUT = 60.0
"""Seconds of silence after which a connection counts as broken."""
_DRAINED = 64 << 10
"""Bytes of an unwanted body that are read to keep its connection; past that a new one is cheaper."""
_AGENT = "lstore"
_POOLS = 32
"""Hosts whose idle connections are kept."""
_POOLED = 16
"""Idle connections kept per host."""


class RequestsTransport:
    """A `Transport` over pooled connections, for any number of threads."""

    def __init__(
        self,
        environment: Mapping[str, str],
        trust_for: Callable[[str], Trust],
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        cancellation: Cancellation | None = None,
    ) -> None:
        """Proxies are `environment`'s; `trust_for` tells whom to trust at ``host[:port]``.

        Once `cancellation` is set, what waits for bytes breaks off, and `send` raises `Cancelled`.
        """
        self._connections = Connections(cancellation or Cancellation())
        self._environment = environment
        self._trust_for = trust_for
        self._timeouts = (connect_timeout, read_timeout)
        self._lock = threading.Lock()
        self._trusts: dict[str, Trust] = {}
        self._sessions: dict[Trust, requests.Session] = {}

    def send(self, request: Request) -> Response:
        """See `Transport`. Raises `ContentMismatch` where an upload's content ends early, `Cancelled`."""
        self._connections.cancellation.check()
        origin = Origin.of(request.url)
        proxy = proxy_for(request.url, self._environment)
        if request.is_kept_public and proxy is None:
            _check_public(origin)
        session = self._session(origin.authority)
        try:
            raw = session.request(
                request.method,
                request.url,
                headers={**request.headers},
                data=_outgoing(request),
                proxies={} if proxy is None else {origin.scheme: proxy},
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, HTTPError) as error:
            self._connections.cancellation.check()  # then it was we who broke it
            raise _translate(error, origin) from error
        except UnicodeError as error:  # a host that has no ASCII form
            raise RegistryError(f"cannot reach {origin}: not a host name") from error
        wire = cast(urllib3.HTTPResponse, raw.raw)
        headers = Headers(wire.headers.items())
        return Response(
            raw.status_code, headers, request.url, _Incoming(wire, origin, self._connections.cancellation)
        )

    def close(self) -> None:
        """Let all connections go."""
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.close()

    def _session(self, authority: str) -> requests.Session:
        with self._lock:
            trust = self._trusts.get(authority)
            if trust is None:
                trust = self._trusts.setdefault(authority, self._trust_for(authority))
            session = self._sessions.get(trust)
            if session is None:
                session = self._sessions.setdefault(trust, _new_session(trust, self._connections))
            return session


def _new_session(trust: Trust, connections: Connections) -> requests.Session:
    if not trust.is_verified:
        urllib3.disable_warnings(InsecureRequestWarning)  # the user said so: nothing to warn of
    session = requests.Session()
    session.trust_env = False  # netrc would put credentials on requests that are to have none
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # Without this, requests would ask for gzip, and a digest would name other bytes than those that come.
    session.headers.clear()
    session.headers.update({"User-Agent": _AGENT, "Accept-Encoding": "identity"})
    pool = _Pool(trust, connections)
    session.mount("https://", pool)
    session.mount("http://", pool)
    return session


class _Pool(HTTPAdapter):
    """Connections that trust as `trust` says, where `requests` would bring its own authorities."""

    def __init__(self, trust: Trust, connections: Connections) -> None:
        self._connections = connections
        self._context = tls_context(trust, bundle=DEFAULT_CA_BUNDLE_PATH)
        super().__init__(pool_connections=_POOLS, pool_maxsize=_POOLED)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **settings: object
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **settings)

    def proxy_manager_for(self, proxy: str, **settings: object) -> urllib3.ProxyManager:
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **settings)
        return cast(urllib3.ProxyManager, manager)

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,
        verify: object,
        proxies: Mapping[str, str] | None = None,
        cert: object = None,
    ) -> urllib3.HTTPConnectionPool:
        url = request.url or ""
        proxy = select_proxy(url, proxies)
        manager = self.poolmanager if proxy is None else self.proxy_manager_for(proxy)
        return self._connections.watched(manager.connection_from_url(url))

    def cert_verify(self, conn: object, url: str, verify: object, cert: object) -> None:
        """Nothing: the context says it all."""


class _Incoming:
    """A response's body as it comes from the wire."""

    def __init__(self, wire: urllib3.HTTPResponse, origin: Origin, cancellation: Cancellation) -> None:
        self._wire = wire
        self._origin = origin
        self._cancellation = cancellation
        self._is_broken = False

    def read(self, size: int, /) -> bytes:
        try:
            return self._wire.read(size, decode_content=False)
        except (HTTPError, OSError) as error:
            self._is_broken = True
            self._cancellation.check()  # then it was we who broke it
            raise _translate(error, self._origin) from error
        except BaseException:  # an interrupt: what is left might never come
            self._is_broken = True
            raise

    def close(self) -> None:
        """Give the connection back if its body is read or nearly so, else drop it."""
        remaining = self._wire.length_remaining
        with suppress(HTTPError, OSError):
            if remaining is not None and remaining <= _DRAINED and not self._is_broken:
                self._wire.read(_DRAINED, decode_content=False)
        self._wire.close()
        self._wire.release_conn()


class _Outgoing:
    """A request's body; its length makes `requests` send a Content-Length rather than chunks."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __len__(self) -> int:
        return self._upload.length

    def __iter__(self) -> Iterator[bytes]:
        remaining = self._upload.length
        with self._upload.opener(self._upload.offset) as stream:
            while remaining:
                data = stream.read(min(CHUNK, remaining))
                if not data:
                    raise ContentMismatch(f"content to upload ends {remaining} bytes early")
                remaining -= len(data)
                yield data


def _outgoing(request: Request) -> bytes | _Outgoing:
    if isinstance(request.body, bytes):
        return request.body
    return _Outgoing(request.body) if request.body.length else b""


def _check_public(origin: Origin) -> None:
    """Refuse a name that leads to this machine, such as a token server's that a registry made up."""
    hosts: list[str] = []
    with suppress(OSError, UnicodeError):  # connecting fails in the same way, with the better error
        found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        hosts = [str(address[0]) for *_, address in found]
    for host in hosts:
        if is_local(host):
            raise RegistryError(f"cannot ask {origin}: it is this machine or its link, which is refused")


def _translate(error: BaseException, origin: Origin) -> RegistryError:
    """What a failure of the network means to us."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            is_temporary = cause.errno == socket.EAI_AGAIN
            return Unreachable(f"cannot reach {origin}: no such host", is_temporary=is_temporary)
    if isinstance(error, requests.exceptions.InvalidSchema):
        return RegistryError(
            f"cannot reach {origin}: a SOCKS proxy needs PySocks", hint="pip install 'requests[socks]'"
        )
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
        return RegistryError(f"cannot reach {origin}: the registry's answer led to an invalid request")
    if isinstance(error, requests.exceptions.ProxyError):
        return Unreachable(f"cannot reach {origin}: the proxy failed", is_temporary=True)
    if isinstance(error, requests.exceptions.SSLError):
        return _tls_failure(causes, origin)
    if isinstance(error, requests.Timeout | TimeoutError | urllib3.exceptions.TimeoutError):
        return Unreachable(f"cannot reach {origin}: no answer in time", is_temporary=True)
    return Unreachable(f"cannot reach {origin}: {_reason(causes)}", is_temporary=True)


def _tls_failure(causes: list[BaseException], origin: Origin) -> RegistryError:
    text = " ".join(str(cause) for cause in causes)
    if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
        return Unreachable(
            f"cannot trust {origin}: its certificate does not verify",
            hint=f"install -D ca.crt /etc/containers/certs.d/{origin.authority}/ca.crt",
        )
    if "CERTIFICATE_REQUIRED" in text:
        return Unreachable(
            f"cannot reach {origin}: it wants a client certificate",
            hint=f"install -D client.cert client.key -t /etc/containers/certs.d/{origin.authority}",
        )
    if "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text or "RECORD_LAYER_FAILURE" in text:
        return Unreachable(f"cannot reach {origin}: the server does not speak TLS")
    is_temporary = "EOF" in text or "reset" in text
    return Unreachable(f"cannot reach {origin}: TLS failed: {_reason(causes)}", is_temporary=is_temporary)


def _reason(causes: list[BaseException]) -> str:
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return "the connection broke off"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it wraps, in each of the ways in which requests and urllib3 wrap."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        cause = pending.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        pending += [getattr(cause, "reason", None), *cause.args, cause.__cause__, cause.__context__]
