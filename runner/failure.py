"""How a launch fails: every refusal of the kernel becomes a `LaunchError` that says what was being done."""

from __future__ import annotations

import errno

from layerstore.errors import EXIT_USAGE, LaunchError, LstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_REPAIR = "lstore fsck --repair"
"""The kernel's "input/output error" is a layer whose tar does not have what its index says."""

# A pipe takes this much in one piece (pipe(7) PIPE_BUF), which is what a failing child has to say.
LONGEST_REPORT = 4096


class Doing:
    """``with Doing("mount /proc")``: an ``OSError`` inside comes out as "cannot mount /proc: reason"."""

    __slots__ = ("_exit_status", "_hint", "_what")

    def __init__(self, what: str, *, hint: str | None = None, exit_status: int = EXIT_USAGE) -> None:
        self._what = what
        self._hint = hint
        self._exit_status = exit_status

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            reason = (error.strerror or str(error)).lower()
            where = f" ({error.filename})" if error.filename else ""
            raise LaunchError(
                f"cannot {self._what}: {reason}{where}",
                hint=_REPAIR if error.errno == errno.EIO else self._hint,
                exit_status=self._exit_status,
            ) from error


def to_report(error: BaseException) -> bytes:
    """`error` as bytes for the pipe to the launcher: exit status, message, NUL, hint."""
    if isinstance(error, LstoreError):
        status, message, hint = error.exit_status, error.message, error.hint or ""
        status = status if isinstance(error, LaunchError) else EXIT_USAGE
    elif isinstance(error, OSError) and error.errno == errno.EIO:
        status, message, hint = EXIT_USAGE, "cannot read the container's image: it is damaged", _REPAIR
    else:
        status, message, hint = EXIT_USAGE, f"cannot start the process: {type(error).__name__}: {error}", ""
    text = f"{message.replace(chr(0), ' ')}\0{hint}".encode(errors="replace")
    return bytes([status]) + text[: LONGEST_REPORT - 1]


def from_report(report: bytes) -> LaunchError:
    """What `to_report` wrote."""
    message, _, hint = report[1:].decode(errors="replace").partition("\0")
    return LaunchError(message, hint=hint or None, exit_status=report[0])
