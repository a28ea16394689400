"""HEALTHCHECK from its statement. Dockerfile reference, "HEALTHCHECK"."""

from typing import Final

from layerstore.build.go_text import parse_duration, parse_natural
from layerstore.build.instruction import Healthcheck
from layerstore.build.statement import Flags, Statement
from layerstore.build.suggestion import did_you_mean
from layerstore.build.words import Word, exec_form
from layerstore.errors import InvalidInput

_TIMES: Final = ("interval", "timeout", "start-period", "start-interval")
_KINDS: Final = ("CMD", "NONE")
_LEAST: Final = 1_000_000
"""Nanoseconds: docker refuses less than a millisecond."""
_MAX_RETRIES: Final = (1 << 31) - 1


def interpret_healthcheck(statement: Statement) -> Healthcheck:
    """HEALTHCHECK. Raises `DockerfileError`."""
    flags = Flags(statement, (*_TIMES, "retries"))
    kind, rest = _split(statement.rest)
    if not kind:
        raise statement.error("HEALTHCHECK requires at least one argument")
    if kind.upper() == "NONE":
        if rest.text or statement.flags:
            raise statement.error("HEALTHCHECK NONE takes no arguments", statement.rest.offset)
        return Healthcheck(statement, ("NONE",))
    if kind.upper() != "CMD":
        suggestion = did_you_mean(kind, _KINDS, ignore_case=True) or " (try CMD)"
        raise statement.error(f"unknown type {kind!r} in HEALTHCHECK{suggestion}", statement.rest.offset)
    interval, timeout, start_period, start_interval = (_time(statement, flags, name) for name in _TIMES)
    return Healthcheck(
        statement,
        _test(statement, rest),
        interval,
        timeout,
        start_period,
        start_interval,
        _retries(statement, flags),
    )


def _split(rest: Word) -> tuple[str, Word]:
    kind = rest.text.split(maxsplit=1)[0] if rest.text else ""
    behind = rest.text[len(kind) :]
    skipped = len(behind) - len(behind.lstrip())
    return kind, Word(behind.strip(), rest.offset + len(kind) + skipped)


def _test(statement: Statement, rest: Word) -> tuple[str, ...]:
    try:
        array = exec_form(rest.text)
    except InvalidInput as error:
        raise statement.error(error.message, rest.offset) from error
    if not (rest.text if array is None else array):
        raise statement.error("missing command after HEALTHCHECK CMD", rest.offset)
    return ("CMD-SHELL", rest.text) if array is None else ("CMD", *array)


def _time(statement: Statement, flags: Flags, name: str) -> int:
    text = flags.text(name)
    if not text:
        return 0
    nanoseconds = parse_duration(text)
    if nanoseconds is None:
        raise statement.error(f"invalid duration {text!r}: write it like 30s or 1m30s", flags.offset(name))
    if nanoseconds and nanoseconds < _LEAST:
        raise statement.error(f"interval {name!r} cannot be less than 1ms", flags.offset(name))
    return nanoseconds


def _retries(statement: Statement, flags: Flags) -> int:
    text = flags.text("retries")
    if not text:
        return 0
    retries = parse_natural(text, _MAX_RETRIES)
    if retries is None:
        raise statement.error(
            f"--retries must be a number and cannot be negative ({text})", flags.offset("retries")
        )
    return retries
