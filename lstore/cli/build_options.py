"""The values of ``lstore build``'s options, from docker's spelling to the engine's values."""

import csv
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal, cast

from layerstore.dataclass import dataclass
from layerstore.errors import NotFound, UsageError, file_error

MAX_SECRET: Final = 500 << 10
"""Bytes: BuildKit's bound."""
if TYPE_CHECKING:
    from lstore.engine.build.request import CachePlace
    from lstore.engine.packed import Packing

_AGENT: Final = "SSH_AUTH_SOCK"
_ADDRESS: Final = re.compile(r"[0-9a-fA-F.:]+\Z")
_OUTPUT_FIELDS: Final = {
    *("type", "dest", "tar", "push", "name"),
    *("compression", "compression-level", "force-compression"),
}
_TYPES: Final = ("image", "registry", "oci", "docker", "tar", "local")
_ATTESTED: Final[Mapping[str, tuple[str, ...]]] = {
    "provenance": ("", "false", "true", "mode=min", "mode=max"),
    "sbom": ("", "false", "true"),
}
OutputType = Literal["image", "registry", "oci", "docker", "tar", "local"]


@dataclass(frozen=True, slots=True)
class OutputOption:
    """One ``--output``."""

    type: OutputType
    destination: str = ""
    is_tar: bool = True
    """Whether an OCI layout goes into one file."""
    packing: "Packing | None" = None
    """How its layers travel; None where nothing is said of it."""
    names: tuple[str, ...] = ()
    """More names for the image."""


def key_values(texts: Iterable[str], option: str) -> dict[str, str]:
    """``KEY=VALUE`` each. Raises `UsageError`."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"invalid {option} {text[:80]!r}: it must be KEY=VALUE")
        found[key] = value
    return found


def build_arguments(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """``KEY=VALUE``, or ``KEY`` with our own value, or left out where we have none."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key:
            raise UsageError(f"invalid build argument {text[:80]!r}: it must be KEY[=VALUE]")
        if equals:
            found[key] = value
        elif key in environment:
            found[key] = environment[key]
    return found


def labels(texts: Iterable[str]) -> dict[str, str]:
    """``KEY[=VALUE]`` each."""
    pairs = (text.partition("=") for text in texts)
    return {key: value for key, _, value in pairs if key}


