"""Digests: what content is named by. OCI image-spec, descriptor.md, "Digests".

Only the registered algorithms sha256 and sha512 are accepted, in lower-case hexadecimal and at their
exact length, so that a `Digest` can enter a path or a URL as it stands (CVE-2024-3727).
"""

import hashlib
import re
from typing import Protocol

from layerstore.dataclass import dataclass
from layerstore.errors import InvalidDigest

_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+\Z")
SHORT_LENGTH = 12


class Hasher(Protocol):
    """What `Digest.new_hasher` gives: hashlib's update and hexdigest."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """``algorithm:encoded``, both valid."""

    algorithm: str
    encoded: str

    def __post_init__(self) -> None:
        length = _LENGTHS.get(self.algorithm)
        if length is None:
            raise InvalidDigest(f"unsupported digest algorithm {self.algorithm[:40]!r}")
        if len(self.encoded) != length or not _HEX.match(self.encoded):
            raise InvalidDigest(f"malformed {self.algorithm} digest {self.encoded[:80]!r}")

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """The digest that `text` spells. Raises `InvalidDigest`."""
        algorithm, separator, encoded = text.partition(":")
        if not separator:
            raise InvalidDigest(f"malformed digest {text[:80]!r}: no algorithm")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> "Digest":
        """The digest of `data`."""
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    def new_hasher(self) -> Hasher:
        """A fresh hasher of this digest's algorithm."""
        hasher: Hasher = hashlib.new(self.algorithm)
        return hasher

    @property
    def short(self) -> str:
        """The first 12 hexadecimal digits, as docker prints them."""
        return self.encoded[:SHORT_LENGTH]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"
