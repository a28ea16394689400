"""Writing text that others chose: no encoding kills the command, no escape sequence reaches a terminal."""

from __future__ import annotations

import os

from layerstore.errors import file_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, TextIO

    from layerstore.errors import StorageError

_CONTROLS = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
"""C0 without tab and newline, DEL, C1, and the marks that reorder what is shown (CVE-2021-42574)."""


def printable(text: str) -> str:
    r"""`text` with its control characters spelled out (``\x1b``), tabs and newlines left."""
    import re  # not for those who have nothing to say

    return re.sub(_CONTROLS, lambda match: match.group().encode("unicode_escape").decode(), text)


class Output:
    """Standard output or error, taking any string.

    Bytes that were no text (surrogates) leave as they came; characters that the stream's encoding lacks
    are spelled out; on a terminal, so are control characters.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()

    @property
    def text(self) -> TextIO:
        """The stream underneath, for what draws on a terminal."""
        return self._stream

    @property
    def binary(self) -> BinaryIO:
        """The stream underneath, for bytes."""
        return self._stream.buffer

    def line(self, text: str = "") -> None:
        """Write `text` and a newline."""
        self.write(text + "\n")

    def write(self, text: str) -> None:
        """Write `text`. Raises ``BrokenPipeError`` where nobody reads, `StorageError` for a full disk."""
        shown = printable(text) if self.is_terminal else text
        try:
            data = shown.encode(self._stream.encoding, "surrogateescape")
        except UnicodeEncodeError:
            data = shown.encode(self._stream.encoding, "backslashreplace")
        try:
            self._stream.buffer.write(data)
            if self.is_terminal:
                self._stream.buffer.flush()
        except OSError as error:
            raise self._refused(error) from error

    def flush(self) -> None:
        """Hand everything written to the operating system. Raises as `write` does."""
        try:
            self._stream.flush()
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> OSError | StorageError:
        """What to raise for `error`. The rest goes nowhere, or else the interpreter would fail at it once more."""
        if isinstance(error, BrokenPipeError):
            return error
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        return file_error(error, "write the output")
