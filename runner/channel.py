"""Between a launcher and the child that it cloned: "go" one way, a report of failure the other, as two pipes.

Both close with an exec, which is how the launcher learns of success.
"""

from __future__ import annotations

import os

from runner.failure import LONGEST_REPORT


class Channel:
    """Made before the clone; each side then keeps its own ends."""

    def __init__(self) -> None:
        self._report_reader, self._report_writer = os.pipe()
        self._go_reader, self._go_writer = os.pipe()
        self._open = {self._report_reader, self._report_writer, self._go_reader, self._go_writer}

    def close(self) -> None:
        """Close what is still open. Idempotent."""
        self._close(*self._open)

    def _close(self, *fds: int) -> None:
        self._open.difference_update(fds)
        for fd in fds:
            os.close(fd)

    def keep_launcher_side(self) -> None:
        """In the launcher, after the clone: else the child's end would never be seen."""
        self._close(self._report_writer, self._go_reader)

    def let_go(self) -> None:
        """Let the child's `wait` return. Nothing where the child has ended: then its report says why."""
        try:
            os.write(self._go_writer, b"!")
        except BrokenPipeError:
            return

    def read_report(self) -> bytes:
        """Wait for the child's exec or end; b"" is success."""
        report = b""
        while piece := os.read(self._report_reader, LONGEST_REPORT):
            report += piece
        return report

    def keep_child_side(self) -> tuple[int, int]:
        """In the child: the descriptors that it needs until its exec."""
        self._close(self._report_reader, self._go_writer)
        return self._report_writer, self._go_reader

    def wait(self) -> bool:
        """Wait for `let_go`; False when the launcher ended first."""
        return os.read(self._go_reader, 1) == b"!"

    def is_launcher_alive(self) -> bool:
        """Whether the launcher still holds its end. To be asked after `wait`, and once."""
        os.set_blocking(self._go_reader, False)
        try:
            os.read(self._go_reader, 1)
        except BlockingIOError:
            return True
        return False

    def report(self, failure: bytes) -> None:
        """Tell the launcher of `failure`, at most `LONGEST_REPORT` bytes."""
        os.write(self._report_writer, failure)
