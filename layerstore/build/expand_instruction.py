"""Which parts of which instructions have their variables expanded, and how. Dockerfile reference, "Environment
replacement"; RUN's, CMD's and ENTRYPOINT's command lines are left to the shell inside.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from layerstore.build.expand import ShellLexer
from layerstore.build.instruction import (
    Add,
    Copy,
    Expose,
    InlineFile,
    Instruction,
    Pair,
    Pairs,
    Run,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from layerstore.build.interpret_transfer import is_mode
from layerstore.build.mount import parse_mount
from layerstore.build.source_kind import SourceKind, source_kind
from layerstore.dataclass import replace
from layerstore.errors import InvalidInput, LimitExceeded
from layerstore.oci.digest import Digest

_COMMIT: Final = re.compile(r"[0-9a-fA-F]{7,64}\Z")
_HEREDOC: Final = ShellLexer(ignores_quotes=True)


class Expanded(NamedTuple):
    """An instruction with its variables put in."""

    instruction: Instruction
    undefined: frozenset[str]
    """Variables that it names and nobody set."""


def expand_instruction(
    instruction: Instruction, variables: Mapping[str, str], *, escape: str, workdir: str
) -> Expanded:
    """`instruction` with `variables` put in; ARG, which looks at build arguments first, is not for here.

    Raises `DockerfileError` for bad substitutions and for what is invalid once it is expanded.
    """
    expander = _Expander(ShellLexer(escape), variables, workdir)
    try:
        done = expander.expand(instruction)
    except (InvalidInput, LimitExceeded) as error:
        raise instruction.origin.error(error.message) from error
    return Expanded(done, frozenset(expander.unmatched))


class _Expander:
    def __init__(self, lexer: ShellLexer, variables: Mapping[str, str], workdir: str) -> None:
        self._lexer = lexer
        self._variables = variables
        self._workdir = workdir
        self.unmatched: set[str] = set()

    def expand(self, instruction: Instruction) -> Instruction:
        match instruction:
            case Pairs():
                return replace(instruction, pairs=tuple(self._pair(pair) for pair in instruction.pairs))
            case Run():
                mounts = tuple(parse_mount(text, self._word) for text in instruction.mount_flags)
                return replace(instruction, mounts=tuple(each.resolved(self._workdir) for each in mounts))
            case Copy() | Add():
                return self._transfer(instruction)
            case Workdir():
                return replace(instruction, path=self._word(instruction.path))
            case User():
                return replace(instruction, user=self._word(instruction.user))
            case StopSignal():
                return replace(instruction, signal=self._word(instruction.signal))
            case Volume():
                return replace(instruction, paths=self._filled(instruction.paths, "VOLUME"))
            case Expose():
                return replace(
                    instruction, ports=tuple(word for port in instruction.ports for word in self._words(port))
                )
        return instruction

    def _word(self, text: str) -> str:
        result = self._lexer.expand(text, self._variables)
        self.unmatched |= result.unmatched
        return result.text

    def _words(self, text: str) -> tuple[str, ...]:
        result = self._lexer.expand(text, self._variables)
        self.unmatched |= result.unmatched
        return result.words

    def _pair(self, pair: Pair) -> Pair:
        return replace(pair, key=self._word(pair.key), value=self._word(pair.value))

    def _filled(self, texts: tuple[str, ...], name: str) -> tuple[str, ...]:
        done = tuple(self._word(text) for text in texts)
        if not all(done):
            raise InvalidInput(f"{name} specified can not be an empty string")
        return done

    def _transfer(self, instruction: Copy | Add) -> Copy | Add:
        chmod = self._word(instruction.chmod)
        if chmod and not is_mode(chmod):
            raise InvalidInput(
                f"invalid chmod parameter: '{chmod}'. it should be octal string and between 0 and 07777"
            )
        done = replace(
            instruction,
            sources=tuple(self._word(text) for text in instruction.sources),
            destination=self._word(instruction.destination),
            inline=tuple(self._inline(file) for file in instruction.inline),
            chown=self._word(instruction.chown),
            chmod=chmod,
            exclude=tuple(self._word(text) for text in instruction.exclude),
        )
        if isinstance(done, Add) and done.checksum:
            checksum = self._word(done.checksum)
            return replace(done, checksum=_checked(checksum, done.sources[0]))
        return done

    def _inline(self, file: InlineFile) -> InlineFile:
        if not file.expands:
            return file
        result = _HEREDOC.expand(file.content, self._variables)
        self.unmatched |= result.unmatched
        return InlineFile(file.name, result.text)


def _checked(checksum: str, source: str) -> str:
    """The digest of a download, or a repository's commit, whole or its first digits. Raises `InvalidInput`."""
    if source_kind(source) is not SourceKind.GIT:
        return str(Digest.parse(checksum))
    if not _COMMIT.match(checksum):
        raise InvalidInput(f"invalid checksum {checksum[:80]!r}: of a git repository it is a commit")
    return checksum
