"""The commands that are over soon, parsed without click: importing that takes longer than some of them do.

The tables of `flags` are the one definition of options; click reads them too. `parse` understands the plain
and correct spelling alone. Whatever else there is, from ``--help`` to a misspelt option, it leaves to click
before anything has happened, so that nobody can tell which of the two it was.
"""

from __future__ import annotations

from layerstore.value import Value
from lstore.cli.flags import GLOBAL_FLAGS, Given, global_defaults, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Protocol

    from lstore.cli.flags import Flag
    from lstore.cli.session import Session

    class Action(Protocol):
        """A module of ``lstore.cli.actions``: what a command does, whoever parsed it."""

        FLAGS: tuple[Flag, ...]
        LEAST: int
        MOST: int | None

        def act(self, session: Session, given: Given, words: Sequence[str]) -> int:
            """Do it to `words`, as `given` says; the exit status."""


_MIXED = ("build", "images", "ps", "pull", "rmi")
"""Those whose options may stand behind words too."""
VERBS = (*_MIXED, "exec", "run")
_COMPLETION = "_LSTORE_COMPLETE"  # click's own variable


class Plain(Value):
    """One invocation, understood: what the global options say, and the command with its options and words."""

    globals: Given
    action: Action
    given: Given
    words: tuple[str, ...]

    def act(self, session: Session) -> int:
        """Do it; the exit status."""
        return self.action.act(session, self.given, self.words)


class _Unusual(Exception):
    """Something that is for click to understand, or to complain about."""


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Plain | None:
    """What `arguments` ask for; None where click is to look at them."""
    if _COMPLETION in environment:
        return None
    try:
        outer = _Options(GLOBAL_FLAGS, global_defaults(environment))
        verb, *rest = outer.read(arguments) or [""]
        if verb not in VERBS:
            return None
        action: Action = __import__(f"lstore.cli.actions.{verb}", fromlist=("act",))
        inner = _Options(action.FLAGS, {})
        words = inner.read(rest)
    except _Unusual:
        return None
    if verb in _MIXED and any(word.startswith("-") for word in words):
        return None
    if len(words) < action.LEAST or (action.MOST is not None and len(words) > action.MOST):
        return None
    return Plain(Given(outer.values), action, Given(inner.values), tuple(words))


class _Options:
    """Values of options by name, as they are read."""

    def __init__(self, flags: Iterable[Flag], defaults: Mapping[str, str]) -> None:
        self.values: dict[str, object] = {}
        self._known: dict[str, tuple[Flag, bool]] = {}
        for flag in flags:
            self.values[flag.name] = flag.unset
            for spelling in flag.spellings:
                positive, _, negative = spelling.partition("/")
                self._known[positive] = (flag, True)
                if negative:
                    self._known[negative] = (flag, False)
        self.values.update(defaults)

    def read(self, arguments: Sequence[str]) -> Sequence[str]:
        """Take the options that `arguments` start with; what follows them. Raises `_Unusual`."""
        rest = list(arguments)
        while rest and rest[0].startswith("-") and rest[0] != "-":
            argument = rest.pop(0)
            if argument.startswith("--"):
                name, equals, value = argument.partition("=")
                self._take(name, value if equals else None, rest)
                continue
            for position, letter in enumerate(argument[1:], start=2):
                self._take(f"-{letter}", None, rest, is_last=position == len(argument))
        return rest

    def _take(self, name: str, value: str | None, rest: list[str], *, is_last: bool = True) -> None:
        if name not in self._known:
            raise _Unusual
        flag, is_on = self._known[name]
        if flag.kind == "switch":
            said = True if value is None else truth(value)
            if said is None:
                raise _Unusual
            self.values[flag.name] = is_on is said
            return
        if not is_last or (value is None and not rest):
            raise _Unusual
        self._set(flag, rest.pop(0) if value is None else value)

    def _set(self, flag: Flag, value: str) -> None:
        before = self.values[flag.name]
        if flag.kind == "list":
            self.values[flag.name] = (*before, value) if isinstance(before, tuple) else (value,)
        elif flag.kind == "number" and value.isascii() and value.isdigit():
            self.values[flag.name] = int(value)
        elif flag.kind == "text" and (not flag.choices or value in flag.choices):
            self.values[flag.name] = value
        else:
            raise _Unusual
