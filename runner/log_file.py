"""What a container wrote, as lines of JSON with stream and time: docker's format "json-file", rotated and bounded.

A line that is longer than `MAX_LINE` comes in pieces; only the last one ends in a newline.
"""

from __future__ import annotations

import os
from _json import encode_basestring  # json itself costs each monitor 4 ms and 0.7 MB, for `re`

from layerstore.disk.publish import move
from runner.container import NO_LOG, now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.container import ContainerConfig

MAX_LINE = 16 << 10
NAME = "log"
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


def log_path(directory: str, age: int = 0) -> str:
    """The log file of a container's `directory`; the larger `age`, the older."""
    return os.path.join(directory, f"{NAME}.{age}" if age else NAME)


class NoLog:
    """In the place of a log, where none is to be kept."""

    def write(self, _stream: str, _data: bytes) -> None:
        """Keep nothing."""

    def finish(self) -> None:
        """As `write`."""

    def close(self) -> None:
        """As `write`."""


class LogFile:
    """The log of one container, appended to.

    A log that cannot be written (a full disk) loses lines, and never stops the container.
    """

    def __init__(self, directory: str, *, max_size: int, max_files: int) -> None:
        self._directory = directory
        self._max_size = max_size
        self._max_files = max_files
        self._rests: dict[str, bytes] = {}
        self._open()

    def write(self, stream: str, data: bytes) -> None:
        """Append what came on `stream`, "stdout" or "stderr"; a line that has not ended waits for its end."""
        *lines, rest = (self._rests.get(stream, b"") + data).split(b"\n")
        moment = now()
        records = [record for line in lines for record in _records(stream, line + b"\n", moment)]
        while len(rest) >= MAX_LINE:
            records.append(_record(stream, rest[:MAX_LINE], moment))
            rest = rest[MAX_LINE:]
        self._rests[stream] = rest
        self._append(records)

    def finish(self) -> None:
        """Append lines that will not end any more."""
        moment = now()
        records = [_record(stream, rest, moment) for stream, rest in self._rests.items() if rest]
        self._rests.clear()
        self._append(records)

    def close(self) -> None:
        """Close the file. The log is not to be used any more."""
        os.close(self._fd)

    def _open(self) -> None:
        self._fd = os.open(log_path(self._directory), _FLAGS, 0o640)
        self._size = os.fstat(self._fd).st_size

    def _append(self, records: list[bytes]) -> None:
        """Write what fits in the present file at once, and the rest into new ones."""
        batch: list[bytes] = []
        size = self._size
        try:
            for record in records:
                if size and size + len(record) > self._max_size:
                    self._write(b"".join(batch))
                    self._rotate()
                    batch, size = [], 0
                batch.append(record)
                size += len(record)
            self._write(b"".join(batch))
        except OSError:
            return

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._size += len(data)

    def _rotate(self) -> None:
        """The new file comes first: where there is no room for one, all stays as it is."""
        new = f"{log_path(self._directory)}.new"
        fd = os.open(new, _FLAGS | os.O_TRUNC, 0o640)
        last = self._max_files - 1
        for age in range(last, 0, -1):
            source = log_path(self._directory, age - 1)
            if os.path.lexists(source):
                move(source, log_path(self._directory, age))
        move(new, log_path(self._directory))
        os.close(self._fd)
        self._fd, self._size = fd, 0


def log_of(directory: str, config: ContainerConfig) -> LogFile | NoLog:
    """The log of the container in `directory`, as it was asked for."""
    if config.log_driver == NO_LOG:
        return NoLog()
    return LogFile(directory, max_size=config.log_size, max_files=config.log_files)


def _records(stream: str, line: bytes, moment: str) -> list[bytes]:
    """A whole line, in pieces where it is long."""
    if len(line) <= MAX_LINE:
        return [_record(stream, line, moment)]
    return [
        _record(stream, line[start : start + MAX_LINE], moment) for start in range(0, len(line), MAX_LINE)
    ]


def _record(stream: str, line: bytes, moment: str) -> bytes:
    text = encode_basestring(line.decode(errors="replace"))
    return f'{{"log":{text},"stream":"{stream}","time":"{moment}"}}\n'.encode()
