"""Showing what `layerstore.progress` hears: bars on a terminal, lines elsewhere, nothing when quiet.

The drawing (`bars`, with rich) is imported when the first item appears on a terminal, so that work which
turns out to be none costs nothing.
"""

from __future__ import annotations

from _thread import allocate_lock

from layerstore.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.progress import Phase, Progress
    from lstore.cli.bars import Drawing
    from lstore.cli.terminal import Output

WORDS: dict[Phase, str] = {
    "waiting": "Waiting",
    "downloading": "Downloading",
    "resuming": "Resuming",
    "loading": "Loading",
    "uploading": "Pushing",
    "reading": "Reading",
    "writing": "Writing",
    "verifying": "Verifying",
    "unpacking": "Extracting",
    "compressing": "Compressing",
    "done": "Complete",
    "exists": "Already exists",
    "mounted": "Mounted",
}


class OpenProgress:
    """A block with the `Progress` that fits `err`; at its end nothing of that moves any more."""

    def __init__(self, err: Output, *, is_quiet: bool) -> None:
        self._bars = Bars(err) if err.is_terminal and not is_quiet else None
        self._progress: Progress = self._bars or (SILENT if is_quiet else Lines(err))

    def __enter__(self) -> Progress:
        return self._progress

    def __exit__(self, *_exception: object) -> None:
        if self._bars is not None:
            self._bars.stop()


class Lines:
    """One line whenever an item enters another phase: for logs and pipes."""

    def __init__(self, err: Output) -> None:
        self._err = err
        self._lock = allocate_lock()
        self._phases: dict[str, Phase] = {}

    def phase(self, key: str, phase: Phase, total: int | None = None) -> None:
        with self._lock:
            if phase != "waiting" and self._phases.get(key) != phase:
                self._say(f"{key}: {WORDS[phase]}")
            self._phases[key] = phase

    def advance(self, key: str, amount: int) -> None:
        pass

    def note(self, message: str) -> None:
        with self._lock:
            self._say(message)

    def _say(self, line: str) -> None:
        self._err.line(line)
        self._err.flush()


class Bars:
    """A bar per item and one for the whole."""

    def __init__(self, err: Output) -> None:
        self._err = err
        self._lock = allocate_lock()
        self._drawing: Drawing | None = None

    def _draw(self) -> Drawing:
        if self._drawing is None:
            from lstore.cli.bars import Drawing

            self._drawing = Drawing(self._err.text)
        return self._drawing

    def phase(self, key: str, phase: Phase, total: int | None = None) -> None:
        with self._lock:
            self._draw().phase(key, phase, WORDS[phase], total)

    def advance(self, key: str, amount: int) -> None:
        with self._lock:
            self._draw().advance(key, amount)

    def note(self, message: str) -> None:
        with self._lock:
            self._draw().note(message)

    def stop(self) -> None:
        """Leave the last state on the terminal. Idempotent."""
        with self._lock:
            if self._drawing is not None:
                self._drawing.stop()
                self._drawing = None
