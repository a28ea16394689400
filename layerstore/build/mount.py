"""``RUN --mount``: what is to be seen inside one step only. Dockerfile reference, "RUN --mount"."""

import csv
import posixpath
import re
from collections.abc import Callable
from typing import Final, Literal, cast

from layerstore.build.go_text import parse_boolean, parse_natural, parse_size
from layerstore.build.suggestion import did_you_mean
from layerstore.dataclass import dataclass, replace
from layerstore.errors import InvalidInput

MountType = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
Sharing = Literal["shared", "private", "locked"]
Expand = Callable[[str], str]

_TYPES: Final = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING: Final = ("shared", "private", "locked")
_ALIASES: Final = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_FIELDS: Final = frozenset(
    {"type", "from", "source", "target", "readonly", "readwrite", "id", "sharing"}
    | {"required", "mode", "uid", "gid", "size", "env"}
)
_WITHOUT_VALUE: Final = frozenset({"readonly", "readwrite", "required"})
_BOOLEANS: Final = _WITHOUT_VALUE
_WITH_OWNER: Final = frozenset({"secret", "ssh", "cache"})
_CREDENTIALS: Final = frozenset({"secret", "ssh"})
_MAX_ID: Final = (1 << 31) - 1
"""CVE-2024-40635: what is beyond turns negative in other tools."""
_OCTAL: Final = re.compile(r"0?[0-7]{1,4}\Z")
_SECRETS: Final = "/run/secrets"
_QUOTED: Final = re.compile(r'(?:(?<=,)|^)"(?:[^"]|"")*"(?=,|$)')
_VARIABLE: Final = re.compile(r"\$.")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount. Paths are as written: whoever mounts resolves them inside source and root file system."""

    type: MountType = "bind"
    origin: str = ""
    """``from``: a stage, an image or a named context. Empty: the build context, for a cache nothing."""
    source: str = ""
    target: str = ""
    is_read_only: bool = False
    key: str = ""
    """``id`` of a cache, a secret or an ssh agent."""
    sharing: Sharing = "shared"
    is_required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    """Bytes that a tmpfs may take."""
    environment: str = ""
    """``env``: the variable that a secret is given in."""

    @property
    def cache_key(self) -> str:
        """Which cache it is: the ``id``, by default the target."""
        return self.key or self.target

    @property
    def secret_key(self) -> str:
        """Which secret it is: the ``id``, by default the source, then the target's last component."""
        return self.key or self.source or self.target.rpartition("/")[2]

    def resolved(self, workdir: str) -> "Mount":
        """The mount with an absolute target, relative ones being below `workdir`.

        A secret without target or variable comes to ``/run/secrets``, as BuildKit has it; agents get theirs
        when they are started. Raises `InvalidInput` where the target is the root.
        """
        if self.type in _CREDENTIALS and not self.target:
            where = f"{_SECRETS}/{self.secret_key.rpartition('/')[2]}"
            has_file = self.type == "secret" and not self.environment
            return replace(self, target=where) if has_file else self
        target = posixpath.normpath(posixpath.join("/", workdir, self.target))
        if target.strip("/") == "":
            raise InvalidInput("invalid mount target '/'")
        return replace(self, target=target)


def parse_mount(text: str, expand: Expand | None = None) -> Mount:
    """The mount that a flag's value spells, its fields' values through `expand`.

    Without `expand` fields with a variable in them are left out: `origin` has never one. Raises
    `InvalidInput`, and what `expand` raises.
    """
    fields = _fields(text, expand)
    kind = fields.pop("type", "bind").lower()
    if kind not in _TYPES:
        raise InvalidInput(f"unsupported mount type {kind!r}{did_you_mean(kind, _TYPES)}")
    mount = Mount(cast(MountType, kind), is_read_only=kind not in ("cache", "tmpfs"))
    for key, value in fields.items():
        mount = _with_field(mount, key, value)
    if expand is not None or "$" not in text:
        _check(mount, fields)
    return mount


def _fields(text: str, expand: Expand | None) -> dict[str, str]:
    if '"' in _QUOTED.sub("", text):
        raise InvalidInput(f"failed to parse csv mounts: a quote in the wrong place of {text!r}")
    row = next(csv.reader([text]), [])
    fields: dict[str, str] = {}
    for field in row:
        key, equals, value = field.partition("=")
        name = _ALIASES.get(key.lower(), key.lower())
        if name not in _FIELDS:
            raise InvalidInput(
                f"unexpected key '{key}' in '{field}'{did_you_mean(key, _FIELDS | _ALIASES.keys())}"
            )
        if not equals and name not in _WITHOUT_VALUE:
            raise InvalidInput(f"invalid field '{field}' must be a key=value pair")
        if name == "from" and _VARIABLE.search(value):
            raise InvalidInput("'from' doesn't support variable expansion, define alias stage instead")
        if expand is not None:
            value = expand(value)
        elif "$" in value:
            continue
        fields[name] = value if equals else "true"
    return fields


def _with_field(mount: Mount, key: str, value: str) -> Mount:
    if key in _BOOLEANS:
        return _with_boolean(mount, key, value)
    match key:
        case "from":
            return replace(mount, origin=value)
        case "source":
            return replace(mount, source=value)
        case "target":
            return replace(mount, target=value)
        case "id":
            return replace(mount, key=value)
        case "env":
            return replace(mount, environment=value)
        case "sharing":
            if value.lower() not in _SHARING:
                raise InvalidInput(f"unsupported sharing value {value!r}{did_you_mean(value, _SHARING)}")
            return replace(mount, sharing=cast(Sharing, value.lower()))
        case "size":
            size = parse_size(value)
            if size is None:
                raise InvalidInput(f"invalid value for size: {value}")
            return replace(mount, size=size)
    return _with_number(mount, key, value)


def _with_boolean(mount: Mount, key: str, value: str) -> Mount:
    truth = parse_boolean(value)
    if truth is None:
        raise InvalidInput(f"invalid value for {key}: {value}")
    if key == "required":
        return replace(mount, is_required=truth)
    return replace(mount, is_read_only=truth if key == "readonly" else not truth)


def _with_number(mount: Mount, key: str, value: str) -> Mount:
    is_valid = _OCTAL.match(value) is not None if key == "mode" else parse_natural(value, _MAX_ID) is not None
    if not is_valid:
        raise InvalidInput(f"invalid value {value} for {key}")
    number = int(value, 8 if key == "mode" else 10)
    match key:
        case "mode":
            return replace(mount, mode=number)
        case "uid":
            return replace(mount, uid=number)
    return replace(mount, gid=number)


def _check(mount: Mount, fields: dict[str, str]) -> None:
    """Raises `InvalidInput` for fields that the type of mount does not have, or has too few of."""
    kind = mount.type
    allowed = {
        "mode": _WITH_OWNER,
        "uid": _WITH_OWNER,
        "gid": _WITH_OWNER,
        "required": _CREDENTIALS,
        "size": {"tmpfs"},
        "sharing": {"cache"},
        "env": {"secret"},
    }
    for key in fields:
        if key in allowed and kind not in allowed[key]:
            raise InvalidInput(f"{key} not allowed for {kind!r} type mounts")
    if kind == "secret":
        if mount.origin:
            raise InvalidInput("secret mount should not have a from")
        if mount.source and mount.key:
            raise InvalidInput("both source and id can't be set")
        if not (mount.source or mount.target or mount.key):
            raise InvalidInput("invalid secret mount. one of source, target required")
