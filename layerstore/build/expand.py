"""Variables and quotes in one text of a Dockerfile, as BuildKit's shell lexer takes them.

``$v ${v}`` and the modifiers ``:- - :+ + :? ?`` (defaults), ``# ## % %%`` (trimming) and ``/ //``
(replacing); quotes and escapes go away. Which instructions expand what is `expand_instruction`'s.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from layerstore.build.shell_pattern import replace, trim_prefix, trim_suffix
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidInput, LimitExceeded

MAX_NESTING: Final = 50
"""``${a:-${b:-…}}`` inside each other."""
MAX_EXPANSION: Final = 1 << 20
"""Characters that variables may add to one text: ``ENV A=$A$A`` doubles every time it is said."""
_SPECIAL: Final = frozenset("@*#?-$!0")
"""POSIX's special parameters, XCU 2.5.2: always unset here."""
_NO_SPACE: Final = frozenset("\x1c\x1d\x1e\x1f")  # spaces to Python, not to Unicode and Go
_END: Final = ""


class Expansion(NamedTuple):
    """What a text became."""

    text: str
    words: tuple[str, ...]
    """`text` split at spaces that were not quoted, after expansion."""
    matched: frozenset[str]
    """Variables that were looked up and are set."""
    unmatched: frozenset[str]
    """Variables that were looked up and are not, by a text that does not say what is to be done then."""


@dataclass(frozen=True, slots=True)
class ShellLexer:
    """One way to read text. The defaults are an instruction's; heredocs need the others."""

    escape: str = "\\"
    keeps_quotes: bool = False
    keeps_escapes: bool = False
    ignores_quotes: bool = False
    keeps_unset: bool = False
    """Whether ``$v`` of an unset v stays as it is written."""

    def expand(self, text: str, variables: Mapping[str, str]) -> Expansion:
        """`text` with `variables` put in. Raises `InvalidInput` for bad syntax and for ``${v:?}``."""
        reader = _Reader(self, text, variables)
        try:
            result, words = reader.read_until(_END, keeps_escapes=self.keeps_escapes)
        except InvalidInput as error:
            raise InvalidInput(f"cannot expand {text[:120]!r}: {error.message}") from error
        return Expansion(result, tuple(words), frozenset(reader.matched), frozenset(reader.unmatched))


def is_space(char: str) -> bool:
    """Whether Unicode calls `char` white space."""
    return char.isspace() and char not in _NO_SPACE


