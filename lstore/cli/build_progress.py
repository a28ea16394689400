"""Showing how a build goes: a live tree on a terminal, BuildKit's plain lines elsewhere, JSON for programs."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from layerstore.build.executor import BuildProgress, Outcome
from layerstore.progress import Phase
from lstore.cli.terminal import Output

Style = Literal["auto", "plain", "tty", "rawjson", "quiet"]
MAX_LOG: Final = 1 << 20
"""Bytes of one step's output that are kept for the report of its failure: the last ones."""


class StepLogs:
    """Keeps the last output of each step, for the report of a failure; passes all on to `shown`."""

    def __init__(self, shown: BuildProgress) -> None:
        self._shown = shown
        self._lock = threading.Lock()
        self._logs: dict[int, deque[bytes]] = {}
        self._sizes: dict[int, int] = {}

    def begin(self, vertex: int, title: str) -> None:
        self._shown.begin(vertex, title)

    def output(self, vertex: int, data: bytes) -> None:
        with self._lock:
            log = self._logs.setdefault(vertex, deque())
            log.append(data)
            self._sizes[vertex] = self._sizes.get(vertex, 0) + len(data)
            while self._sizes[vertex] > MAX_LOG and len(log) > 1:
                self._sizes[vertex] -= len(log.popleft())
        self._shown.output(vertex, data)

    def end(self, vertex: int, outcome: Outcome) -> None:
        if outcome != "failed":
            with self._lock:
                self._logs.pop(vertex, None)
                self._sizes.pop(vertex, None)
        self._shown.end(vertex, outcome)

    def lines(self, vertex: int) -> list[str]:
        """What the step wrote last, line by line."""
        with self._lock:
            data = b"".join(self._logs.get(vertex, ()))
        return data.decode("utf-8", "replace").splitlines()


@contextmanager
def open_build_progress(err: Output, style: Style) -> Iterator[BuildProgress]:
    """The display of that style on `err`; at the end of the block nothing of it moves any more."""
    if style == "auto":
        style = "tty" if err.is_terminal else "plain"
    match style:
        case "quiet":
            yield Quiet()
        case "rawjson":
            yield RawJson(err, time.time)
        case "tty":
            from lstore.cli.build_tree import BuildTree

            with BuildTree(err.text) as tree:
                yield tree
        case _:
            yield Plain(err, time.monotonic)


class Quiet:
    """Shows nothing."""

    def begin(self, vertex: int, title: str) -> None:
        pass

    def output(self, vertex: int, data: bytes) -> None:
        pass

    def end(self, vertex: int, outcome: Outcome) -> None:
        pass


class Plain:
    """``#5 [2/3] RUN make``, ``#5 0.123 a line``, ``#5 DONE 0.2s``: what BuildKit writes to logs."""

    def __init__(self, err: Output, clock: Callable[[], float]) -> None:
        self._err = err
        self._clock = clock
        self._lock = threading.Lock()
        self._starts: dict[int, float] = {}
        self._rests: dict[int, bytes] = {}

    def begin(self, vertex: int, title: str) -> None:
        with self._lock:
            self._starts[vertex] = self._clock()
            self._say(f"#{vertex} {_one_line(title)}")

    def output(self, vertex: int, data: bytes) -> None:
        with self._lock:
            *lines, rest = (self._rests.get(vertex, b"") + data).split(b"\n")
            self._rests[vertex] = rest
            for line in lines:
                self._say_line(vertex, line)

    def end(self, vertex: int, outcome: Outcome) -> None:
        with self._lock:
            rest = self._rests.pop(vertex, b"")
            if rest:
                self._say_line(vertex, rest)
            word = {"done": "DONE", "cached": "CACHED", "failed": "ERROR", "canceled": "CANCELED"}[outcome]
            took = f" {self._elapsed(vertex):.1f}s" if outcome == "done" else ""
            self._say(f"#{vertex} {word}{took}")
            self._say("")

    def _say_line(self, vertex: int, line: bytes) -> None:
        text = line.decode("utf-8", "surrogateescape").rstrip("\r")
        self._say(f"#{vertex} {self._elapsed(vertex):.3f} {text}")

    def _elapsed(self, vertex: int) -> float:
        return self._clock() - self._starts.get(vertex, self._clock())

    def _say(self, line: str) -> None:
        self._err.line(line)
        self._err.flush()


class RawJson:
    """One JSON object a line: vertex, what happened, when."""

    def __init__(self, err: Output, clock: Callable[[], float]) -> None:
        self._err = err
        self._clock = clock
        self._lock = threading.Lock()

    def begin(self, vertex: int, title: str) -> None:
        self._say({"vertex": vertex, "name": title, "started": self._clock()})

    def output(self, vertex: int, data: bytes) -> None:
        self._say({"vertex": vertex, "log": data.decode("utf-8", "replace"), "timestamp": self._clock()})

    def end(self, vertex: int, outcome: Outcome) -> None:
        self._say({"vertex": vertex, "outcome": outcome, "completed": self._clock()})

    def _say(self, event: dict[str, object]) -> None:
        with self._lock:
            self._err.line(json.dumps(event))
            self._err.flush()


class PullLines:
    """A `layerstore.progress.Progress` that tells of pulls in the words of a step's log."""

    def __init__(self, progress: BuildProgress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._phases: dict[str, Phase] = {}

    def phase(self, key: str, phase: Phase, total: int | None = None) -> None:
        with self._lock:
            if phase in ("waiting", "exists") or self._phases.get(key) == phase:
                return
            self._phases[key] = phase
        self._progress.output(0, f"{key} {phase}\n".encode())

    def advance(self, key: str, amount: int) -> None:
        pass

    def note(self, message: str) -> None:
        self._progress.output(0, f"{message}\n".encode())


def _one_line(text: str) -> str:
    return " ".join(text.split())
