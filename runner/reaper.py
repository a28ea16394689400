"""``--init``: the first process stays ours, passes signals on, and waits for orphans. What tini does.

It has given up every privilege before; it exits as the program does, which ends the container.
"""

from __future__ import annotations

import os
import signal

from layerstore import linux

_NEVER_BLOCKED = frozenset({signal.SIGKILL, signal.SIGSTOP})
_OUR_OWN = frozenset({signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT})


def split() -> None:
    """Returns in a child, which is to become the program; the calling process ends as the child does."""
    waited = signal.valid_signals() - _NEVER_BLOCKED - _OUR_OWN
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    child = os.fork()
    if child:
        linux.close_range(0)
        os._exit(_tend(child, waited))
    os.setpgid(0, 0)
    if os.isatty(0):
        os.tcsetpgrp(0, os.getpgrp())  # SIGTTOU is blocked still
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _tend(child: int, waited: set[signal.Signals]) -> int:
    """The exit status of `child`, 128 + n after signal n."""
    while True:
        number = signal.sigwait(waited)
        if number != signal.SIGCHLD:
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
