"""signal(7) for what is on the path to a container: the C module behind ``signal``, which spends 4 ms on enumerations.

Everything means what it means there; numbers and the two standard actions are plain integers.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _module
    from signal import (
        NSIG,
        SIG_BLOCK,
        SIG_DFL,
        SIG_IGN,
        SIG_SETMASK,
        SIGABRT,
        SIGBUS,
        SIGCHLD,
        SIGFPE,
        SIGHUP,
        SIGILL,
        SIGINT,
        SIGKILL,
        SIGQUIT,
        SIGSEGV,
        SIGSTOP,
        SIGTERM,
        SIGUSR1,
        SIGUSR2,
        SIGWINCH,
        getsignal,
        pthread_sigmask,
        set_wakeup_fd,
        signal,
        sigwait,
        valid_signals,
    )
else:
    import _signal as _module
    from _signal import *  # noqa: F403 - those of `__all__` are what others are to use

__all__ = [
    "NSIG",
    "SIGABRT",
    "SIGBUS",
    "SIGCHLD",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGKILL",
    "SIGQUIT",
    "SIGSEGV",
    "SIGSTOP",
    "SIGTERM",
    "SIGUSR1",
    "SIGUSR2",
    "SIGWINCH",
    "SIG_BLOCK",
    "SIG_DFL",
    "SIG_IGN",
    "SIG_SETMASK",
    "getsignal",
    "number_of",
    "pthread_sigmask",
    "set_wakeup_fd",
    "signal",
    "sigwait",
    "valid_signals",
]


def number_of(name: str) -> int | None:
    """The number of the signal called `name`, ``SIGTERM``; None where there is none."""
    number = getattr(_module, name, None) if name.startswith("SIG") and not name.startswith("SIG_") else None
    return number if isinstance(number, int) else None
