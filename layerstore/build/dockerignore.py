"""What a ``.dockerignore`` leaves out of a build context, by moby's patternmatcher to the letter.

The last pattern that matches a path, or a directory above it, decides; ``!`` lets in again. A pattern that
lets in is only asked about what is out, and the other way round.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from layerstore.build.path_pattern import is_pattern, translate
from layerstore.build.paths import clean
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidInput, LimitExceeded

MAX_PATTERNS: Final = 10_000
_BOM: Final = b"\xef\xbb\xbf"

Matches = tuple[bool, ...]
"""For each pattern whether it has matched a directory, as its entries want to know."""


class Pattern(NamedTuple):
    """One line."""

    text: str
    lets_in: bool
    regex: re.Pattern[str]


def parse_patterns(raw: bytes) -> tuple[str, ...]:
    """The patterns of an ignore file, cleaned; comments and empty lines are left out."""
    lines = raw.removeprefix(_BOM).decode("utf-8", "surrogateescape").split("\n")
    patterns = (line.strip() for line in lines if not line.startswith("#"))
    return tuple(_cleaned(pattern) for pattern in patterns if pattern)


def _cleaned(pattern: str) -> str:
    mark = "!" if pattern.startswith("!") else ""
    body = pattern.removeprefix("!").strip()
    if not body:
        return mark
    body = clean(body)
    return mark + (body[1:] if body.startswith("/") and len(body) > 1 else body)


@dataclass(frozen=True, slots=True)
class IgnoreMatcher:
    """Patterns, ready to be asked. Paths are relative to the context, with slashes."""

    patterns: tuple[Pattern, ...] = ()
    together: re.Pattern[str] | None = None
    """All of them at once, where none lets in: then their order does not matter."""

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "IgnoreMatcher":
        """The matcher of some patterns, of an ignore file or of ``--exclude``. Raises `InvalidInput`."""
        compiled = tuple(_compiled(text.strip()) for text in patterns if text.strip())
        if len(compiled) > MAX_PATTERNS:
            raise LimitExceeded(f"more than {MAX_PATTERNS} ignore patterns")
        if not compiled or any(pattern.lets_in for pattern in compiled):
            return cls(compiled)
        expression = "|".join(f"(?:{pattern.regex.pattern})" for pattern in compiled)
        return cls(compiled, re.compile(expression, re.DOTALL))

    @classmethod
    def parse(cls, raw: bytes) -> "IgnoreMatcher":
        """The matcher of an ignore file's bytes. Raises `InvalidInput`."""
        return cls.of(parse_patterns(raw))

    def excludes(self, path: str) -> bool:
        """Whether `path` is left out, by itself or with a directory above it; the root never is."""
        parts = [part for part in clean(path).split("/") if part not in ("", ".")]
        is_out = False
        matches: Matches = ()
        for count in range(1, len(parts) + 1):
            is_out, matches = self.decide("/".join(parts[:count]), matches)
            if is_out and self.together is not None:
                return True
        return is_out

    def decide(self, path: str, above: Matches) -> tuple[bool, Matches]:
        """Whether `path` is left out; `above` is what this gave for its directory, ``()`` at the root."""
        if self.together is not None:
            return self.together.fullmatch(path) is not None, ()
        is_out = False
        matches: list[bool] = []
        for index, pattern in enumerate(self.patterns):
            matched = bool(above) and above[index]
            if not matched and pattern.lets_in == is_out:
                matched = pattern.regex.fullmatch(path) is not None
            matches.append(matched)
            if matched:
                is_out = not pattern.lets_in
        return is_out, tuple(matches)

    def may_let_in_below(self, directory: str) -> bool:
        """Whether something below `directory`, which is left out, may be let in again."""
        return any(pattern.lets_in and _may_match_below(pattern.text, directory) for pattern in self.patterns)


def _may_match_below(pattern: str, directory: str) -> bool:
    """Whether `pattern` could match below `directory`, going by what it has before its first wildcard."""
    literal: list[str] = []
    for part in pattern.split("/"):
        if is_pattern(part):
            break
        literal.append(part)
    depth = directory.count("/") + 1
    shared = min(len(literal), depth)
    return literal[:shared] == directory.split("/")[:shared]


def _compiled(text: str) -> Pattern:
    text = clean(text)
    lets_in = text.startswith("!")
    body = text.removeprefix("!")
    if not body:
        raise InvalidInput('illegal exclusion pattern: "!"')
    return Pattern(body, lets_in, re.compile(translate(body), re.DOTALL))


NOTHING: Final = IgnoreMatcher()
"""Leaves nothing out."""


def ignore_file_names(dockerfile: str) -> Sequence[str]:
    """Where patterns are looked for, first found first taken: ``NAME.dockerignore`` has precedence."""
    return (f"{dockerfile}.dockerignore", ".dockerignore")
