"""How ``lstore diff`` shows two images' differences: docker's letters and paths, then what changed; or JSON."""

import json
import os
from collections.abc import Iterator

from layerstore.layer.entry import Entry, Kind
from layerstore.oci.document import Json
from lstore.cli.file_names import file_name, file_path, one_line
from lstore.cli.units import human_size
from lstore.engine.image_diff import Aspect, Difference, ImageDiff, Sharing

SCHEMA = 1


def diff_lines(found: ImageDiff) -> Iterator[str]:
    """A line for each difference: ``C /etc/passwd (mode 0644 → 0600, content)``."""
    for each in found.differences:
        told = ", ".join(_told(aspect, each) for aspect in each.aspects)
        yield f"{each.letter} {file_path(each.path)}" + (f" ({told})" if told else "")


def sharing_line(sharing: Sharing, first: str, second: str) -> str:
    """One line on the layers that both images have."""
    return (
        f"layers: {_counted(sharing.shared, sharing.shared_bytes)} in both, "
        f"{_counted(sharing.only_first, sharing.only_first_bytes)} only in {one_line(first)}, "
        f"{_counted(sharing.only_second, sharing.only_second_bytes)} only in {one_line(second)}"
    )


def document(found: ImageDiff, first: str, second: str) -> str:
    """The JSON of docs/explore.md."""
    sharing = found.sharing
    value: Json = {
        "schema": SCHEMA,
        "images": [first, second],
        "differences": [_difference(each) for each in found.differences],
        "layers": {
            "both": {"count": sharing.shared, "compressedBytes": sharing.shared_bytes},
            "onlyFirst": {"count": sharing.only_first, "compressedBytes": sharing.only_first_bytes},
            "onlySecond": {"count": sharing.only_second, "compressedBytes": sharing.only_second_bytes},
        },
    }
    return json.dumps(value, indent=2)


def _counted(count: int, size: int) -> str:
    return f"{count} ({human_size(size, 3)})"


def _told(aspect: Aspect, each: Difference) -> str:
    """`aspect` and, where they are short, its values before and after."""
    if each.before is None or each.after is None:
        return aspect
    before, after = _value(aspect, each.before), _value(aspect, each.after)
    return f"{aspect} {before} → {after}" if before or after else aspect


def _value(aspect: Aspect, entry: Entry) -> str:
    match aspect:
        case "type":
            return entry.kind.name.lower()
        case "mode":
            return f"{entry.mode:04o}"
        case "owner":
            return f"{entry.uid}:{entry.gid}"
        case "size":
            return human_size(entry.size)
        case "target":
            return file_name(entry.link)
        case "device":
            return f"{entry.major}:{entry.minor}"
    return ""


def _difference(each: Difference) -> dict[str, Json]:
    return {
        "letter": each.letter,
        "path": os.fsdecode(b"/" + each.path),
        "aspects": list(each.aspects),
        "before": _state(each.before),
        "after": _state(each.after),
    }


def _state(entry: Entry | None) -> Json:
    if entry is None:
        return None
    state: dict[str, Json] = {
        "type": entry.kind.name.lower(),
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "bytes": entry.size,
        "xattrs": {os.fsdecode(name): value.hex() for name, value in sorted(entry.xattrs.items())},
    }
    if entry.kind is Kind.SYMLINK:
        state["target"] = os.fsdecode(entry.link)
    return state
