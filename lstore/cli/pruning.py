"""What the prunes have in common: their options, and what they say at their end."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING

import click

from layerstore.dataclass import dataclass
from lstore.cli.filters import parse_filters
from lstore.cli.options import yes_option
from lstore.cli.session import Session
from lstore.cli.units import human_size, parse_size

if TYPE_CHECKING:
    from lstore.engine.prune import Pruned, PruneRequest

unused_for_option = click.option(
    "--unused-for", metavar="DURATION", help="Remove only what was not used for that long, like 720h"
)
keep_storage_option = click.option(
    "--keep-storage", metavar="SIZE", help="Remove the least recently used until no more is left, like 20GB"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The options as they were given."""

    is_all: bool
    filters: Sequence[str]
    unused_for: str | None
    keep_storage: str | None

    @property
    def kind(self) -> str:
        """The images that may go, in docker's words."""
        return (
            "images without at least one container associated to them" if self.is_all else "dangling images"
        )

    def request(self, session: Session) -> "PruneRequest":
        """What the engine is asked for. Raises `UsageError`."""
        from lstore.engine.images import parse_moment
        from lstore.engine.prune import PruneRequest

        return PruneRequest(
            self.is_all,
            parse_filters(self.filters),
            parse_moment(self.unused_for, session.now()) if self.unused_for is not None else None,
            parse_size(self.keep_storage) if self.keep_storage is not None else None,
        )


def choice_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say which images a prune takes, and ``--force``.

    They arrive as ``choice`` and ``force`` at `function`, which gets its session by ``click.pass_obj``.
    """

    @click.option(
        "-a", "--all", "is_all", is_flag=True, help="Remove all unused images, not just nameless ones"
    )
    @yes_option
    @click.option(
        "--filter", "filters", multiple=True, metavar="FILTER", help="Remove only what passes KEY=VALUE"
    )
    @unused_for_option
    @keep_storage_option
    @wraps(function)
    def command(
        *,
        is_all: bool,
        force: bool,
        filters: Sequence[str],
        unused_for: str | None,
        keep_storage: str | None,
    ) -> None:
        function(choice=Choice(is_all, filters, unused_for, keep_storage), force=force)

    return command


def show_pruned(session: Session, pruned: "Pruned") -> None:
    """Name what went, and the space that it gave back; say so where damage kept anything from going."""
    if pruned.containers:
        session.line("Deleted Containers:")
        session.lines(pruned.containers)
        session.line()
    if pruned.events:
        session.line("Deleted Images:")
        session.lines(_lowered(str(event)) for event in pruned.events)
        session.line()
    session.line(f"Total reclaimed space: {human_size(pruned.size)}")
    for reason in pruned.plan.damage:
        session.streams.err.line(f"lstore: nothing was collected: {reason}")
        session.streams.err.line("  try: lstore fsck --repair")


def _lowered(event: str) -> str:
    return event[:1].lower() + event[1:]
