"""Which files a COPY or ADD takes: its sources' patterns, ``--parents`` and ``--exclude``, against a context.

Docker's rules: a directory stands for what is in it, a file for itself under its own name; a source that is
a symlink is followed inside the context; a pattern may match nothing, a plain name may not. Where it all
goes is for whoever knows the destination: `Selection` says what each path is relative to it.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from layerstore.build.context import Context, Fidelity, Found
from layerstore.build.dockerignore import IgnoreMatcher
from layerstore.build.path_pattern import compile_pattern, is_pattern
from layerstore.build.paths import below_root
from layerstore.build.suggestion import did_you_mean
from layerstore.dataclass import dataclass
from layerstore.errors import NotFound

_PIVOT: Final = "/./"
_BELOW: Final = "**"


class Item(NamedTuple):
    """One file or directory to copy."""

    target: str
    """Relative to the destination; ``""`` is the destination itself, or the file in a destination directory."""
    found: Found


@dataclass(frozen=True, slots=True)
class Selection:
    """What one source stands for."""

    source: str
    """As the Dockerfile has it."""
    name: str
    """What it is called in a destination directory; empty for a directory, whose content goes there."""
    items: tuple[Item, ...]
    """Directories before what is in them."""

    @property
    def is_directory(self) -> bool:
        """Whether the items' targets are below the destination, which then is a directory."""
        return not self.name


def select(
    context: Context, sources: Sequence[str], *, parents: bool = False, exclude: Iterable[str] = ()
) -> tuple[Selection, ...]:
    """What `sources` name in `context`, in their order, the matches of a pattern sorted by bytes.

    Raises `NotFound` for a plain name that is not there or left out, `InvalidInput` for bad patterns, symlink
    loops and sources outside the context, `StorageError`.
    """
    excluded = IgnoreMatcher.of(exclude)
    if parents:
        return tuple(_with_parents(context, source, excluded) for source in sources)
    found: list[Selection] = []
    for source in sources:
        matches = expand_pattern(context, below_root(source)) if is_pattern(source) else [below_root(source)]
        found += (_selection(context, source, path, excluded) for path in matches)
    return tuple(each for each in found if each.items)


def expand_pattern(context: Context, pattern: str) -> list[str]:
    """The paths in `context` that `pattern` matches, sorted by bytes. Only its plain start follows symlinks.

    Raises `InvalidInput`, `LimitExceeded`, `StorageError`.
    """
    parts = pattern.split("/")
    plain = next(index for index, part in enumerate(parts) if is_pattern(part))
    top = context.resolve("/".join(parts[:plain]))
    found = context.find(top)
    if found is None or not found.is_directory:
        return []
    regex = compile_pattern("/".join(parts[plain:]))
    start = len(top) + 1 if top else 0
    depth = None if _BELOW in pattern else len(parts) - plain
    walked = (each.path for each in context.walk(top, depth=depth))
    return sorted((path for path in walked if regex.fullmatch(path, start)), key=os.fsencode)


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _selection(context: Context, source: str, path: str, excluded: IgnoreMatcher) -> Selection:
    found = _located(context, source, path)
    if found.is_directory:
        items = (Item("", found), *_below(context, found, excluded))
        return Selection(source, "", items)
    name = path.rpartition("/")[2]
    kept = not (excluded.patterns and excluded.excludes(name))
    return Selection(source, name, (Item("", found),) if kept else ())


def _located(context: Context, source: str, path: str) -> Found:
    """What is at `path`, symlinks followed. Raises `NotFound`."""
    found = context.find(context.resolve(path))
    if found is not None:
        return found
    directory, _, name = path.rpartition("/")
    suggestion = did_you_mean(name, context.names(context.resolve(directory)))
    where = "the stage or image that it is to come from"
    if context.fidelity is Fidelity.CONTENT:
        where = "the build context, or left out by .dockerignore"
    raise NotFound(f"cannot copy {source!r}: not in {where}{suggestion}")


def _below(context: Context, top: Found, excluded: IgnoreMatcher) -> Iterator[Item]:
    """What is in the directory `top`, paths relative to it."""
    start = len(top.path) + 1 if top.path else 0
    items = (Item(found.path[start:], found) for found in context.walk(top.path))
    return _kept(items, excluded) if excluded.patterns else items


def _kept(items: Iterable[Item], excluded: IgnoreMatcher) -> Iterator[Item]:
    """`items` without those that ``--exclude`` names, or that are only left as a way to them."""
    held: list[Item] = []
    for item in items:
        held = [directory for directory in held if item.target.startswith(f"{directory.target}/")]
        if item.found.is_directory:
            if not excluded.excludes(item.target):
                yield from held
                held = []
                yield item
            else:
                held.append(item)
        elif not excluded.excludes(item.target):
            yield from held
            held = []
            yield item


def _with_parents(context: Context, source: str, excluded: IgnoreMatcher) -> Selection:
    """``--parents``: paths stay as they are from the pivot ``/./`` on, by default from the context's root on."""
    before, pivot, behind = source.partition(_PIVOT)
    base = context.resolve(below_root(before)) if pivot else ""
    path = below_root(behind if pivot else source)
    pattern = _join(base, path)
    matches = expand_pattern(context, pattern) if is_pattern(path) else [pattern]
    start = len(base) + 1 if base else 0
    chosen: dict[str, Item] = {}
    for match in matches:
        if not is_pattern(path):
            _located(context, source, match)
        for found in _tree(context, base, match):
            target = found.path[start:]
            chosen[target] = Item(target, found)
    items = sorted(chosen.values(), key=lambda item: os.fsencode(item.target).split(b"/"))
    kept = _kept(items, excluded) if excluded.patterns else items
    return Selection(source, "", tuple(kept))


def _tree(context: Context, base: str, path: str) -> Iterator[Found]:
    """The directories between `base` and `path`, then `path` and what is below it."""
    parts = path[len(base) :].strip("/").split("/")
    for count in range(1, len(parts) + 1):
        found = context.find(_join(base, "/".join(parts[:count])))
        if found is not None:
            yield found
    if found is not None and found.is_directory:
        yield from context.walk(path)
