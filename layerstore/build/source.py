"""The text of a Dockerfile, and places in it."""

import re
from typing import Final, NamedTuple

from layerstore.dataclass import dataclass
from layerstore.errors import DockerfileError, LimitExceeded

MAX_DOCKERFILE: Final = 1 << 20
"""Bytes of one Dockerfile: a thousand times what people write."""
_BOM: Final = b"\xef\xbb\xbf"
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")


class Position(NamedTuple):
    """A character of a text, both numbers from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Source:
    """A Dockerfile's text. Bytes that are no UTF-8 stay in it as lone surrogates, for `error` to point at."""

    name: str
    """What messages call it: ``Dockerfile``, or where an ONBUILD trigger comes from."""
    lines: tuple[str, ...]
    """With their ends; a line ends in a line feed alone."""

    @classmethod
    def parse(cls, raw: bytes, name: str = "Dockerfile") -> "Source":
        """The text that `raw` spells, without a byte order mark. Raises `LimitExceeded`."""
        if len(raw) > MAX_DOCKERFILE:
            raise LimitExceeded(f"{name} has {len(raw)} bytes, over the limit of {MAX_DOCKERFILE}")
        text = raw.removeprefix(_BOM).decode("utf-8", "surrogateescape")
        return cls(name, tuple(_LINE.findall(text)))

    def error(self, position: Position, problem: str, *, hint: str | None = None) -> DockerfileError:
        """The error that says `problem` about what stands at `position`."""
        line = self.lines[position.line - 1] if position.line <= len(self.lines) else ""
        shown = line.rstrip("\r\n").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return DockerfileError(
            problem, file=self.name, line=position.line, column=position.column, text=shown, hint=hint
        )