def hosts(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """``NAME:ADDRESS`` or ``NAME=ADDRESS`` as (name, address). Raises `UsageError`."""
    found = []
    for text in texts:
        separator = "=" if "=" in text else ":"
        name, _, address = text.partition(separator)
        if not name or not _ADDRESS.match(address.strip("[]")):
            raise UsageError(f"invalid --add-host {text[:80]!r}: it must be NAME:ADDRESS")
        found.append((name, address.strip("[]")))
    return tuple(found)


def processors(text: str | None) -> int | None:
    """``--cpus`` in billionths of a processor. Raises `UsageError`."""
    if text is None:
        return None
    try:
        return int(Decimal(text) * 10**9)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise UsageError(f"invalid --cpus {text[:40]!r}: it must be a number like 1.5") from error


def secrets(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, bytes]:
    """``id=NAME[,src=FILE|,env=VARIABLE]`` by name. Raises `UsageError`, `NotFound`, `StorageError`."""
    found: dict[str, bytes] = {}
    for text in texts:
        fields = _fields(text, {"id", "src", "source", "env", "type"}, "--secret")
        name = fields.get("id", "")
        path = fields.get("src", fields.get("source", ""))
        variable = fields.get("env", "")
        if fields.get("type") == "env" and not variable:
            variable, path = path or name, ""
        if not name:
            raise UsageError(f"invalid --secret {text[:80]!r}: it has no id")
        if not path and not variable:
            variable = name if name in environment else ""
            path = "" if variable else name
        found[name] = _variable(variable, environment) if variable else _file(path)
    return found


def agents(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """``default`` or ``ID=SOCKET``: sockets of ssh agents by id. Raises `UsageError`, `NotFound`."""
    found: dict[str, str] = {}
    for text in texts:
        name, _, path = text.partition("=")
        path = path or environment.get(_AGENT, "")
        if not path:
            raise NotFound(f"cannot forward an ssh agent: {_AGENT} is not set", hint='eval "$(ssh-agent)"')
        try:
            is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
        except OSError as error:
            raise file_error(error, f"forward the ssh agent at {path}") from error
        if not is_socket:
            raise UsageError(f"cannot forward {path}: it is no agent's socket", hint=f"ssh-add {path}")
        found[name] = os.path.abspath(path)
    return found


def wants(kind: Literal["provenance", "sbom"], given: str, attests: Iterable[str]) -> bool:
    """Whether ``--KIND`` as `given`, or else ``--attest type=KIND``, asks for a statement of that kind.

    Of provenance's modes there is one, and one scanner. Raises `UsageError`.
    """
    wanted = given not in ("", "false")
    if given not in _ATTESTED[kind]:
        raise UsageError(f"invalid --{kind} {given[:80]!r}", hint=f"--{kind} true")
    for text in attests:
        fields = _fields(text, {"type", "mode", "disabled"}, "--attest")
        if fields.get("type") not in _ATTESTED:
            raise UsageError(f"invalid --attest {text[:80]!r}", hint="--attest type=provenance or type=sbom")
        if fields["type"] == kind and not given:
            wanted = fields.get("disabled", "false") != "true"
    return wanted


def outputs(texts: Sequence[str]) -> tuple[OutputOption, ...]:
    """``type=TYPE[,dest=PATH]``, a directory, or ``-`` for a tar on standard output. Raises `UsageError`."""
    return tuple(map(_output, texts)) or (OutputOption("image"),)


def caches(texts: Iterable[str], option: str) -> tuple["CachePlace", ...]:
    """``type=local,src|dest=DIRECTORY``, ``type=registry,ref=NAME``, or a name alone. Raises `UsageError`."""
    return tuple(_cache(text, option) for text in texts)


def _cache(text: str, option: str) -> "CachePlace":
    from lstore.engine.build.request import CachePlace

    if "=" not in text:
        return CachePlace("registry", text)
    fields = _fields(text, {"type", "ref", "src", "dest", "mode"}, option)
    match fields.get("type", "registry"):
        case "local" if where := fields.get("dest", fields.get("src", "")):
            return CachePlace("local", where)
        case "registry" if where := fields.get("ref", ""):
            return CachePlace("registry", where)
    raise UsageError(
        f"invalid {option} {text[:80]!r}", hint=f"{option} type=local,dest=DIR or type=registry,ref=NAME"
    )


def _output(text: str) -> OutputOption:
    if text == "-":
        return OutputOption("tar", "-")
    if "=" not in text:
        return OutputOption("local", text)
    fields = _fields(text, _OUTPUT_FIELDS, "--output")
    kind = fields.get("type", "")
    if kind not in _TYPES:
        raise UsageError(f"invalid --output {text[:80]!r}: the types are {', '.join(_TYPES)}")
    if kind == "image" and fields.get("push") == "true":
        kind = "registry"
    destination = fields.get("dest", "" if kind in ("image", "registry") else "-")
    if kind == "local" and destination == "-":
        raise UsageError("cannot write the result: dest is required for type local")
    is_tar = fields.get("tar", "true") != "false"
    names = tuple(name for name in fields.get("name", "").split(",") if name)
    return OutputOption(cast(OutputType, kind), destination, is_tar, _packing(kind, fields), names)


def _packing(kind: str, fields: Mapping[str, str]) -> "Packing | None":
    """How layers travel, by buildx's names. Raises `UsageError` where the form of the output says it already."""
    from lstore.engine.packed import Packing

    compression, level = fields.get("compression"), fields.get("compression-level")
    is_forced = fields.get("force-compression", "false") == "true"
    if compression is None and level is None and not is_forced:
        return None
    if level is not None and not (level.isascii() and level.isdigit()):
        raise UsageError(f"invalid compression-level {level[:40]!r}: it must be a number")
    packing = Packing.parse(compression, None if level is None else int(level), is_forced=is_forced)
    if kind not in ("registry", "oci") and packing.compression != "none":
        raise UsageError(
            f"cannot compress layers for --output type={kind}: they are kept and archived as tars",
            hint="--output type=registry, or type=image,push=true, or type=oci",
        )
    return packing


def _fields(text: str, known: set[str], option: str) -> dict[str, str]:
    try:
        row = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise UsageError(f"invalid {option} {text[:80]!r}: {error}") from error
    pairs = [field.partition("=") for field in row]
    unknown = [key for key, _, _ in pairs if key not in known]
    if unknown:
        raise UsageError(f"invalid {option}: unknown field {unknown[0]!r}", hint=", ".join(sorted(known)))
    return {key: value for key, _, value in pairs}


def _variable(name: str, environment: Mapping[str, str]) -> bytes:
    if name not in environment:
        raise NotFound(f"cannot use the secret in {name}: there is no such variable")
    return environment[name].encode("utf-8", "surrogateescape")


def _file(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_SECRET + 1)
    except OSError as error:
        raise file_error(error, f"read the secret file {path}") from error
    if len(data) > MAX_SECRET:
        raise UsageError(f"cannot use the secret file {path}: it has more than {MAX_SECRET} bytes")
    return data
