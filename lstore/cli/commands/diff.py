"""``lstore diff``."""

from collections.abc import Sequence

import click

from layerstore.errors import UsageError
from lstore.cli.options import parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import DIFF

_PAIR = 2


@verb(DIFF)
@click.argument("images", metavar="IMAGE1 IMAGE2", nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", help="How to show it")
@platform_option
@click.pass_obj
def command(session: Session, *, images: Sequence[str], form: str, platform: str | None) -> None:
    from lstore.cli.diff_text import diff_lines, document, sharing_line
    from lstore.engine.image_diff import diff_images

    if len(images) != _PAIR:
        raise UsageError("'lstore diff' compares two images", hint="lstore diff IMAGE1 IMAGE2")
    found = diff_images(session.engine(), *images, platform=parse_platform(platform))
    if form == "json":
        session.line(document(found, *images))
        return
    session.lines(diff_lines(found))
    session.streams.out.flush()
    session.streams.err.line(sharing_line(found.sharing, *images))
