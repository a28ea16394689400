"""What the library logs, by ``logging``: the first record imports it, which takes a tenth of a container's start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

_preparations: list[Callable[[], None]] = []


def before_first(prepare: Callable[[], None]) -> None:
    """Let `prepare`, an application's set-up of ``logging``, be called before the first record is made."""
    _preparations.append(prepare)


def warning(name: str, message: str) -> None:
    """Log what its reader should know, as of the logger `name`."""
    _logger(name).warning("%s", message)


def info(name: str, message: str) -> None:
    """Log what only the curious ask for."""
    _logger(name).info("%s", message)


def _logger(name: str) -> logging.Logger:
    import logging  # noqa: PLC0415 - see above

    while _preparations:
        _preparations.pop()()
    return logging.getLogger(name)
