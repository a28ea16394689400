"""The ids that an ordinary user has beside their own, for layers that are to be unpacked with their owners.

subuid(5), user_namespaces(7). Where the kernel lets nobody make a user namespace there are none: layers are then
unpacked as the user's own, which everything that runs nothing can do with.
"""

from __future__ import annotations

from layerstore.value import Value
from runner.namespaces import IdMap, map_ids, own_id_map

_FORBIDDING = (
    ("/proc/sys/user/max_user_namespaces", "0"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
)
_RESTRICTED = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_PROFILE = "/proc/self/attr/current"
_LONGEST = 4096


class SubordinateIds(Value):
    """An `IdMapper` of the ids that containers of this user have."""

    id_map: IdMap

    @property
    def name(self) -> str:
        """See `IdMapper.name`: where the subordinate ids begin."""
        return f"{self.id_map.uids[1].outside}-{self.id_map.gids[1].outside}"

    def map_ids(self, pid: int) -> None:
        """See `IdMapper.map_ids`."""
        map_ids(pid, self.id_map)


def subordinate_ids() -> SubordinateIds | None:
    """Those of whoever runs this, who is not root; None where there are none, or no user namespaces."""
    id_map = own_id_map()
    if id_map.is_single or not _may_make_user_namespaces():
        return None
    return SubordinateIds(id_map)


def _may_make_user_namespaces() -> bool:
    if any(_text(path) == forbids for path, forbids in _FORBIDDING):
        return False
    return _text(_RESTRICTED) != "1" or _text(_PROFILE) != "unconfined"


def _text(path: str) -> str:
    """Nothing where this kernel has no such file."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(_LONGEST).strip("\n\0 ")
    except OSError:
        return ""
