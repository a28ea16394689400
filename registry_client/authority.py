"""What is known of who asks for what: challenges, credentials and tokens, shared by all threads."""

import threading
from collections.abc import Callable

from layerstore.dataclass import dataclass, field
from registry_client.challenge import Challenge
from registry_client.credentials import Credentials
from registry_client.docker_config import Credential
from registry_client.origin import Origin
from registry_client.scope import Access

_MARGIN = 5.0
"""Seconds before its end at which a token is not used any more; at most a tenth of its life."""


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and when it ends, in seconds since 1970."""

    value: str = field(repr=False)
    expires_at: float

    @classmethod
    def lasting(cls, value: str, lifetime: float, now: float) -> "Token":
        """A token just issued, for `lifetime` seconds."""
        return cls(value, now + lifetime - min(_MARGIN, lifetime / 10))


class Authority:
    """The memory of one client. A token never leaves the origin that it was issued for."""

    def __init__(self, credentials: Credentials, now: Callable[[], float]) -> None:
        self._credentials = credentials
        self.now = now
        self._lock = threading.Lock()
        self._challenges: dict[Origin, Challenge] = {}
        self._tokens: dict[tuple[Origin, Access], Token] = {}
        self._found: dict[tuple[str, str], Credential | None] = {}

    def credential(self, access: Access) -> Credential | None:
        """Who we are there: looked up once, and only once somebody asked."""
        key = (access.registry, access.repository)
        with self._lock:
            if key in self._found:
                return self._found[key]
        found = self._credentials.credential(access.registry, access.repository)  # may run a helper: unlocked
        with self._lock:
            return self._found.setdefault(key, found)

    def challenge(self, origin: Origin) -> Challenge | None:
        """What `origin` asked for last."""
        with self._lock:
            return self._challenges.get(origin)

    def learn(self, origin: Origin, challenge: Challenge) -> None:
        """`origin` asks for this."""
        with self._lock:
            self._challenges[origin] = challenge

    def token(self, origin: Origin, access: Access) -> str | None:
        """A token for `access` at `origin` that has not ended yet."""
        with self._lock:
            token = self._tokens.get((origin, access))
        return token.value if token is not None and self.now() < token.expires_at else None

    def keep(self, origin: Origin, access: Access, token: Token) -> None:
        """Remember a token that the server for `origin` issued."""
        with self._lock:
            self._tokens[origin, access] = token

    def reject(self, origin: Origin, access: Access, value: str | None) -> None:
        """Forget the token `value`, which was refused; a newer one of another thread stays."""
        with self._lock:
            token = self._tokens.get((origin, access))
            if token is not None and token.value == value:
                del self._tokens[origin, access]
