"""Names inside a layer: made relative, bounded, and never climbing.

What a symlink says is not a name in this sense: its target is content, resolved later inside the root.
"""

from typing import Final

from layerstore.errors import InvalidLayer, LimitExceeded

PATH_MAX: Final = 4096
"""limits.h: a path's bytes, its terminating NUL included."""
NAME_MAX: Final = 255
"""limits.h: one component's bytes."""
_SHOWN_MAX: Final = 120
_SLASH: Final = ord("/")


def relative_path(raw: bytes) -> bytes:
    """`raw` relative to the layer's root, without ``.``, empty components or slashes at the ends.

    The root itself is ``b""``. Raises `InvalidLayer` for a ``..`` component or a NUL byte, and
    `LimitExceeded` past `PATH_MAX` or `NAME_MAX`.
    """
    if _is_plain(raw):
        return raw
    if len(raw) >= PATH_MAX:
        raise LimitExceeded(f"cannot use path {shown(raw)}: longer than {PATH_MAX - 1} bytes")
    parts = [part for part in raw.split(b"/") if part and part != b"."]
    if b".." in parts:
        raise InvalidLayer(f"cannot use path {shown(raw)}: it climbs out with '..'")
    if b"\0" in raw:
        raise InvalidLayer(f"cannot use path {shown(raw)}: it contains a NUL byte")
    if len(raw) > NAME_MAX and max(map(len, parts), default=0) > NAME_MAX:
        raise LimitExceeded(f"cannot use path {shown(raw)}: a component is longer than {NAME_MAX} bytes")
    return b"/".join(parts)


def _is_plain(raw: bytes) -> bool:
    """Whether `raw` is short and has nothing to be looked at by component, as most names in an image."""
    return (
        0 < len(raw) <= NAME_MAX
        and b"/." not in raw
        and b"//" not in raw
        and b"\0" not in raw
        and raw[0] not in b"./"
        and raw[-1] != _SLASH
    )


def link_target(raw: bytes, path: bytes) -> bytes:
    """`raw` as the target that the symlink `path` may carry.

    Raises `InvalidLayer` where it is empty or holds a NUL byte, `LimitExceeded` past `PATH_MAX`.
    """
    if not raw or b"\0" in raw:
        raise InvalidLayer(f"cannot make symlink {shown(path)}: target {shown(raw)} is no path")
    if len(raw) >= PATH_MAX:
        raise LimitExceeded(f"cannot make symlink {shown(path)}: target longer than {PATH_MAX - 1} bytes")
    return raw


def shown(path: bytes) -> str:
    """`path` as messages show it: quoted, control characters escaped, shortened."""
    text = path[:_SHOWN_MAX].decode("utf-8", "backslashreplace")
    return repr(text if len(path) <= _SHOWN_MAX else text + "…")
