"""Heredocs: ``<<NAME``, ``<<-NAME`` and ``<<"NAME"`` in RUN, COPY and ADD, also behind ONBUILD."""

import re
from typing import Final

from layerstore.build.expand import ShellLexer
from layerstore.build.words import exec_form, split_command
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidInput

_MARKER: Final = re.compile(r"(\d*)<<(-?)([^<]*)\Z")
_TABS: Final = re.compile(r"^\t+", re.MULTILINE)
_TAKERS: Final = frozenset({"RUN", "COPY", "ADD"})
_QUOTES: Final = "'\""
# A marker is read with a backslash as escape, whatever the directive says.
_LINE: Final = ShellLexer(keeps_quotes=True, keeps_escapes=True, keeps_unset=True)
_BARE: Final = ShellLexer(keeps_unset=True)
_RAW: Final = ShellLexer(keeps_quotes=True, keeps_unset=True)


@dataclass(frozen=True, slots=True)
class Heredoc:
    """One marker, and later what stands under it."""

    name: str
    expands: bool
    """Whether variables in the content are put in: so unless some of the name is quoted."""
    strips_tabs: bool
    content: str = ""
    """As written, line ends included; tabs still there."""

    @property
    def text(self) -> str:
        """The content that is meant: without leading tabs for ``<<-``."""
        return _TABS.sub("", self.content) if self.strips_tabs else self.content


def parse_marker(word: str) -> Heredoc | None:
    """The heredoc that `word` announces, if it does."""
    match = _MARKER.match(word)
    if match is None or not match[3]:
        return None
    try:
        bare, raw = _BARE.expand(match[3], {}).words, _RAW.expand(match[3], {}).words
    except InvalidInput:
        return None
    if len(bare) != 1 or len(raw) != 1:
        return None
    return Heredoc(bare[0], _quotes(bare[0]) == _quotes(raw[0]), bool(match[2]))


def markers(line: str) -> tuple[Heredoc, ...]:
    """The heredocs that a whole logical line announces, in order."""
    if "<<" not in line or not _takes_heredocs(line):
        return ()
    try:
        words = _LINE.expand(line, {}).words
    except InvalidInput:
        return ()
    return tuple(found for word in words if (found := parse_marker(word)) is not None)


def _takes_heredocs(line: str) -> bool:
    command = split_command(line)
    if command.keyword.text.upper() == "ONBUILD":
        command = split_command(command.rest.text)
    if command.keyword.text.upper() not in _TAKERS:
        return False
    try:
        return exec_form(command.rest.text) is None
    except InvalidInput:
        return False


def _quotes(text: str) -> int:
    return sum(text.count(quote) for quote in _QUOTES)
