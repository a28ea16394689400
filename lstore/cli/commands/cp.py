"""``lstore cp``, ``lstore container cp``."""

import click

from layerstore.errors import UsageError
from lstore.cli.parsing import verb
from lstore.cli.session import Session, refuse_terminal
from lstore.cli.verbs import CP

_STREAM = "-"


@verb(CP)
@click.argument("source", metavar="[CONTAINER:]SOURCE|-")
@click.argument("target", metavar="[CONTAINER:]TARGET|-")
@click.option(
    "-a",
    "--archive",
    is_flag=True,
    help="Keep owners; with root, also devices and file capabilities, out of a container",
)
@click.option("-L", "--follow-link", is_flag=True, help="Where the source is a link, copy what it points to")
@click.option("-q", "--quiet", is_flag=True, help="Accepted for docker's sake; nothing is printed anyway")
@click.pass_obj
def command(
    session: Session, *, source: str, target: str, archive: bool, follow_link: bool, quiet: bool
) -> None:
    """Exactly one of the two is in a container; - is a tar archive on standard input or output."""
    from lstore.engine.containers.copy_files import (
        CopyOptions,
        Place,
        archive_in,
        archive_out,
        copy_in,
        copy_out,
    )

    options = CopyOptions(follow_link, archive)
    (container, path), (into, place) = _split(source), _split(target)
    if bool(container) == bool(into):
        raise UsageError("cannot copy: exactly one of source and target must be CONTAINER:PATH")
    engine = session.engine()
    if container and target == _STREAM:
        refuse_terminal(session, "write an archive")
        session.streams.out.flush()
        archive_out(engine, Place(path, container), session.streams.out.binary, options)
    elif container:
        copy_out(engine, Place(path, container), place, options)
    elif source == _STREAM:
        archive_in(engine, session.streams.stdin, Place(place, into), options)
    else:
        copy_in(engine, path, Place(place, into), options)


def _split(text: str) -> tuple[str, str]:
    """Container and path of ``CONTAINER:PATH``; a path that starts with a dot or a slash has no container."""
    if text.startswith(("/", ".")) or text == _STREAM:
        return "", text
    container, colon, path = text.partition(":")
    return (container, path or "/") if colon else ("", text)
