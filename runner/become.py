"""The last steps of a process that becomes a container's: its program, its ids, its confinement, and the exec.

A container's first process and one that joins it later (`runner.enter`) take the same steps.
"""

from __future__ import annotations

import os
import sys

from layerstore import linux
from layerstore.errors import LaunchError
from runner import capabilities, command, reaper, seccomp
from runner.confinement import UNCONFINED
from runner.failure import Doing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.identity import Identity
    from runner.spec import ProcessSpec

_UMASK = 0o022


def load(spec: ProcessSpec) -> None:
    """Load what `become` needs for `spec` and few others need. To be called while files are still the host's."""
    if spec.confinement.resource_limits:
        import runner.resource_limits
    if spec.confinement.seccomp != UNCONFINED and spec.capabilities != capabilities.DEFAULT:
        import runner.seccomp_filter  # noqa: F401


def forget_imports() -> None:
    """From here on an import would load code from the image: only what was loaded before is there."""
    linux.load_all()
    for search in (sys.path, sys.meta_path, sys.path_hooks):
        search.clear()


def become(spec: ProcessSpec, who: Identity, *, is_single: bool, ready: Callable[[], bool]) -> None:
    """Run `spec`, `load`ed before, as `who`. Returns only where `ready`, asked just before the exec, says no.

    `is_single` says that root is the only user of the user namespace. Raises `LaunchError`.
    """
    # Find the program as its user would, and check it while we may read everything.
    environment = spec.environment(home=who.home)
    _take_groups(who, is_single=is_single)
    with Doing(f"run as user {who.uid}"):
        os.seteuid(who.uid)
        program = command.find(spec.args[0], environment["PATH"])
        os.seteuid(0)
    command.refuse_launcher(program)

    # What takes privileges to set.
    confinement = spec.confinement
    if confinement.resource_limits:
        from runner import resource_limits

        resource_limits.apply(confinement.resource_limits)
    if confinement.oom_score_adj is not None:
        _set_oom_score(confinement.oom_score_adj)

    # Give up privileges. The filter needs CAP_SYS_ADMIN, since no_new_privs would break set-user-id programs.
    kept = capabilities.mask(spec.capabilities)
    with Doing("give up privileges"):
        if confinement.has_no_new_privileges:
            linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        if confinement.seccomp != UNCONFINED:
            seccomp.confine(seccomp.program(spec.capabilities, confinement.seccomp))
        capabilities.drop_bounding(kept)
        os.setresuid(who.uid, who.uid, who.uid)
        capabilities.keep(kept)

    if ready():
        os.umask(_UMASK)
        if spec.has_init:
            reaper.split()
        command.execute(program, spec.args, environment)


def _set_oom_score(score: int) -> None:
    """proc(5) oom_score_adj; /proc is the kernel's, whatever the image has there."""
    with Doing(f"set the OOM score to {score}", hint="lstore info"):
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(score).encode())
        finally:
            os.close(fd)


def _take_groups(who: Identity, *, is_single: bool) -> None:
    if is_single:
        # Groups cannot be set in such a namespace, and no other id exists there.
        if (who.uid, who.gid) != (0, 0):
            raise LaunchError(
                f"cannot run as user {who.uid}: without subordinate ids, root is the only user inside",
                hint="usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
            )
        return
    with Doing(f"take the groups of user {who.uid}"):
        os.setgroups(who.groups)
        os.setresgid(who.gid, who.gid, who.gid)
