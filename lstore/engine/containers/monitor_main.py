"""A monitor's process, as `standby` starts it."""

from __future__ import annotations

from layerstore.snapshot import overlay
from lstore import bytecode
from lstore.engine.containers.standby import LAUNCHER_FD
from runner import monitor
from runner.order import Launcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from runner.order import Order


def main() -> NoReturn:
    """Never returns."""
    monitor.main(Launcher(LAUNCHER_FD), overlay.attach, _remover, bytecode.give_back)


def _remover() -> Callable[[Order], None]:
    from lstore.engine.containers.removal import remove_ended

    return remove_ended
