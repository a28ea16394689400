"""``lstore ls``: GNU ls's habits, over an image that is not mounted."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from lstore.cli.file_names import file_name
from lstore.cli.format import list_lines
from lstore.cli.options import format_option, parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import LS

if TYPE_CHECKING:
    from lstore.engine.browse import Found, ImageFiles

    Group = tuple[Found | None, Sequence[Found]]


@verb(LS)
@click.argument("image", metavar="IMAGE")
@click.argument("path", metavar="[PATH]", default="/")
@click.option("-a", "--all", "is_all", is_flag=True, help="Show names that begin with a dot, too")
@click.option("-l", "--long", "is_long", is_flag=True, help="Show mode, links, owner, size, time and target")
@click.option("-R", "--recursive", is_flag=True, help="Show everything below, too")
@format_option
@platform_option
@click.pass_obj
def command(
    session: Session,
    *,
    image: str,
    path: str,
    is_all: bool,
    is_long: bool,
    recursive: bool,
    form: str | None,
    platform: str | None,
) -> None:
    from lstore.cli.listing import COLUMNS, long_lines, row
    from lstore.engine.browse import image_files

    with image_files(session.engine(), image, platform=parse_platform(platform)) as files:
        follow = not (is_long or form) or path.endswith("/")
        groups = _groups(files, os.fsencode(path), follow=follow, recursive=recursive)
        visible = (
            (top, [each for each in inside if is_all or not _is_hidden(top, each)]) for top, inside in groups
        )
        if form is not None:
            rows = (row(top, each) for top, inside in visible for each in inside)
            session.lines(map(json.dumps, rows) if form == "json" else list_lines(rows, COLUMNS, form))
            return
        show = file_name if session.streams.out.is_terminal else os.fsdecode
        for number, (top, inside) in enumerate(visible):
            if recursive and top is not None:
                session.line(("\n" if number else "") + show(top.path) + ":")
            session.lines(long_lines(inside, show) if is_long else (show(each.path) for each in inside))


def _groups(files: "ImageFiles", path: bytes, *, follow: bool, recursive: bool) -> "Iterator[Group]":
    """Each directory that is to be listed, with what is in it; of anything else, itself alone."""
    from layerstore.layer.entry import Kind

    top = files.find(path, follow=follow)
    if top.inode.kind is not Kind.DIRECTORY:
        yield None, (top,)
    elif recursive:
        yield from files.walk(top)
    else:
        yield top, tuple(files.list(top))


def _is_hidden(top: "Found | None", found: "Found") -> bool:
    """Whether ls leaves it out: by its name, unless it was asked for."""
    return top is not None and found.path.startswith(b".")
