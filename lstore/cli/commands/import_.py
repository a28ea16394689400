"""``lstore import``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO

import click

from layerstore.errors import UsageError, storage_error
from layerstore.oci.reference import Reference
from lstore.cli.options import parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import IMPORT


@verb(IMPORT)
@click.argument("source", metavar="FILE|-")
@click.argument("name", metavar="[REPOSITORY[:TAG]]", default="")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="LIST", help="A Dockerfile instruction to apply"
)
@click.option("-m", "--message", default="", metavar="STRING", help="The comment that the history shows")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress")
@platform_option
@click.pass_obj
def command(
    session: Session,
    *,
    source: str,
    name: str,
    changes: Sequence[str],
    message: str,
    quiet: bool,
    platform: str | None,
) -> None:
    from lstore.engine.import_ import ImportRequest, import_image

    request = ImportRequest(
        created=_created(session),
        name=Reference.parse(name) if name else None,
        platform=parse_platform(platform),
        message=message,
        changes=changes,
    )
    with _opened(session, source) as stream, session.progress(is_quiet=quiet) as progress:
        image_id = import_image(session.engine(), stream, request, progress=progress)
    session.line(str(image_id))


@contextmanager
def _opened(session: Session, source: str) -> Iterator[BinaryIO]:
    """The archive `source`, a path, or ``-`` for standard input."""
    if source == "-":
        yield session.streams.stdin
        return
    try:
        stream = open(source, "rb")  # noqa: SIM115  # closed below, where other errors are not ours
    except OSError as error:
        raise storage_error(error, f"read {source}") from error
    with stream:
        yield stream


def _created(session: Session) -> datetime:
    """The time the image claims: SOURCE_DATE_EPOCH where it is set, so that builds can be repeated."""
    epoch = session.settings.environment.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return session.now()
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"SOURCE_DATE_EPOCH is no time: {epoch[:40]!r}") from error
