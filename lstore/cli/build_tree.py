"""The live tree of a build: every step with its time, and the last lines of those at work. With rich, when drawn."""

import threading
import time
from collections import deque
from types import TracebackType
from typing import Final, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from layerstore.build.executor import Outcome
from layerstore.dataclass import dataclass, field
from lstore.cli.table import shortened
from lstore.cli.terminal import printable

_LAST_LINES: Final = 6
_PER_SECOND: Final = 8
_MARKS: Final[dict[Outcome, str]] = {
    "done": "",
    "cached": "CACHED ",
    "failed": "ERROR ",
    "canceled": "CANCELED ",
}
_STYLES: Final[dict[Outcome, str]] = {"done": "blue", "cached": "blue", "failed": "red", "canceled": "yellow"}


@dataclass(slots=True)
class _Vertex:
    title: str
    start: float
    end: float | None = None
    outcome: Outcome | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    rest: bytes = b""


class BuildTree:
    """A `BuildProgress` that draws itself on a terminal, within its block."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, markup=False)
        self._lock = threading.Lock()
        self._vertices: dict[int, _Vertex] = {}
        self._live: Live | None = None
        self._start = time.monotonic()

    def __enter__(self) -> "BuildTree":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, vertex: int, title: str) -> None:
        with self._lock:
            self._vertices[vertex] = _Vertex(printable(" ".join(title.split())), time.monotonic())
        if self._live is None:
            self._live = Live(
                get_renderable=self._draw, console=self._console, refresh_per_second=_PER_SECOND
            )
            self._live.start()

    def output(self, vertex: int, data: bytes) -> None:
        with self._lock:
            known = self._vertices.get(vertex)
            if known is not None:
                *lines, known.rest = (known.rest + data).split(b"\n")
                known.lines.extend(printable(line.decode("utf-8", "replace").rstrip("\r")) for line in lines)

    def end(self, vertex: int, outcome: Outcome) -> None:
        with self._lock:
            known = self._vertices[vertex]
            known.end, known.outcome = time.monotonic(), outcome

    def _draw(self) -> Group:
        with self._lock:
            ended = sum(each.outcome is not None for each in self._vertices.values())
            took = time.monotonic() - self._start
            head = Text(f"[+] Building {took:.1f}s ({ended}/{len(self._vertices)})", style="bold")
            lines = [line for each in self._vertices.values() for line in _lines(each, self._console.width)]
        room = max(1, self._console.height - 2)  # what is at work comes last, and must be seen
        return Group(head, *lines[-room:])


def _lines(vertex: _Vertex, width: int) -> list[Text]:
    """The line of one step, and where it is at work the last ones that it wrote."""
    took = f"{(vertex.end or time.monotonic()) - vertex.start:.1f}s"
    mark = _MARKS[vertex.outcome] if vertex.outcome else ""
    head = f" => {mark}{vertex.title}"
    room = max(1, width - len(took) - 1)
    style = _STYLES[vertex.outcome] if vertex.outcome else ""
    lines = [Text(f"{shortened(head, room):<{room}} {took}", style=style, no_wrap=True)]
    if vertex.outcome is None:
        lines += [Text(f" => => {line}"[:width], style="dim", no_wrap=True) for line in vertex.lines]
    return lines
