"""``lstore ls``: GNU ls's habits, over an image that is not mounted."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from lstore.cli.file_names import file_name
from lstore.cli.format import Columns, Row, list_lines
from lstore.cli.options import format_option, parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import LS

if TYPE_CHECKING:
    from layerstore.layer.index import Inode
    from lstore.engine.browse import Found, ImageFiles

_HEADINGS = {
    "Mode": "MODE",
    "Links": "LINKS",
    "UID": "UID",
    "GID": "GID",
    "Size": "SIZE",
    "ModifiedAt": "MODIFIED",
    "Name": "NAME",
    "Path": "PATH",
    "Target": "TARGET",
    "Type": "TYPE",
}
_SHOWN = ("Mode", "Links", "UID", "GID", "Size", "ModifiedAt", "Name", "Target")
_RIGHT = ("Links", "UID", "GID", "Size")


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
    from lstore.engine.browse import image_files

    with image_files(session.engine(), image, platform=parse_platform(platform)) as files:
        groups = _groups(files, os.fsencode(path), is_long=is_long or form is not None, recursive=recursive)
        visible = (
            (directory, [each for each in inside if is_all or not _is_hidden(each, directory)])
            for directory, inside in groups
        )
        if form is not None:
            rows = (_row(directory, each) for directory, inside in visible for each in inside)
            session.lines(list_lines(rows, Columns(_HEADINGS, _SHOWN), form))
            return
        for number, (directory, inside) in enumerate(visible):
            if recursive and directory is not None:
                session.line(("\n" if number else "") + _shown(session, directory.path) + ":")
            session.lines(
                _long(session, inside) if is_long else (_shown(session, each.path) for each in inside)
            )


def _groups(
    files: "ImageFiles", path: bytes, *, is_long: bool, recursive: bool
) -> "Iterator[tuple[Found | None, Sequence[Found]]]":
    """Each directory that is to be listed, with what is in it; of a file, the file alone."""
    from layerstore.layer.entry import Kind

    top = files.find(path, follow=not is_long or path.endswith(b"/"))
    if top.inode.kind is not Kind.DIRECTORY:
        yield None, (top,)
    elif recursive:
        yield from files.walk(top)
    else:
        yield top, tuple(files.list(top))
