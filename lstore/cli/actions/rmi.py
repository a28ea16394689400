"""``lstore rmi``."""

from __future__ import annotations

from lstore.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstore.cli.flags import Given
    from lstore.cli.session import Session

FLAGS: tuple[Flag, ...] = (
    Flag(
        ("-f", "--force"),
        "force",
        "switch",
        "Remove what stopped containers use, and by ID what has names in several repositories",
    ),
    Flag(
        ("--no-prune",),
        "no_prune",
        "switch",
        "Accepted for docker's sake; there are no parents to keep",
    ),
)
LEAST = 1
MOST = None


def act(session: Session, given: Given, words: Sequence[str]) -> int:
    """Remove the images `words`; the exit status of those that failed together, 0 where none did."""
    from lstore.engine.remove import remove_images

    engine = session.engine()
    removal = remove_images(engine.store, engine.snapshotter, words, force=given.is_on("force"))
    session.lines(str(event) for event in removal.events)
    return session.failed(removal.failures)
