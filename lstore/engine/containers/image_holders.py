"""Who stands on an image: what a removal of images asks, and the accounts.

Called under the store lock, so it takes no container's lock that somebody holds, and clears nothing away.
"""

from __future__ import annotations

from layerstore.errors import NotFound, StoreDamaged
from layerstore.value import Value
from lstore.engine.containers.places import homes_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.home import Home


class Holder(Value):
    """A container and the image that it was made of; `is_running` also while it is being made."""

    id: str
    name: str
    image_id: str
    is_running: bool


def holders(containers: str) -> tuple[Holder, ...]:
    """The containers in the directory `containers`, without those that are damaged or were never finished."""
    found = (_holder(home) for home in homes_in(containers))
    return tuple(holder for holder in found if holder is not None)


def _holder(home: Home) -> Holder | None:
    try:
        state, config = home.state(), home.config()
        if state.status in ("creating", "removing"):
            lock = home.try_lock()
            if lock is not None:  # whoever was at it was killed
                lock.close()
                return None
        is_running = state.status == "creating" or (state.is_alive and home.is_monitored())
    except (NotFound, StoreDamaged):
        return None
    return Holder(home.id, config.name, config.image_id, is_running)
