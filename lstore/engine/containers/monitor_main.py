"""A monitor's process: ``python -I -S -c START ROOT``, with the descriptors of `runner.order`."""

from __future__ import annotations

from layerstore.snapshot import overlay
from lstore.engine.containers.removal import remove_ended
from runner import monitor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Never returns."""
    monitor.main(overlay.attach, remove_ended)
