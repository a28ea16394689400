"""Requests and responses as values, and the protocol of whatever carries them."""

from collections.abc import Iterable, Mapping
from typing import Protocol, Self

from layerstore.content import Opener
from layerstore.dataclass import dataclass, field, replace
from layerstore.errors import LimitExceeded

_READ = 1 << 16


class Headers:
    """A response's header fields: names in any case, a name perhaps more than once."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple((name.lower(), value) for name, value in fields)

    def get(self, name: str) -> str | None:
        """The first value of `name`, without blanks around it."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[str]:
        """Every value of `name` in order."""
        wanted = name.lower()
        return [value.strip() for key, value in self._fields if key == wanted]

    def natural(self, name: str) -> int | None:
        """The non-negative number in `name`; None where it is absent or anything else."""
        value = self.get(name)
        is_number = value is not None and value.isascii() and value.isdigit() and len(value) < 20
        return int(value) if value is not None and is_number else None

    def __repr__(self) -> str:
        return f"Headers({[name for name, _ in self._fields]})"  # values may be secrets


@dataclass(frozen=True, slots=True)
class Upload:
    """A request body of `length` bytes, streamed from byte `offset` of some content; it can be opened again."""

    opener: Opener
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header values and form bodies may be secrets, so they stay out of `repr`."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | Upload = field(default=b"", repr=False)
    is_kept_public: bool = False
    """Refuse to connect to this machine or its link, whatever a name resolves to."""

    def with_header(self, name: str, value: str | None) -> "Request":
        """The same with the header `name` set, or left out where `value` is None."""
        kept = {key: each for key, each in self.headers.items() if key.lower() != name.lower()}
        return replace(self, headers=kept if value is None else {**kept, name: value})


class Body(Protocol):
    """A response's bytes, in transit."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, empty at the end. Raises `Unreachable` where the connection breaks off."""
        ...

    def close(self) -> None:
        """Let the connection go."""
        ...


@dataclass(frozen=True, slots=True)
class Response:
    """An answer whose body is still on the wire. Close it, or read it to its end."""

    status: int
    headers: Headers
    url: str
    body: Body = field(repr=False)

    def read_all(self, limit: int, what: str) -> bytes:
        """The whole body; `what` names it in errors. Raises `LimitExceeded` past `limit` bytes."""
        pieces: list[bytes] = []
        total = 0
        while data := self.body.read(min(_READ, limit - total + 1)):
            total += len(data)
            if total > limit:
                raise LimitExceeded(f"{what} is longer than {limit} bytes")
            pieces.append(data)
        return b"".join(pieces)

    def close(self) -> None:
        """Let the connection go."""
        self.body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Transport(Protocol):
    """Carries one request to its server: no redirect followed, nothing retried, no credential added."""

    def send(self, request: Request) -> Response:
        """The server's answer, whatever its status. Raises `Unreachable`, or `RegistryError` for good."""
        ...

    def close(self) -> None:
        """Let all connections go."""
        ...
