"""A child process that does one thing in a namespace of its own for its parent, and says what went wrong."""

from __future__ import annotations

import os

from layerstore import linux
from layerstore.linux import signals
from runner import namespaces
from runner.channel import Channel
from runner.failure import Doing, from_report, to_report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.errors import LaunchError


def nothing() -> None:
    """For who has nothing to do meanwhile."""
    return


def call_in_child(
    body: Callable[[], None], flags: int, doing: str, meanwhile: Callable[[], None] = nothing
) -> LaunchError | None:
    """What `body` raised in a child with the new namespaces that `flags` say, clone(2); None where it succeeded.

    In a new user namespace the ids are those that `launch.run` maps, and the child is root. What `body` changes in
    memory is lost; `meanwhile` is called here, once `body` may begin. Both ends with the call, whatever happens.
    Raises `LaunchError` where there is no such child, which is for `doing`; and what `meanwhile` raises.
    """
    channel = Channel()
    try:
        with Doing(doing):
            pid, pidfd = linux.clone3(flags)
        if pid == 0:
            _be_child(body, channel)
        channel.keep_launcher_side()
        try:
            if flags & linux.CLONE_NEWUSER:
                namespaces.map_ids(pid, namespaces.own_id_map())
            channel.let_go()
            meanwhile()
            report = channel.read_report()
        finally:
            channel.close()
            os.waitpid(pid, 0)
            os.close(pidfd)
    finally:
        channel.close()
    return from_report(report) if report else None


def _be_child(body: Callable[[], None], channel: Channel) -> None:
    """Never returns, whatever happens."""
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signals.SIGKILL)
        channel.keep_child_side()
        if channel.wait():
            body()
    except BaseException as error:
        channel.report(to_report(error))
    finally:
        os._exit(0)
