"""Acting on files that a container's users own, where those are subordinate ids of an unprivileged user."""

from __future__ import annotations

import os

from layerstore import linux
from runner.child import call_in_child

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
    failure = call_in_child(body, linux.CLONE_NEWUSER, "create a user namespace")
    if failure is not None:
        raise failure
