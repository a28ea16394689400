"""``lstore mount``, ``lstore image mount``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from layerstore.errors import UsageError
from lstore.cli.format import Columns, list_lines
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.options import format_option, no_trunc_option, parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.template.nodes import Row
from lstore.cli.verbs import MOUNT

if TYPE_CHECKING:
    from layerstore.snapshot.views import View
    from runner.namespaces import Extent, IdMap

_COLUMNS = Columns({"ID": "ID", "Name": "NAME", "MountPoint": "MOUNT POINT"}, ("ID", "Name", "MountPoint"))
_SHORT = 12


@verb(MOUNT)
@click.argument("name", metavar="[IMAGE|CONTAINER", required=False, type=IMAGE_NAME)
@click.argument("target", metavar="[DIR]]", required=False)
@click.option(
    "--uidmap",
    "uids",
    multiple=True,
    metavar="ON-DISK:SEEN:COUNT",
    help="Show files of these users as others' (and groups, unless --gidmap says otherwise)",
)
@click.option("--gidmap", "gids", multiple=True, metavar="ON-DISK:SEEN:COUNT", help="The same for groups")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress of unpacking")
@platform_option
@format_option
@no_trunc_option
@click.pass_obj
def command(
    session: Session,
    *,
    name: str | None,
    target: str | None,
    uids: Sequence[str],
    gids: Sequence[str],
    quiet: bool,
    platform: str | None,
    form: str | None,
    no_trunc: bool,
) -> None:
    """Mount the files read-only at DIR, or at a directory that is made for them, and print where.

    Without arguments, list what is mounted.
    """
    from lstore.engine.mount import MountRequest, list_mounts, mount

    if name is None:
        rows = (_row(view, no_trunc=no_trunc) for view in list_mounts(session.engine()))
        session.lines(list_lines(rows, _COLUMNS, form))
        return
    request = MountRequest(name, target, parse_platform(platform), _id_map(uids, gids))
    with session.progress(is_quiet=quiet) as progress:
        view = mount(session.engine(), request, progress=progress)
    session.line(view.target)


def _row(view: "View", *, no_trunc: bool) -> Row:
    identity = view.id if no_trunc else view.id.rpartition(":")[2][:_SHORT]
    return {"ID": identity, "Name": view.name, "MountPoint": view.target}


def _id_map(uids: Sequence[str], gids: Sequence[str]) -> "IdMap | None":
    if not uids and not gids:
        return None
    from runner.namespaces import IdMap

    return IdMap(tuple(map(_extent, uids or gids)), tuple(map(_extent, gids or uids)))


def _extent(text: str) -> "Extent":
    from runner.namespaces import Extent

    numbers = text.split(":")
    if len(numbers) != 3 or not all(each.isascii() and each.isdigit() for each in numbers):
        raise UsageError(f"invalid id map {text[:80]!r}: it must be ON-DISK:SEEN:COUNT")
    return Extent(*map(int, numbers))
