"""``lstore images``."""

from __future__ import annotations

from lstore.cli.filters import parse_filters
from lstore.cli.flags import FILTER, FORMAT, NO_TRUNC, Flag
from lstore.cli.format import Columns, list_lines
from lstore.cli.table import align
from lstore.cli.units import UNKNOWN, age, human_size, timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from layerstore.oci.platform import Platform
    from layerstore.store.refs import Ref
    from lstore.cli.flags import Given
    from lstore.cli.session import Session
    from lstore.cli.template.nodes import Row
    from lstore.engine.catalog import Image

FLAGS: tuple[Flag, ...] = (
    Flag(("-a", "--all"), "is_all", "switch", "Show every platform of images pulled for all"),
    Flag(("--digests",), "digests", "switch", "Show digests"),
    Flag(("-q", "--quiet"), "quiet", "switch", "Show image IDs alone"),
    Flag(("--tree",), "tree", "switch", "Show the platforms of each image below it"),
    FILTER,
    FORMAT,
    NO_TRUNC,
)
LEAST = 0
MOST = 1

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


def act(session: Session, given: Given, words: Sequence[str]) -> int:
    """Print the list of those whose name matches the pattern in `words`, if there is one; 0."""
    from lstore.engine.images import ImageQuery, list_images

    store, now, no_trunc = session.engine().store, session.now(), given.is_on("no_trunc")
    query = ImageQuery(words[0] if words else "", parse_filters(given.texts("filters")))
    found = list_images(store, query, now)
    if given.is_on("tree"):
        session.lines(_tree(found, no_trunc=no_trunc))
        return 0
    pairs = _pairs(found, None if given.is_on("is_all") else store.platform)
    if given.is_on("quiet"):
        session.lines(dict.fromkeys(_id(image, no_trunc=no_trunc) for image, _ in pairs))
        return 0
    columns = Columns(_HEADINGS, _SHOWN_DIGESTS if given.is_on("digests") else _SHOWN)
    rows = (_row(image, ref, now, no_trunc=no_trunc) for image, ref in pairs)
    session.lines(list_lines(rows, columns, given.text("form")))
    return 0


def _pairs(found: Sequence[Image], platform: Platform | None) -> list[tuple[Image, Ref]]:
    """A pair for each name of each image; of an index, where `platform` is given, the image for that alone."""
    from lstore.engine.catalog import preferred

    pairs = [(image, ref) for image in found for ref in image.refs]
    if platform is None:
        return pairs
    of_ref: dict[Ref, list[Image]] = {}
    for image, ref in pairs:
        of_ref.setdefault(ref, []).append(image)
    return [(image, ref) for image, ref in pairs if image is preferred(tuple(of_ref[ref]), platform)]


def _id(image: Image, *, no_trunc: bool) -> str:
    return str(image.id) if no_trunc else image.id.short


def _row(image: Image, ref: Ref, now: datetime, *, no_trunc: bool) -> Row:
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


def _tree(found: Sequence[Image], *, no_trunc: bool) -> list[str]:
    """Each name, and the images of its platforms below it."""
    below: dict[str, list[Image]] = {}
    for image, ref in _pairs(found, None):
        below.setdefault(ref.name.familiar if ref.name is not None else _NONE, []).append(image)
    lines = ["IMAGE\tIMAGE ID\tSIZE"]
    for name, group in below.items():
        lines.append(f"{name}\t\t{human_size(sum(image.size for image in group), 3)}")
        lines.extend(_branches(group, no_trunc=no_trunc))
    return align(lines)


def _branches(group: Sequence[Image], *, no_trunc: bool) -> Iterator[str]:
    for position, image in enumerate(group, 1):
        branch = "└─" if position == len(group) else "├─"
        size = human_size(image.size, 3)
        yield f"{branch} {image.platform or UNKNOWN}\t{_id(image, no_trunc=no_trunc)}\t{size}"
