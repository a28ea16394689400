"""`logs`: what a container wrote, from its log files, and what it goes on writing."""

from __future__ import annotations

import os
from collections import deque

from layerstore.errors import MissingFeature, storage_error
from layerstore.value import Value
from lstore.engine.containers.growing_file import records
from lstore.engine.containers.look import look
from runner.container import MAX_LOG_FILES, NO_LOG, now
from runner.log_file import log_path
from runner.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from lstore.engine.containers.look import Container
    from lstore.engine.engine import Engine

# A monitor that was killed changes no file.
_LOOK_AGAIN = 1.0
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class LogLine(Value):
    """One line, or a piece of a long one, and when it came: RFC 3339."""

    stream: str
    time: str
    text: str


class LogQuery(Value):
    """Lines from `since` and before `until` (RFC 3339), the last `tail` of them; with `follow` those to come, too."""

    since: str = ""
    until: str = ""
    tail: int | None = None
    follows: bool = False


def read(engine: Engine, text: str, query: LogQuery) -> Iterator[LogLine]:
    """The lines of the container's log that `query` asks for, oldest first.

    Raises `NotFound`, `MissingFeature` where none is kept, `StorageError`.
    """
    container = look(engine, text)
    if container.config.log_driver == NO_LOG:
        raise MissingFeature(
            f"cannot read the log of {container.config.name}:"
            " configured logging driver does not support reading"
        )
    try:
        if query.follows:
            yield from _followed(container, query)
        else:
            lines = _chosen(_lines(_open_all(container)), query)
            yield from lines if query.tail is None else _last(lines, query.tail)
    except OSError as error:
        raise storage_error(error, f"read the log of {container.config.name}") from error


def _followed(container: Container, query: LogQuery) -> Iterator[LogLine]:
    """What is there, then what comes, until the container's end or the moment that the query ends with."""
    home = container.home
    with Watch(home.path) as watch:
        files = _open_all(container)
        current = files[-1] if files else None
        try:
            present = [*_lines(files[:-1]), *_lines(files[-1:], keeps_open=True)]
            chosen = _chosen(present, query)
            yield from chosen if query.tail is None else _last(chosen, query.tail)
            while True:
                # Asked before reading, so that nothing written is missed.
                is_over = not home.is_monitored() or bool(query.until and query.until <= now())
                for line in _parse(current) if current is not None else ():
                    if query.until and line.time >= query.until:
                        return
                    if line.time >= query.since:
                        yield line
                newer = _next_file(container, current)
                if newer is not current:
                    current = newer
                elif is_over:
                    return
                else:
                    watch.wait(_LOOK_AGAIN)
        finally:
            if current is not None:
                current.close()


def _next_file(container: Container, current: BinaryIO | None) -> BinaryIO | None:
    """The log file after `current`, which was read to its end; `current` itself where it is the newest."""
    home = container.home
    while True:
        age = _age(container, current)
        if age == 0:
            return current
        try:
            newer = open(os.open(log_path(home.path, age - 1), _FLAGS), "rb")  # noqa: SIM115  # the caller closes
        except FileNotFoundError:
            return current
        if _age(container, current) == age:
            if current is not None:
                current.close()
            return newer
        newer.close()  # they were renamed meanwhile


def _age(container: Container, current: BinaryIO | None) -> int:
    """Which of the log files `current` is by now; one more than the oldest where it is none of them."""
    ages = _ages(container)
    oldest = 0
    for age in ages:
        try:
            there = os.stat(log_path(container.home.path, age))
        except FileNotFoundError:
            break
        oldest = age + 1
        if current is not None and os.path.samestat(there, os.fstat(current.fileno())):
            return age
    return oldest


def _ages(container: Container) -> range:
    return range(max(MAX_LOG_FILES, container.config.log_files, 1))


def _open_all(container: Container) -> list[BinaryIO]:
    """All log files, oldest first, opened before one of them is renamed."""
    found: list[BinaryIO] = []
    for age in _ages(container):
        try:
            found.append(open(os.open(log_path(container.home.path, age), _FLAGS), "rb"))  # noqa: SIM115  # `_lines` closes
        except FileNotFoundError:
            break
    return found[::-1]


def _lines(files: Iterable[BinaryIO], *, keeps_open: bool = False) -> Iterator[LogLine]:
    for file in files:
        yield from _parse(file)
        if not keeps_open:
            file.close()


def _parse(file: BinaryIO) -> Iterator[LogLine]:
    for record in records(file):
        stream, time, text = record.get("stream"), record.get("time"), record.get("log")
        if isinstance(stream, str) and isinstance(time, str) and isinstance(text, str):
            yield LogLine(stream, time, text)


def _chosen(lines: Iterable[LogLine], query: LogQuery) -> Iterator[LogLine]:
    for line in lines:
        if query.until and line.time >= query.until:
            return
        if line.time >= query.since:
            yield line


def _last(lines: Iterable[LogLine], count: int) -> Iterable[LogLine]:
    """The last `count` whole lines; pieces of a long line count together."""
    kept: deque[list[LogLine]] = deque(maxlen=max(count, 0))
    is_open = False
    for line in lines:
        if is_open and kept:
            kept[-1].append(line)
        else:
            kept.append([line])
        is_open = not line.text.endswith("\n")
    return [line for group in kept for line in group]
