"""Acting on files that a container's users own, where those are subordinate ids of an unprivileged user."""

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


def call_mapped(body: Callable[[], None]) -> None:
    """Call `body` in a child that is root of a user namespace with the ids that `launch.run` maps.

    For root, who needs none of this, it is called at once. What `body` changes in memory is lost. Raises
    `LaunchError`: what `body` raised, or why there is no such namespace.
    """
    if os.geteuid() == 0:
        body()
        return
    channel = Channel()
    try:
        with Doing("create a user namespace"):
            pid, pidfd = linux.clone3(linux.CLONE_NEWUSER)
        if pid == 0:
            _be_child(body, channel)
        channel.keep_launcher_side()
        try:
            namespaces.map_ids(pid, namespaces.own_id_map())
            channel.let_go()
            report = channel.read_report()
        finally:
            channel.close()
            os.waitpid(pid, 0)
            os.close(pidfd)
    finally:
        channel.close()
    if report:
        raise from_report(report)


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
