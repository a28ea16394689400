"""``--init``: the first process stays ours, passes signals on, and waits for orphans. What tini does.

It has given up every privilege before; it exits as the program does, which ends the container.
"""

from __future__ import annotations

import os

from layerstore import linux
from layerstore.linux import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_NEVER_BLOCKED = frozenset({signals.SIGKILL, signals.SIGSTOP})
_OUR_OWN = frozenset({signals.SIGFPE, signals.SIGILL, signals.SIGSEGV, signals.SIGBUS, signals.SIGABRT})


def split() -> None:
    """Returns in a child, which is to become the program; the calling process ends as the child does."""
    waited = signals.valid_signals() - _NEVER_BLOCKED - _OUR_OWN
    signals.pthread_sigmask(signals.SIG_BLOCK, waited)
    child = os.fork()
    if child:
        linux.close_range(0)
        os._exit(_tend(child, waited))
    os.setpgid(0, 0)
    if os.isatty(0):
        os.tcsetpgrp(0, os.getpgrp())  # SIGTTOU is blocked still
    signals.pthread_sigmask(signals.SIG_SETMASK, ())


def _tend(child: int, waited: Iterable[int]) -> int:
    """The exit status of `child`, 128 + n after signal n."""
    while True:
        number = signals.sigwait(waited)
        if number != signals.SIGCHLD:
            os.kill(child, number)
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            if pid == 0:
                break
