"""``-v``, ``--mount`` and ``--tmpfs`` → `runner.spec.Mount`, by docker's rules."""

from __future__ import annotations

import os

from layerstore.errors import MissingFeature, UsageError, file_error
from runner.spec import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runner.spec import Propagation

_PROPAGATIONS: Mapping[str, Propagation] = {
    "private": "private",
    "rprivate": "private",
    "slave": "slave",
    "rslave": "slave",
    "shared": "shared",
    "rshared": "shared",
}
_IGNORED = frozenset({"z", "Z", "consistent", "cached", "delegated", "nocopy"})
_TMPFS_DATA = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge", "mpol"})
_TMPFS_FLAGS = frozenset({"exec", "suid"})
# What every mount of a container has anyway, or what changes nothing.
_TMPFS_USUAL = frozenset({"rw", "noexec", "nosuid", "nodev", "relatime", "noatime", "async", "sync"})
_NO_VOLUMES = "lstore has no volumes yet"
_BIND_INSTEAD = "-v /HOST/DIR:/TARGET"


def parse_volume(text: str) -> Mount:
    """``SOURCE:TARGET[:OPTIONS]``; a source that is missing is made, a directory, as docker does.

    Raises `UsageError`, `MissingFeature` for a named or anonymous volume, `StorageError`.
    """
    source, *rest = text.split(":")
    if not rest:
        raise MissingFeature(
            f"cannot make an anonymous volume at {text[:80]}: {_NO_VOLUMES}", hint=_BIND_INSTEAD
        )
    target, *options = rest
    if len(options) > 1 or not target.startswith("/"):
        raise UsageError(f"invalid volume {text[:80]!r}", hint="-v /HOST/DIR:/TARGET[:ro]")
    if not source.startswith(("/", "./", "../")) and source not in (".", ".."):
        raise MissingFeature(f"cannot use the volume {source[:80]!r}: {_NO_VOLUMES}", hint=_BIND_INSTEAD)
    path = os.path.abspath(source)
    try:
        if not os.path.lexists(path):
            os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise file_error(error, f"make {path} to bind it") from error
    return _bind(path, target, (options[0].split(",") if options else ()))


def _bind(source: str, target: str, options: Iterable[str]) -> Mount:
    is_read_only, is_recursive = False, True
    propagation: Propagation = "private"
    for option in options:
        if option in ("ro", "rw"):
            is_read_only = option == "ro"
        elif option in _PROPAGATIONS:
            propagation = _PROPAGATIONS[option]
        elif option in ("bind", "rbind"):
            is_recursive = option == "rbind"
        elif option not in _IGNORED:
            raise UsageError(f"invalid option {option[:40]!r} of the mount at {target}")
    return Mount(target, source, is_read_only, propagation=propagation, is_recursive=is_recursive)


def parse_tmpfs(text: str) -> Mount:
    """``TARGET[:OPTIONS]``, options as mount(8) has them. Raises `UsageError`."""
    target, _, options = text.partition(":")
    if not target.startswith("/"):
        raise UsageError(f"invalid tmpfs {text[:80]!r}: its target must be absolute")
    return _tmpfs(target, [option for option in options.split(",") if option])


def _tmpfs(target: str, options: Iterable[str]) -> Mount:
    data: list[tuple[str, str | None]] = []
    flags: list[str] = []
    is_read_only = False
    for option in options:
        name, equals, value = option.partition("=")
        if name in _TMPFS_DATA and equals:
            data.append((name, value))
        elif option in _TMPFS_FLAGS:
            flags.append(option)
        elif option == "ro":
            is_read_only = True
        elif option not in _TMPFS_USUAL:
            raise UsageError(f"invalid option {option[:40]!r} of the tmpfs at {target}")
    return Mount(target, None, is_read_only, tuple(data), tuple(flags))


def parse_mount(text: str) -> Mount:
    """``type=bind,source=…,target=…`` or ``type=tmpfs,target=…``. Raises as `parse_volume`."""
    given: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        given[_ALIASES.get(name, name)] = value if equals else "true"
    kind, target = given.pop("type", "volume"), given.pop("target", "")
    if not target.startswith("/"):
        raise UsageError(f"invalid mount {text[:80]!r}: its target must be absolute")
    is_read_only = _truth(given.pop("readonly", "false"), text)
    if kind == "bind":
        return _mount_bind(target, given, is_read_only=is_read_only)
    if kind == "tmpfs":
        return _mount_tmpfs(target, given, is_read_only=is_read_only)
    if kind == "volume":
        raise MissingFeature(f"cannot mount a volume at {target}: {_NO_VOLUMES}", hint=_BIND_INSTEAD)
    raise UsageError(f"invalid mount type {kind[:40]!r}: it must be bind or tmpfs")


_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}


def _truth(text: str, whole: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise UsageError(f"invalid mount {whole[:80]!r}: {text[:20]!r} is neither true nor false")


def _mount_bind(target: str, given: dict[str, str], *, is_read_only: bool) -> Mount:
    source = given.pop("source", "")
    propagation = given.pop("bind-propagation", "rprivate")
    is_recursive = given.pop("bind-recursive", "enabled") != "disabled"
    if _truth(given.pop("bind-nonrecursive", "false"), target):
        is_recursive = False
    _refuse_rest(target, given)
    if not os.path.isabs(source):
        raise UsageError(f"invalid mount at {target}: its source must be absolute")
    if not os.path.lexists(source):
        raise UsageError(f"cannot bind {source} at {target}: it does not exist")
    if propagation not in _PROPAGATIONS:
        raise UsageError(f"invalid propagation {propagation[:40]!r} of the mount at {target}")
    words = (propagation, "ro" if is_read_only else "rw", "rbind" if is_recursive else "bind")
    return _bind(source, target, words)


def _mount_tmpfs(target: str, given: dict[str, str], *, is_read_only: bool) -> Mount:
    options = ["ro"] if is_read_only else []
    for name, key in (("tmpfs-size", "size"), ("tmpfs-mode", "mode")):
        if name in given:
            options.append(f"{key}={given.pop(name)}")
    _refuse_rest(target, given)
    return _tmpfs(target, options)


def _refuse_rest(target: str, given: dict[str, str]) -> None:
    if given:
        raise UsageError(f"invalid option {next(iter(given))[:40]!r} of the mount at {target}")
