"""Where a process's standard input, output and errors lead."""

from __future__ import annotations

import os

from layerstore.value import Value


class Stdio(Value):
    """Descriptors that become 0, 1 and 2, each that number already or higher than 2.

    With `console` the process gets a terminal of the container's own instead, and the terminal's master
    comes out through that unix socket (`runner.console`); `size` is its rows and columns, where they are known.
    """

    input: int = 0
    output: int = 1
    errors: int = 2
    console: int | None = None
    size: tuple[int, int] = (0, 0)

    @property
    def kept(self) -> tuple[int, ...]:
        """What a child must not close before it has it in its place."""
        return (0, 1, 2) if self.console is None else (0, 1, 2, self.console)


def fill_standard_descriptors() -> None:
    """Have 0, 1 and 2 open, so that no descriptor of ours takes one of their numbers."""
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)


def take_places(stdio: Stdio) -> None:
    """Put the descriptors of `stdio` in their places."""
    for number, fd in enumerate((stdio.input, stdio.output, stdio.errors)):
        if fd != number:
            os.dup2(fd, number)
