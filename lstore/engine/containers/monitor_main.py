"""A monitor's process, as `standby` starts it."""

from __future__ import annotations

from layerstore.snapshot import overlay
from lstore.engine.containers.removal import remove_ended
from lstore.engine.containers.standby import LAUNCHER_FD
from runner import monitor
from runner.order import Launcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Never returns."""
    monitor.main(Launcher(LAUNCHER_FD), overlay.attach, remove_ended)
