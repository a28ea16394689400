"""``lstore diff``, ``lstore container diff``."""

import os
from collections.abc import Sequence

import click

from layerstore.errors import UsageError
from lstore.cli.options import parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import DIFF

_PAIR = 2


@verb(DIFF)
@click.argument("names", metavar="CONTAINER | IMAGE1 IMAGE2", nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", help="How to show it")
@platform_option
@click.pass_obj
def command(session: Session, *, names: Sequence[str], form: str, platform: str | None) -> None:
    """Of a container: what it changed of its image (A added, C changed, D deleted)."""
    if len(names) == 1 and form == "text":
        _show_container(session, names[0])
    elif len(names) == _PAIR:
        _show_images(session, names, form, platform)
    else:
        raise UsageError(
            "'lstore diff' shows one container, or compares two images", hint="lstore diff --help"
        )


def _show_container(session: Session, name: str) -> None:
    from lstore.engine.containers.diff import container_changes

    for change in container_changes(session.engine(), name):
        session.line(f"{change.letter} {os.fsdecode(change.path)}")


def _show_images(session: Session, images: Sequence[str], form: str, platform: str | None) -> None:
    from lstore.cli.diff_text import diff_lines, document, sharing_line
    from lstore.engine.image_diff import diff_images

    found = diff_images(session.engine(), *images, platform=parse_platform(platform))
    if form == "json":
        session.line(document(found, *images))
        return
    session.lines(diff_lines(found))
    session.streams.out.flush()
    session.streams.err.line(sharing_line(found.sharing, *images))
