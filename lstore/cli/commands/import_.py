"""``lstore import``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import click

from layerstore.errors import InvalidLayer, file_error
from layerstore.oci.reference import Reference
from lstore.cli.moments import moment_of_creation
from lstore.cli.options import change_option, message_option, parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import IMPORT


@verb(IMPORT)
@click.argument("source", metavar="FILE|-")
@click.argument("name", metavar="[REPOSITORY[:TAG]]", default="")
@change_option
@message_option
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
        created=moment_of_creation(session.settings.environment, session.now()),
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
    """The archive `source`, a path, or ``-`` for standard input; what is wrong with it is told with its name."""
    if source == "-":
        yield session.streams.stdin
        return
    try:
        stream = open(source, "rb")  # noqa: SIM115  # closed below, where other errors are not ours
    except OSError as error:
        raise file_error(error, f"read {source}") from error
    with stream:
        try:
            yield stream
        except InvalidLayer as error:
            raise InvalidLayer(f"cannot import {source}: {error.message}", hint=error.hint) from error
