"""Each failure is one line, a hint and a status; nothing foreign reaches the terminal raw."""

import errno

import pytest

from layerstore import errors
from lstore.cli.errors import Terminated, report
from tests.cli.conftest import memory, written

CASES = [
    (
        errors.NotFound("no such image: x", hint="lstore pull x"),
        1,
        "lstore: no such image: x\n  try: lstore pull x\n",
    ),
    (errors.UsageError("these do not fit"), 125, "lstore: these do not fit\n"),
    (
        errors.LaunchError("cannot run x: not found", exit_status=127),
        127,
        "lstore: cannot run x: not found\n",
    ),
    (KeyboardInterrupt(), 130, "\n"),
    (Terminated(), 143, ""),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    (MemoryError(), 1, "lstore: out of memory\n"),
    (
        OSError(errno.ENOSPC, "No space left on device", "/s/x"),
        1,
        "lstore: cannot use /s/x: no space left on device\n  try: lstore system df; lstore system prune\n",
    ),
    (
        PermissionError(errno.EACCES, "Permission denied", b"/s/x"),
        1,
        "lstore: cannot use b'/s/x': permission denied\n"
        "  try: run as root, or choose another store with --root DIR\n",
    ),
    (OSError(errno.EIO, "Input/output error"), 1, "lstore: cannot finish: input/output error\n"),
    (
        ValueError("odd\nvalue"),
        1,
        "lstore: odd value; this is a bug in lstore\n"
        "  try: the same command with --debug after lstore, and report what it prints\n",
    ),
    (errors.NotFound("no such image: \x1b[31mred"), 1, "lstore: no such image: \\x1b[31mred\n"),
]


@pytest.mark.parametrize(("error", "status", "text"), CASES)
def test_failure_becomes_text_and_status(error: BaseException, status: int, text: str) -> None:
    err = memory()

    assert report(error, err, is_debug=False) == status
    assert written(err) == text


def test_debugging_shows_where_it_happened() -> None:
    err = memory()

    report(errors.NotFound("no such image: x"), err, is_debug=True)

    assert written(err).startswith("layerstore.errors.NotFound: no such image: x\n")
