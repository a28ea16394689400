"""Docker's config.json, and podman's auth.json, as a value: whose credentials are for which registry.

docker's "config.json" reference and containers-auth.json(5). Fields that lstore does not know survive.
"""

import base64
import binascii
from collections.abc import Mapping

from layerstore.dataclass import dataclass, field
from layerstore.errors import InvalidDocument, UsageError
from layerstore.oci.document import Json, Object, child, dump, parse_object, string_map, text
from layerstore.oci.reference import DEFAULT_REGISTRY

MAX_CONFIG = 4 << 20
"""Bytes of a config.json that are read."""
HUB_KEY = "https://index.docker.io/v1/"
"""What docker calls Docker Hub in its configuration and to credential helpers."""
_HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io", DEFAULT_REGISTRY})


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name with a password, or an identity token (an OAuth 2 refresh token)."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization field in the Basic scheme. RFC 7617."""
        return f"Basic {_encode(f'{self.username}:{self.password}')}"


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """One configuration file."""

    document: Object = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, raw: bytes, path: str) -> "DockerConfig":
        """The file's content; an empty file is an empty configuration. Raises `InvalidDocument`, `LimitExceeded`."""
        return cls(parse_object(raw, path, limit=MAX_CONFIG) if raw.strip() else {})

    def dump(self) -> bytes:
        """The bytes to write."""
        return dump(dict(self.document)) + b"\n"

    def credential(self, registry: str, repository: str) -> Credential | None:
        """What is written here in clear for the most specific of registry/repository, its parents, registry.

        Raises `InvalidDocument`.
        """
        entries = {_normalise(key): value for key, value in child(self.document, "auths").items()}
        for name in _names(registry, repository):
            entry = entries.get(name)
            if isinstance(entry, Mapping):
                credential = _decode_entry(entry)
                if credential is not None:
                    return credential
        return None

    def helper(self, registry: str) -> tuple[str, str] | None:
        """The credential helper for `registry` and the server URL to name to it; None where there is none.

        Raises `InvalidDocument`.
        """
        for key, name in string_map(self.document, "credHelpers").items():
            if _normalise(key) == registry:
                return name, _server(registry, key)
        store = text(self.document, "credsStore")
        return (store, _server(registry, registry)) if store else None

    def with_credential(self, registry: str, credential: Credential | None) -> "DockerConfig":
        """The configuration with `credential` for `registry`; None leaves the mark that a helper has it.

        Raises `UsageError` for a user name that cannot be stored, `InvalidDocument`.
        """
        entry: dict[str, Json] = {}
        if credential is not None:
            if ":" in credential.username:
                raise UsageError("cannot store a user name with a colon in it")
            entry["auth"] = _encode(f"{credential.username}:{credential.password}")
            if credential.identity_token:
                entry["identitytoken"] = credential.identity_token
        kept = self._other_entries(registry)
        return DockerConfig({**self.document, "auths": {**kept, _server(registry, registry): entry}})

    def without(self, registry: str) -> "DockerConfig":
        """The configuration with nothing for `registry`. Raises `InvalidDocument`."""
        return DockerConfig({**self.document, "auths": self._other_entries(registry)})

    def has_entry(self, registry: str) -> bool:
        """Whether `registry` has an entry, be it only the mark of a helper. Raises `InvalidDocument`."""
        return any(_normalise(key) == registry for key in child(self.document, "auths"))

    def _other_entries(self, registry: str) -> dict[str, Json]:
        entries = child(self.document, "auths").items()
        return {key: value for key, value in entries if _normalise(key) != registry}


def _normalise(key: str) -> str:
    """The registry (or registry/repository) that a key of ``auths`` is for."""
    name = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _, rest = name.partition("/")
    if host in _HUB_NAMES:
        host = DEFAULT_REGISTRY
    return host if rest in ("", "v1", "v2") else f"{host}/{rest}"


def _server(registry: str, key: str) -> str:
    return HUB_KEY if registry == DEFAULT_REGISTRY else key


def _names(registry: str, repository: str) -> list[str]:
    parts = [registry, *(part for part in repository.split("/") if part)]
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _decode_entry(entry: Object) -> Credential | None:
    username, password = text(entry, "username"), text(entry, "password")
    encoded = text(entry, "auth")
    if encoded:
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise InvalidDocument("cannot read a stored credential: it is not base64 of text") from error
        username, colon, password = decoded.partition(":")
        if not colon:
            raise InvalidDocument("cannot read a stored credential: it has no colon")
        password = password.rstrip("\0")
    token = text(entry, "identitytoken")
    return Credential(username, password, token) if (username and password) or token else None


def _encode(plain: str) -> str:
    return base64.b64encode(plain.encode()).decode()
