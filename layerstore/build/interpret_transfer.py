"""COPY and ADD from their statements. Dockerfile reference, "COPY" and "ADD"."""

import re
from typing import Final, NamedTuple, TypeVar

from layerstore.build.heredoc import parse_marker
from layerstore.build.instruction import Add, Copy, InlineFile, Transfer
from layerstore.build.source_kind import SourceKind, source_kind
from layerstore.build.statement import Flags, Statement
from layerstore.build.words import Word, exec_form, split_spaces
from layerstore.dataclass import replace
from layerstore.errors import InvalidInput

_T = TypeVar("_T", bound=Transfer)
_FLAGS: Final = ("chown", "chmod", "link", "parents")
_OCTAL: Final = re.compile(r"[0-7]{1,4}\Z")
_CLAUSE: Final = re.compile(r"[ugoa]*(?:[-+=][rwxXst]*)+\Z")


def interpret_copy(statement: Statement) -> Copy:
    """COPY. Raises `DockerfileError`."""
    flags = Flags(statement, (*_FLAGS, "from"), repeatable=("exclude",))
    places = _places(statement)
    stage = flags.text("from")
    if "$" in stage:
        problem = "--from does not expand variables: give the image a stage of its own with FROM … AS"
        raise statement.error(problem, flags.offset("from"))
    for word in places.sources:
        if source_kind(word.text) is not SourceKind.PATH:
            raise statement.error(f"source can't be a URL for COPY: {word.text}", word.offset, hint="use ADD")
    return replace(_transfer(Copy, statement, flags, places), source_stage=stage)


def interpret_add(statement: Statement) -> Add:
    """ADD. Raises `DockerfileError`."""
    flags = Flags(statement, (*_FLAGS, "checksum", "keep-git-dir", "unpack"), repeatable=("exclude",))
    places = _places(statement)
    checksum = flags.text("checksum")
    if checksum and (len(places.sources) != 1 or places.inline):
        raise statement.error("checksum can't be specified for multiple sources", flags.offset("checksum"))
    return replace(
        _transfer(Add, statement, flags, places),
        checksum=checksum,
        keep_git_dir=flags.boolean("keep-git-dir") or False,
        unpack=flags.boolean("unpack"),
    )


def _transfer(kind: type[_T], statement: Statement, flags: Flags, places: "_Places") -> _T:
    """What COPY and ADD have in common."""
    return kind(
        statement,
        tuple(word.text for word in places.sources),
        places.destination,
        places.inline,
        chown=flags.text("chown"),
        chmod=_chmod(statement, flags),
        is_linked=flags.boolean("link") or False,
        exclude=flags.texts("exclude"),
        parents=flags.boolean("parents") or False,
    )


def is_mode(text: str) -> bool:
    """Whether `text` is an octal mode up to 7777, or a list of symbolic ones as chmod(1) takes it."""
    return bool(_OCTAL.match(text)) or all(_CLAUSE.match(clause) for clause in text.split(","))


def _chmod(statement: Statement, flags: Flags) -> str:
    mode = flags.text("chmod")
    if mode and "$" not in mode and not is_mode(mode):
        problem = f"invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777"
        raise statement.error(problem, flags.offset("chmod"))
    return mode


class _Places(NamedTuple):
    """Source paths, heredocs among the sources, and the destination."""

    sources: tuple[Word, ...]
    inline: tuple[InlineFile, ...]
    destination: str


def _places(statement: Statement) -> _Places:
    words = _words(statement)
    if len(words) < 2:
        raise statement.error(
            f"{statement.name} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
    *sources, destination = words
    if parse_marker(destination.text) is not None:
        raise statement.error(
            f"{statement.name} cannot accept a heredoc as a destination", destination.offset
        )
    contents = {heredoc.name: heredoc for heredoc in statement.heredocs}
    paths: list[Word] = []
    inline: list[InlineFile] = []
    for word in sources:
        marker = parse_marker(word.text)
        heredoc = contents.get(marker.name) if marker is not None else None
        if heredoc is None:
            paths.append(word)
        else:
            inline.append(InlineFile(heredoc.name, heredoc.text, heredoc.expands))
    return _Places(tuple(paths), tuple(inline), destination.text)


def _words(statement: Statement) -> tuple[Word, ...]:
    try:
        array = exec_form(statement.rest.text)
    except InvalidInput as error:
        raise statement.error(error.message, statement.rest.offset) from error
    if array is None:
        return split_spaces(statement.rest)
    return tuple(Word(item, statement.rest.offset) for item in array)
