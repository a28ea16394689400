"""Paths as a Dockerfile has them: cleaned as Go does it, and kept from climbing out of where they belong."""

import posixpath

from layerstore.errors import InvalidInput


def clean(path: str) -> str:
    """`path` without ``.``, empty and undone components. Go's ``path.Clean``; ``.`` for nothing at all."""
    normal = posixpath.normpath(path)
    return normal[1:] if normal.startswith("//") else normal  # POSIX lets two slashes mean something else


def below_root(source: str) -> str:
    """`source` relative to the root of a context, ``""`` being the root. A leading slash means the root.

    Raises `InvalidInput` where it climbs out: other builders quietly take something else then.
    """
    parts: list[str] = []
    for part in source.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            raise InvalidInput(f"cannot copy {source!r}: it is outside the build context")
    return "/".join(parts)
