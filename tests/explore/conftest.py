"""Images to look into: a store of this test, and the command line over it."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import lstore
from fixtures.images.entries import Entry, directory, file, hardlink, opaque, symlink, whiteout
from fixtures.images.layout import ImageBuilder, layer
from lstore.cli.main import run
from lstore.cli.settings import Streams
from lstore.cli.terminal import Output
from lstore.engine.engine import Engine
from lstore.engine.load import load

Stack = Sequence[Sequence[Entry]]
Keep = Callable[..., str]

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "new\nline\ttab",
    "</script><script>window.owned = 1</script>",
    '"><img src=x onerror="window.owned = 1">',
    "<!--<script>",
    "$data ${style} &amp; '",
    "\u202egnp.exe",
    "\udcff\udcfe latin \udce9",
    "{{7*7}} [bold red]rich[blink]",
)
"""Names that mean something to a terminal, to HTML, to a template, to rich; one is no UTF-8."""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """The engine over an empty store. Its driver unpacks nothing, so anybody may run these tests."""
    return lstore.open(str(tmp_path / "store"), driver="erofs")


@pytest.fixture
def keep(engine: Engine, tmp_path: Path) -> Keep:
    """keep(stack, "name"): the store has an image of these layers, bottom first, under that name."""

    def keep_image(stack: Stack, name: str = "mine:1") -> str:
        builder = ImageBuilder()
        builder.add_image([layer(entries) for entries in stack], tag=name)
        for _ in load(engine, str(builder.write(tmp_path / "layouts" / name.replace(":", "-")))):
            pass
        return name

    return keep_image


@pytest.fixture
def layered() -> Stack:
    """Three layers: the second changes, hides and repeats, the third removes."""
    return [
        [
            directory("etc"),
            file("etc/hosts", b"a" * 100),
            directory("data"),
            file("data/big", b"b" * 1000),
            file("data/twin", b"t" * 300),
            symlink("lib", "usr/lib"),
            directory("usr"),
            directory("usr/lib"),
        ],
        [
            directory("etc"),
            file("etc/hosts", b"c" * 150),
            file("data/again", b"t" * 300),
            file("lib/code", b"x" * 50),
            hardlink("lib/code.link", "lib/code"),
            whiteout("data/twin"),
        ],
        [directory("data"), opaque("data"), file("data/new", b"n" * 10)],
    ]


@dataclass(frozen=True, slots=True)
class Result:
    """How one invocation ended, and what it wrote."""

    status: int
    out: bytes
    err: str


Lstore = Callable[..., Result]


@pytest.fixture
def run_lstore(engine: Engine) -> Lstore:
    """run_lstore("ls", "mine:1"): the command line over the store of this test, in this process."""

    def call(*arguments: str, is_terminal: bool = False) -> Result:
        out, err = _stream(is_terminal=is_terminal), _stream(is_terminal=is_terminal)
        environment = {"LSTORE_ROOT": engine.root}
        status = run(
            ("--driver", "erofs", *arguments), Streams(io.BytesIO(), Output(out), Output(err)), environment
        )
        return Result(status, _written(out), _written(err).decode())

    return call


class _Tty(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def _stream(*, is_terminal: bool) -> io.TextIOWrapper:
    kind = _Tty if is_terminal else io.TextIOWrapper
    return kind(io.BytesIO(), encoding="utf-8", write_through=True)


def _written(stream: io.TextIOWrapper) -> bytes:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue()
