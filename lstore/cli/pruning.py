"""What every prune says at its end."""

from typing import TYPE_CHECKING

from lstore.cli.session import Session
from lstore.cli.units import human_size

if TYPE_CHECKING:
    from lstore.engine.prune import Pruned


def show_pruned(session: Session, pruned: "Pruned") -> None:
    """Name what went, and the space that it gave back; say so where damage kept anything from going."""
    if pruned.events:
        session.line("Deleted Images:")
        session.lines(_lowered(str(event)) for event in pruned.events)
        session.line()
    session.line(f"Total reclaimed space: {human_size(pruned.plan.usage.size)}")
    for reason in pruned.plan.damage:
        session.streams.err.line(f"lstore: nothing was collected: {reason}")
        session.streams.err.line("  try: lstore fsck --repair")


def _lowered(event: str) -> str:
    return event[:1].lower() + event[1:]
