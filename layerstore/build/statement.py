"""One instruction as it is written: keyword, flags, and the rest, which each instruction reads its own way."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from layerstore.build.heredoc import Heredoc
from layerstore.build.lexer import LogicalLine
from layerstore.build.source import Position, Source
from layerstore.build.suggestion import did_you_mean
from layerstore.build.words import Word, split_command
from layerstore.dataclass import dataclass
from layerstore.errors import DockerfileError

_BOOLEANS: Final = {"true": True, "false": False}


class Flag(NamedTuple):
    """``--name`` or ``--name=value``."""

    name: str
    value: str | None
    offset: int


@dataclass(frozen=True, slots=True)
class Statement:
    """An instruction in a file, or behind an ONBUILD."""

    source: Source
    line: LogicalLine
    escape: str
    keyword: Word
    """As written."""
    flags: tuple[Flag, ...]
    rest: Word

    @classmethod
    def parse(cls, source: Source, line: LogicalLine, escape: str, start: int = 0) -> "Statement":
        """The statement in `line` from the offset `start` on."""
        command = split_command(line.text, start)
        flags = tuple(_flag(word) for word in command.flags)
        return cls(source, line, escape, command.keyword, flags, command.rest)

    @property
    def name(self) -> str:
        """The keyword in upper case."""
        return self.keyword.text.upper()

    @property
    def position(self) -> Position:
        """Where it starts."""
        return self.line.position(self.keyword.offset)

    @property
    def heredocs(self) -> tuple[Heredoc, ...]:
        """What stands under it."""
        return self.line.heredocs

    @property
    def text(self) -> str:
        """The instruction in one line, as written, without heredocs."""
        return self.line.text[self.keyword.offset :].strip()

    def behind_keyword(self) -> "Statement":
        """The instruction that an ONBUILD holds."""
        return Statement.parse(self.source, self.line, self.escape, self.rest.offset)

    def error(self, problem: str, offset: int | None = None, *, hint: str | None = None) -> DockerfileError:
        """The error that says `problem` about this statement, or about the character at `offset` of its line."""
        place = self.position if offset is None else self.line.position(offset)
        return self.source.error(place, problem, hint=hint)


def _flag(word: Word) -> Flag:
    name, equals, value = word.text.removeprefix("--").partition("=")
    return Flag(name, value if equals else None, word.offset)


class Flags:
    """A statement's flags by name; what is unknown, doubled or without its value is refused at once."""

    def __init__(
        self, statement: Statement, known: Iterable[str] = (), *, repeatable: Iterable[str] = ()
    ) -> None:
        self._statement = statement
        self._given: dict[str, list[Flag]] = {}
        several = frozenset(repeatable)
        names = frozenset(known) | several
        for flag in statement.flags:
            if flag.name not in names:
                suggestion = did_you_mean(flag.name, names, sign="--")
                raise self._error(flag, f"unknown flag: --{flag.name}{suggestion}")
            if flag.name in self._given and flag.name not in several:
                raise self._error(flag, f"duplicate flag specified: --{flag.name}")
            self._given.setdefault(flag.name, []).append(flag)

    def text(self, name: str) -> str:
        """The flag's value, empty where it is not given."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of a flag that may be repeated."""
        return tuple(self._value(flag) for flag in self._given.get(name, ()))

    def boolean(self, name: str) -> bool | None:
        """A flag that needs no value; None where it is not given."""
        for flag in self._given.get(name, ()):
            value = "true" if flag.value is None else self._value(flag)
            if value.lower() not in _BOOLEANS:
                raise self._error(flag, f"expecting boolean value for flag --{name}, not: {value}")
            return _BOOLEANS[value.lower()]
        return None

    def offset(self, name: str, index: int = 0) -> int:
        """Where the flag, which is given, stands in the line."""
        return self._given[name][index].offset

    def _value(self, flag: Flag) -> str:
        if flag.value is None:
            raise self._error(flag, f"missing a value on flag: --{flag.name}")
        return flag.value

    def _error(self, flag: Flag, problem: str) -> DockerfileError:
        return self._statement.error(problem, flag.offset)
