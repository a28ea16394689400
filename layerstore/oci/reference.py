"""References: how people name images. Stage "reference" of docs/flow.md.

Grammar and normalisation are docker's (distribution ``reference``): ``debian`` means
``docker.io/library/debian:latest``. The first path component is a registry host only if it holds a
dot, a colon or brackets, is ``localhost``, or has upper-case letters.
"""

import re

from layerstore.dataclass import dataclass, replace
from layerstore.errors import InvalidReference
from layerstore.oci.digest import Digest

DEFAULT_REGISTRY = "docker.io"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"
MAX_LENGTH = 255
"""Characters in registry/repository, as docker bounds it."""
MAX_PORT = 65535

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?\Z")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_HEX_IMAGE_ID = re.compile(r"[0-9a-f]{64}\Z")
_HUB_ALIASES = frozenset({"index.docker.io", "registry-1.docker.io", "docker.io"})


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """registry/repository[:tag][@digest], normalised; at least one of tag and digest is there."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """The image that `text` names, ``:latest`` where it says neither tag nor digest.

        Raises `InvalidReference`, or `InvalidDigest` for a malformed digest.
        """
        reference = cls._parse_name(text)
        if reference.tag is None and reference.digest is None:
            return replace(reference, tag=DEFAULT_TAG)
        return reference

    @classmethod
    def parse_repository(cls, text: str) -> "Reference":
        """The repository that `text` names, which must say neither tag nor digest.

        Raises `InvalidReference`, or `InvalidDigest` for a malformed digest.
        """
        reference = cls._parse_name(text)
        if reference.tag is not None or reference.digest is not None:
            raise InvalidReference(f"{text!r} names one image, where a repository is wanted")
        return reference

    @classmethod
    def _parse_name(cls, text: str) -> "Reference":
        name, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        slash = name.rfind("/")
        colon = name.rfind(":")
        tag = None
        if colon > slash:
            name, tag = name[:colon], name[colon + 1 :]
            if not _TAG.match(tag):
                raise InvalidReference(f"invalid tag {tag[:80]!r} in image reference {text[:300]!r}")
        registry, repository = _split_registry(name)
        _check(text, registry, repository)
        return cls(registry, repository, tag, digest)

    def with_tag(self, tag: str) -> "Reference":
        """The same repository at `tag`, without a digest. Raises `InvalidReference`."""
        if not _TAG.match(tag):
            raise InvalidReference(f"invalid tag {tag[:80]!r}")
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: Digest) -> "Reference":
        """The same repository at `digest`, without a tag."""
        return replace(self, tag=None, digest=digest)

    @property
    def name(self) -> str:
        """registry/repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar_name(self) -> str:
        """The name as docker prints it: Docker Hub and its ``library/`` go unsaid."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        prefix = f"{DEFAULT_NAMESPACE}/"
        short = self.repository.removeprefix(prefix)
        return self.repository if "/" in short else short

    @property
    def familiar(self) -> str:
        """`familiar_name` with tag and digest."""
        return self.familiar_name + self._suffix

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag."""
        return str(self.digest) if self.digest is not None else (self.tag or DEFAULT_TAG)

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    is_host = slash and (
        any(mark in first for mark in ".:[") or first == "localhost" or first != first.lower()
    )
    if not is_host:
        registry, repository = DEFAULT_REGISTRY, name
    else:
        registry, repository = first, rest
    if registry in _HUB_ALIASES:
        registry = DEFAULT_REGISTRY
        if "/" not in repository:
            repository = f"{DEFAULT_NAMESPACE}/{repository}"
    return registry, repository


def _check(text: str, registry: str, repository: str) -> None:
    shown = repr(text[:300])
    if not repository or not all(_COMPONENT.match(part) for part in repository.split("/")):
        if repository != repository.lower():
            raise InvalidReference(f"invalid image reference {shown}: a repository name must be lower case")
        raise InvalidReference(f"invalid image reference {shown}")
    if not _REGISTRY.match(registry) or not _is_reachable(registry):
        raise InvalidReference(f"invalid image reference {shown}: bad registry host")
    if len(registry) + 1 + len(repository) > MAX_LENGTH:
        raise InvalidReference(f"invalid image reference {shown}: longer than {MAX_LENGTH} characters")
    if _HEX_IMAGE_ID.match(text):
        raise InvalidReference(f"invalid repository name {shown}: 64 hexadecimal digits would be an image ID")


def _is_reachable(registry: str) -> bool:
    """Whether port and address, where there are any, are numbers that a connection could be made to."""
    address, bracket, port = registry.rpartition("]")
    if not bracket:
        address, _, port = registry.partition(":")
    if int(port.lstrip(":") or 0) > MAX_PORT:
        return False
    return not bracket or _is_ipv6(address.removeprefix("["))


def _is_ipv6(address: str) -> bool:
    from ipaddress import AddressValueError, IPv6Address  # noqa: PLC0415  # such registries are rare

    try:
        IPv6Address(address)
    except AddressValueError:
        return False
    return True
