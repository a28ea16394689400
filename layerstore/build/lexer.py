"""Lines into logical lines: directives, comments, continuations and heredocs, as BuildKit's parser has them."""

import re
from bisect import bisect_right
from typing import Final

from layerstore.build.heredoc import Heredoc, markers
from layerstore.build.source import Position, Source
from layerstore.dataclass import dataclass, replace

MAX_HEREDOCS: Final = 1000
"""Of one instruction."""
_DIRECTIVE: Final = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+)\Z")
_DIRECTIVES: Final = frozenset({"escape", "syntax", "check"})
_CONTINUED: Final = {
    "\\": re.compile(r"(?:(?<=[^\\])|^)\\[ \t]*\Z"),
    "`": re.compile(r"(?:(?<=[^`])|^)`[ \t]*\Z"),
}

Starts = tuple[tuple[int, Position], ...]
"""Where in a logical line's text each piece of it begins, and where that is in the file."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One ``# name=value`` at the top of the file. `name` is lower case."""

    name: str
    value: str
    position: Position


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """An instruction's line, with its continuations joined and comments inside it gone."""

    text: str
    starts: Starts
    end: int
    """Number of the last line, heredocs included."""
    comments: tuple[str, ...]
    """Texts of the comments right above."""
    empty_continuation: Position | None = None
    heredocs: tuple[Heredoc, ...] = ()

    def position(self, offset: int) -> Position:
        """Where the character of `text` at `offset` is in the file."""
        return _place(self.starts, offset)


@dataclass(frozen=True, slots=True)
class LexedFile:
    """A file in logical lines."""

    source: Source
    escape: str
    directives: tuple[Directive, ...]
    lines: tuple[LogicalLine, ...]

    def directive(self, name: str) -> Directive | None:
        """The directive of that name."""
        return next((each for each in self.directives if each.name == name), None)


def lex(source: Source) -> LexedFile:
    """The logical lines of `source`, none of them empty.

    Raises `DockerfileError` for doubled or wrong directives, continuations of nothing, heredocs without end,
    and text that is no UTF-8 or holds a NUL outside comments.
    """
    lexer = _Lexer(source)
    lines = tuple(lexer.logical_lines())
    return LexedFile(source, lexer.escape, tuple(lexer.directives.values()), lines)


class _Lexer:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.escape = "\\"
        self.directives: dict[str, Directive] = {}
        self._awaits_directives = True
        self._next = 0

    def logical_lines(self) -> list[LogicalLine]:
        result: list[LogicalLine] = []
        comments: list[str] = []
        while self._next < len(self.source.lines):
            line = self._take()
            if self._is_directive(line):
                continue
            stripped = line.lstrip()
            if stripped.startswith("#"):
                comment = stripped[1:].strip()
                comments = [*comments, comment] if comment else []
            elif not stripped:
                comments = []
            else:
                result.append(self._logical_line(line, tuple(comments)))
                comments = []
        return result

    def _take(self) -> str:
        self._next += 1
        return self.source.lines[self._next - 1].rstrip("\r\n")

    def _is_directive(self, line: str) -> bool:
        """Whether `line`, the one just taken, is one; it is remembered then."""
        if not self._awaits_directives:
            return False
        indent = len(line) - len(line.lstrip())
        match = _DIRECTIVE.match(line.rstrip(), indent)
        if match is None or (name := match[1].lower()) not in _DIRECTIVES:
            self._awaits_directives = False
            return False
        position = Position(self._next, indent + 1)
        if name in self.directives:
            raise self.source.error(position, f"only one {name} parser directive can be used")
        if name == "escape":
            if match[2] not in _CONTINUED:
                at = Position(self._next, match.start(2) + 1)
                raise self.source.error(at, f"invalid escape token '{match[2]}' does not match ` or \\")
            self.escape = match[2]
        self.directives[name] = Directive(name, match[2], position)
        return True

    def _logical_line(self, first: str, comments: tuple[str, ...]) -> LogicalLine:
        """The logical line that starts with `first`, which has been taken."""
        column = len(first) - len(first.lstrip()) + 1
        piece, is_continued = self._uncontinued(first.lstrip())
        starts = [(0, Position(self._next, column))]
        text, empty = piece, None
        while is_continued and self._next < len(self.source.lines):
            line = self._take()
            stripped = line.lstrip()
            if not stripped:
                empty = empty or Position(self._next, 1)
            elif not stripped.startswith("#"):
                piece, is_continued = self._uncontinued(line)
                starts.append((len(text), Position(self._next, 1)))
                text += piece
        if not text.strip():
            raise self.source.error(starts[0][1], "a line is continued, but no instruction follows")
        self._check_text(text, tuple(starts))
        logical = LogicalLine(text, tuple(starts), self._next, comments, empty)
        heredocs = self._heredocs(logical)
        return replace(logical, heredocs=heredocs, end=self._next)

    def _uncontinued(self, line: str) -> tuple[str, bool]:
        """`line` without its continuation mark, and whether it had one."""
        match = _CONTINUED[self.escape].search(line)
        return (line, False) if match is None else (line[: match.start()], True)

    def _heredocs(self, line: LogicalLine) -> tuple[Heredoc, ...]:
        announced = markers(line.text)
        if len(announced) > MAX_HEREDOCS:
            raise self.source.error(line.position(0), f"more than {MAX_HEREDOCS} heredocs in one instruction")
        return tuple(self._heredoc(each, line.position(0)) for each in announced)

    def _heredoc(self, announced: Heredoc, position: Position) -> Heredoc:
        first = self._next
        while self._next < len(self.source.lines):
            line = self._take()
            if announced.strips_tabs:
                line = line.lstrip("\t")
            if line == announced.name:
                body = self.source.lines[first : self._next - 1]
                for number, each in enumerate(body, first + 1):
                    self._check_text(each, ((0, Position(number, 1)),))
                return replace(announced, content="".join(body))
        raise self.source.error(position, f"unterminated heredoc: no line {announced.name!r} follows")

    def _check_text(self, text: str, starts: Starts) -> None:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise self.source.error(_place(starts, error.start), "a byte that is not UTF-8") from error
        if "\0" in text:
            raise self.source.error(_place(starts, text.index("\0")), "a NUL character")


def _place(starts: Starts, offset: int) -> Position:
    index = bisect_right(starts, offset, key=lambda start: start[0]) - 1
    start, place = starts[max(index, 0)]
    return Position(place.line, place.column + max(offset - start, 0))
