"""Dockerfile instructions that change an image's defaults: ``import --change``, ``commit --change``.

Only what docker allows there: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER,
VOLUME, WORKDIR. Docker's "Dockerfile reference" has their forms.
"""

import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping

from layerstore.errors import LstoreError, UsageError
from layerstore.oci.document import Json

_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(?P<port>\d{1,5})(?:/(?P<protocol>tcp|udp|sctp))?\Z")
_MAX_PORT = 65535

Config = dict[str, Json]


def apply_changes(config: Mapping[str, Json], changes: Iterable[str]) -> Config:
    """The object ``config`` of an image configuration, changed by each instruction in turn.

    Raises `UsageError` for an instruction that is not allowed or malformed.
    """
    result = dict(config)
    for change in changes:
        word, _, argument = change.strip().partition(" ")
        try:
            result.update(_applied(result, word.upper(), argument.strip()))
        except ValueError as error:
            raise UsageError(f"invalid change {change[:200]!r}: {error}") from error
    return result


def _applied(config: Mapping[str, Json], word: str, argument: str) -> Config:
    """The fields that one instruction sets."""
    if not argument:
        raise ValueError(f"{word or 'it'} says nothing")
    match word:
        case "CMD" | "ENTRYPOINT":
            return {word.capitalize(): _command(argument)}
        case "ENV":
            return {"Env": _with_variables(_strings(config.get("Env")), _pairs(argument))}
        case "LABEL":
            return {"Labels": {**_object(config.get("Labels")), **dict(_pairs(argument))}}
        case "EXPOSE":
            ports: Config = {_port(each): {} for each in argument.split()}
            return {"ExposedPorts": {**_object(config.get("ExposedPorts")), **ports}}
        case "VOLUME":
            volumes: Config = {each: {} for each in _words(argument)}
            return {"Volumes": {**_object(config.get("Volumes")), **volumes}}
        case "HEALTHCHECK":
            return {"Healthcheck": _healthcheck(argument)}
        case "ONBUILD":
            return {"OnBuild": [*_strings(config.get("OnBuild")), argument]}
        case "STOPSIGNAL":
            return {"StopSignal": argument}
        case "USER":
            return {"User": argument}
        case "WORKDIR":
            return {
                "WorkingDir": posixpath.normpath(posixpath.join(_text(config.get("WorkingDir")), argument))
            }
    raise ValueError(f"{word} cannot change an image")


def _healthcheck(argument: str) -> Config:
    from layerstore.build.image_state import healthcheck_of
    from layerstore.build.instruction import Healthcheck
    from layerstore.build.parser import parse_trigger

    try:
        instruction = parse_trigger(f"HEALTHCHECK {argument}", "--change")
    except LstoreError as error:
        raise ValueError(error.message) from error
    return dict(healthcheck_of(instruction)) if isinstance(instruction, Healthcheck) else {}


def _command(argument: str) -> list[str]:
    """A JSON array of strings as it stands; anything else goes to the shell."""
    return _array(argument) or [*_SHELL, argument]


def _array(argument: str) -> list[str]:
    try:
        value = json.loads(argument)
    except ValueError:
        return []
    is_words = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return value if is_words else []


def _words(argument: str) -> list[str]:
    return _array(argument) or shlex.split(argument)


def _pairs(argument: str) -> list[tuple[str, str]]:
    """``a=1 b="2 3"``, or the old form ``a 1``."""
    words = shlex.split(argument)
    if "=" not in words[0]:
        key, _, value = argument.partition(" ")
        if not value:
            raise ValueError(f"{key} has no value")
        return [(key, value.strip())]
    pairs = [word.partition("=") for word in words]
    if not all(key and equals for key, equals, _ in pairs):
        raise ValueError("each word must be KEY=VALUE")
    return [(key, value) for key, _, value in pairs]


def _with_variables(environment: list[str], pairs: list[tuple[str, str]]) -> list[str]:
    known = dict(each.partition("=")[::2] for each in environment)
    return [f"{key}={value}" for key, value in {**known, **dict(pairs)}.items()]


def _port(text: str) -> str:
    match = _PORT.match(text)
    if match is None or not 0 < int(match["port"]) <= _MAX_PORT:
        raise ValueError(f"{text!r} is no port")
    return f"{int(match['port'])}/{match['protocol'] or 'tcp'}"


def _strings(value: Json) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Json) -> str:
    return value if isinstance(value, str) and value else "/"