class _Words:
    """The words of a text that is still being read."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._word: list[str] = []

    def add(self, text: str) -> None:
        """More text, in which spaces separate."""
        for char in text:
            if is_space(char):
                self._end()
            else:
                self._word.append(char)

    def add_quoted(self, text: str) -> None:
        """More text, in which they do not."""
        self._word.append(text)

    def finished(self) -> list[str]:
        self._end()
        return self._done

    def _end(self) -> None:
        if word := "".join(self._word):
            self._done.append(word)
        self._word.clear()


class _Reader:
    def __init__(self, lexer: ShellLexer, text: str, variables: Mapping[str, str]) -> None:
        self._lexer = lexer
        self._text = text
        self._at = 0
        self._depth = 0
        self._variables = variables
        self._left = MAX_EXPANSION
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        self._at += len(char)
        return char

    def read_until(self, stop: str, *, keeps_escapes: bool) -> tuple[str, list[str]]:
        """The expanded text up to the character `stop`, which is taken, or to the end."""
        result: list[str] = []
        words = _Words()
        while char := self._peek():
            if stop and char == stop:
                self._next()
                return "".join(result), words.finished()
            if char == "$":
                result.append(self._dollar(keeps_escapes=keeps_escapes))
                words.add(result[-1])
            elif char in "'\"" and not self._lexer.ignores_quotes:
                result.append(self._quoted(char, keeps_escapes=keeps_escapes))
                words.add_quoted(result[-1])
            elif self._next() == self._lexer.escape:
                result.append((char if keeps_escapes else "") + self._next())
                words.add_quoted(result[-1])
            else:
                result.append(char)
                words.add(char)
        if stop:
            raise InvalidInput(f"unexpected end of statement while looking for matching {stop}")
        return "".join(result), words.finished()

    def _quoted(self, quote: str, *, keeps_escapes: bool) -> str:
        self._next()
        inside = self._single() if quote == "'" else self._double(keeps_escapes=keeps_escapes)
        return f"{quote}{inside}{quote}" if self._lexer.keeps_quotes else inside

    def _single(self) -> str:
        end = self._text.find("'", self._at)
        if end < 0:
            self._at = len(self._text)
            raise InvalidInput("unexpected end of statement while looking for matching single-quote")
        inside = self._text[self._at : end]
        self._at = end + 1
        return inside

    def _double(self, *, keeps_escapes: bool) -> str:
        result: list[str] = []
        escape = self._lexer.escape
        while char := self._peek():
            if char == '"':
                self._next()
                return "".join(result)
            if char == "$":
                result.append(self._dollar(keeps_escapes=keeps_escapes))
                continue
            self._next()
            if char == escape:
                following = self._peek()
                if keeps_escapes:
                    result.append(char)
                if not following:
                    continue
                if following in ('"', "$", escape):  # all others are no escapes, sh(1)
                    char = self._next()
            result.append(char)
        raise InvalidInput("unexpected end of statement while looking for matching double-quote")

    def _dollar(self, *, keeps_escapes: bool) -> str:
        self._next()
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            return value if value is not None else self._unset(f"${name}")
        self._next()
        if not self._peek():
            raise InvalidInput("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise InvalidInput("syntax error: bad substitution")
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise InvalidInput(f"more than {MAX_NESTING} substitutions inside each other")
        result = self._braced(self._name())
        self._depth -= 1
        return result

    def _unset(self, written: str) -> str:
        return written if self._lexer.keeps_unset else ""

    def _braced(self, name: str) -> str:
        """What ``${name…`` stands for, from behind the name on."""
        modifier = self._next()
        if not modifier:
            raise InvalidInput("syntax error: missing '}'")
        if modifier == "}":
            value = self._value(name)
            return value if value is not None else self._unset(f"${{{name}}}")
        if modifier == "/":
            return self._replaced(name)
        counts_empty = modifier == ":"
        kind = self._next() if counts_empty else modifier
        if not kind or kind not in "+-?#%":
            written = modifier + kind if counts_empty else modifier
            raise InvalidInput(f"unsupported modifier ({written}) in substitution")
        word = self._operand("}", keeps_escapes=kind in "#%")
        value = self._variables.get(name) if kind in "+-?" else self._value(name)
        if value is None and self._lexer.keeps_unset:
            return f"${{{name}{':' if counts_empty else ''}{kind}{word}}}"
        if kind in "#%":
            return _trimmed(kind, word, value or "")
        if value is not None:
            self.matched.add(name)
            self._spend(value)
        is_missing = value is None or (counts_empty and not value)
        return self._defaulted(kind, name, word, value or "", is_missing=is_missing)

    def _defaulted(self, kind: str, name: str, word: str, value: str, *, is_missing: bool) -> str:
        if kind == "-":
            return word if is_missing else value
        if kind == "+":
            return "" if is_missing else word
        if is_missing:
            state = "empty" if name in self._variables else "unset"
            raise InvalidInput(f"{name}: {word or f'is not allowed to be {state}'}")
        return value

    def _replaced(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._next()
        pattern = self._operand("/", keeps_escapes=True)
        replacement = self._operand("}", keeps_escapes=True)
        value = self._value(name)
        if value is None and self._lexer.keeps_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        return replace(pattern, value or "", replacement, everywhere=everywhere)

    def _operand(self, stop: str, *, keeps_escapes: bool) -> str:
        try:
            return self.read_until(stop, keeps_escapes=keeps_escapes)[0]
        except InvalidInput as error:
            if self._peek():
                raise
            missing = "'}'" if stop == "}" else "'/' in ${}"
            raise InvalidInput(f"syntax error: missing {missing}") from error

    def _name(self) -> str:
        first = self._peek()
        if first.isdecimal():
            return self._take(str.isdecimal)
        if first and first in _SPECIAL:
            return self._next()
        return self._take(_is_name)

    def _take(self, belongs: Callable[[str], bool]) -> str:
        start = self._at
        while (char := self._peek()) and belongs(char):
            self._next()
        return self._text[start : self._at]

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        if value is None:
            self.unmatched.add(name)
            return None
        self.matched.add(name)
        self._spend(value)
        return value

    def _spend(self, value: str) -> None:
        self._left -= len(value)
        if self._left < 0:
            raise LimitExceeded(f"cannot expand variables to more than {MAX_EXPANSION} characters")


def _is_name(char: str) -> bool:
    return char.isalpha() or char.isdecimal() or char == "_"


def _trimmed(kind: str, word: str, value: str) -> str:
    longest = word.startswith(kind)
    pattern = word[1:] if longest else word
    return (trim_suffix if kind == "%" else trim_prefix)(pattern, value, longest=longest)
