"""``lstore save``."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.options import parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session, refuse_terminal
from lstore.cli.verbs import SAVE
from lstore.engine.output_file import output_file

if TYPE_CHECKING:
    from lstore.engine.save import Format

FORMATS = ("docker-archive", "oci-archive")


@verb(SAVE)
@click.argument("images", metavar="IMAGE...", type=IMAGE_NAME, nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="Where to write, instead of standard output")
@click.option(
    "--format",
    "archive",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    help="What kind of archive to write",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress")
@platform_option
@click.pass_obj
def command(
    session: Session,
    *,
    images: Sequence[str],
    output: str | None,
    archive: "Format",
    quiet: bool,
    platform: str | None,
) -> None:
    from lstore.engine.save import save

    if output is None:
        refuse_terminal(session, "save")
    wanted = parse_platform(platform)
    opened = nullcontext(session.streams.out.binary) if output is None else output_file(output)
    with opened as stream, session.progress(is_quiet=quiet) as progress:
        save(session.engine(), images, stream, archive=archive, platform=wanted, progress=progress)
