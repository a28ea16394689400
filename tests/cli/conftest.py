"""The command line in this process: arguments in, status and text out."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lstore.cli.main import run
from lstore.cli.settings import Streams
from lstore.cli.terminal import Output


class Tty(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def memory(*, is_terminal: bool = False, encoding: str = "utf-8") -> Output:
    """An `Output` into memory."""
    kind = Tty if is_terminal else io.TextIOWrapper
    return Output(kind(io.BytesIO(), encoding=encoding, write_through=True))


def written(output: Output) -> str:
    """What was written to a `memory` output."""
    buffer = output.binary
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(output.text.encoding)


@dataclass(frozen=True, slots=True)
class Result:
    """How one invocation ended, and what it said."""

    status: int
    out: str
    err: str


Lstore = Callable[..., Result]


@pytest.fixture
def lstore(tmp_path: Path) -> Lstore:
    """lstore("images", "-q", stdin=b"…", is_terminal=True): the command line over a store of this test."""

    def call(*arguments: str, stdin: bytes = b"", is_terminal: bool = False) -> Result:
        streams = Streams(io.BytesIO(stdin), memory(is_terminal=is_terminal), memory(is_terminal=is_terminal))
        environment = {"LSTORE_ROOT": str(tmp_path / "store"), "HOME": str(tmp_path)}
        status = run(arguments, streams, environment)
        return Result(status, written(streams.out), written(streams.err))

    return call
