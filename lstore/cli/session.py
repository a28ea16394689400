"""What a command has at hand: settings, streams, the clock, and the engine once it asks for it."""

from __future__ import annotations

import lstore
from layerstore import log
from layerstore.errors import UsageError
from lstore.cli.errors import report
from lstore.cli.progress import OpenProgress
from lstore.cli.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from layerstore.errors import LstoreError
    from layerstore.progress import Progress
    from lstore.cli.flags import Given
    from lstore.cli.settings import Streams
    from lstore.engine.engine import Engine

MAX_ANSWER = 1024
"""Bytes of an answer to a question."""


class Session:
    """One invocation of the command line."""

    def __init__(self, streams: Streams, settings: Settings) -> None:
        self.streams = streams
        self.settings = settings

    def engine(self) -> Engine:
        """The engine as the settings want it. Touches nothing yet. Raises `UsageError`."""
        chosen = self.settings
        return lstore.open(
            chosen.root, driver=chosen.driver, config=chosen.config, environment=chosen.environment
        )

    def progress(self, *, is_quiet: bool = False) -> AbstractContextManager[Progress]:
        """Where long work reports: bars on a terminal, else lines, or nothing."""
        self.streams.out.flush()  # both streams may be one terminal, and what was said before comes first
        return OpenProgress(self.streams.err, is_quiet=is_quiet)

    def now(self) -> datetime:
        """The present time, for ages."""
        from datetime import UTC, datetime

        return datetime.now(UTC)

    def line(self, text: str = "") -> None:
        """Write one line of result."""
        self.streams.out.line(text)

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines of result."""
        for line in lines:
            self.streams.out.line(line)

    def failed(self, failures: Iterable[LstoreError]) -> int:
        """Tell of each failure that did not stop the command; the exit status that they make together."""
        self.streams.out.flush()
        statuses = [report(each, self.streams.err, is_debug=self.settings.is_debug) for each in failures]
        return max(statuses, default=0)

    def confirm(self, warning: str) -> bool:
        """Whether the user answers y to `warning`; no answer at all is no."""
        self.streams.out.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
        self.streams.out.flush()
        return self.streams.stdin.readline(MAX_ANSWER).strip().lower() in (b"y", b"yes")

    def configure(self, given: Given) -> None:
        """Work as the global options say."""
        self.settings = Settings(
            given.text("root"),
            given.text("driver"),
            given.text("config"),
            given.text("log_level") or self.settings.log_level,
            given.is_on("debug"),
            self.settings.environment,
        )
        if self.settings.is_debug or self.settings.log_level != "warning":
            self._start_logging()  # the libraries below ours have something to say then
        else:
            log.before_first(self._start_logging)

    def _start_logging(self) -> None:
        """Let log records appear on standard error, from the level of the settings on."""
        import logging

        level = "debug" if self.settings.is_debug else self.settings.log_level
        logging.basicConfig(
            level=logging.getLevelNamesMapping()[level.upper()],
            stream=self.streams.err.text,
            format="%(levelname)s %(name)s: %(message)s",
            force=True,
        )


def refuse_terminal(session: Session, doing: str) -> None:
    """Raises `UsageError` where bytes would go to a terminal."""
    if session.streams.out.is_terminal:
        raise UsageError(f"cannot {doing} to a terminal: redirect the output, or name a file")
