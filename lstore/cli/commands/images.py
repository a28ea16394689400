"""``lstore images``, ``lstore image ls``."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from lstore.cli.filters import parse_filters
from lstore.cli.format import Columns, list_lines
from lstore.cli.options import filter_option, format_option, no_trunc_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.table import align
from lstore.cli.template.nodes import Row
from lstore.cli.units import UNKNOWN, age, human_size, timestamp
from lstore.cli.verbs import IMAGES

if TYPE_CHECKING:
    from layerstore.oci.platform import Platform
    from layerstore.store.refs import Ref
    from lstore.engine.catalog import Image

_NONE = "<none>"
_HEADINGS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Platform": "PLATFORM",
}
_SHOWN = ("Repository", "Tag", "ID", "CreatedSince", "Size")
_SHOWN_DIGESTS = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")


@verb(IMAGES)
@click.argument("pattern", metavar="[REPOSITORY[:TAG]]", default="")
@click.option("-a", "--all", "is_all", is_flag=True, help="Show every platform of images pulled for all")
@click.option("--digests", is_flag=True, help="Show digests")
@click.option("-q", "--quiet", is_flag=True, help="Show image IDs alone")
@click.option("--tree", is_flag=True, help="Show the platforms of each image below it")
@filter_option
@format_option
@no_trunc_option
@click.pass_obj
def command(
    session: Session,
    *,
    pattern: str,
    is_all: bool,
    digests: bool,
    quiet: bool,
    tree: bool,
    filters: Sequence[str],
    form: str | None,
    no_trunc: bool,
) -> None:
    from lstore.engine.images import ImageQuery, list_images

    store = session.engine().store
    now = session.now()
    found = list_images(store, ImageQuery(pattern, parse_filters(filters)), now)
    if tree:
        session.lines(_tree(found, no_trunc=no_trunc))
        return
    pairs = _pairs(found, None if is_all else store.platform)
    if quiet:
        session.lines(dict.fromkeys(_id(image, no_trunc=no_trunc) for image, _ in pairs))
        return
    rows = (_row(image, ref, now, no_trunc=no_trunc) for image, ref in pairs)
    session.lines(list_lines(rows, Columns(_HEADINGS, _SHOWN_DIGESTS if digests else _SHOWN), form))


def _pairs(found: Sequence["Image"], platform: "Platform | None") -> list[tuple["Image", "Ref"]]:
    """A pair for each name of each image; of an index, where `platform` is given, the image for that alone."""
    from lstore.engine.catalog import preferred

    pairs = [(image, ref) for image in found for ref in image.refs]
    if platform is None:
        return pairs
    of_ref: dict[Ref, list[Image]] = {}
    for image, ref in pairs:
        of_ref.setdefault(ref, []).append(image)
    return [(image, ref) for image, ref in pairs if image is preferred(tuple(of_ref[ref]), platform)]


def _id(image: "Image", *, no_trunc: bool) -> str:
    return str(image.id) if no_trunc else image.id.short


def _row(image: "Image", ref: "Ref", now: datetime, *, no_trunc: bool) -> Row:
    digest = ref.resolved or (ref.name.digest if ref.name is not None else None)
    return {
        "CreatedAt": timestamp(image.created),
        "CreatedSince": age(image.created, now),
        "Digest": str(digest or _NONE),
        "ID": _id(image, no_trunc=no_trunc),
        "Platform": str(image.platform or UNKNOWN),
        "Repository": ref.name.familiar_name if ref.name is not None else _NONE,
        "Size": human_size(image.size, 3) if not image.damage else UNKNOWN,
        "Tag": (ref.name.tag if ref.name is not None else None) or _NONE,
    }


def _tree(found: Sequence["Image"], *, no_trunc: bool) -> list[str]:
    """Each name, and the images of its platforms below it."""
    below: dict[str, list[Image]] = {}
    for image, ref in _pairs(found, None):
        below.setdefault(ref.name.familiar if ref.name is not None else _NONE, []).append(image)
    lines = ["IMAGE\tIMAGE ID\tSIZE"]
    for name, group in below.items():
        lines.append(f"{name}\t\t{human_size(sum(image.size for image in group), 3)}")
        lines.extend(_branches(group, no_trunc=no_trunc))
    return align(lines)


def _branches(group: Sequence["Image"], *, no_trunc: bool) -> Iterator[str]:
    for position, image in enumerate(group, 1):
        branch = "└─" if position == len(group) else "├─"
        size = human_size(image.size, 3)
        yield f"{branch} {image.platform or UNKNOWN}\t{_id(image, no_trunc=no_trunc)}\t{size}"
