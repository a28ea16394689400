"""Every error that lstore raises on purpose.

    LstoreError
    ├── UsageError            the caller asked for something that cannot be (exit 125)
    ├── InvalidInput          foreign bytes or text break a format's rules
    │   ├── InvalidReference · InvalidDigest · InvalidPlatform
    │   ├── InvalidDocument   JSON: manifest, index, config, layout
    │   ├── InvalidArchive    an image archive or layout directory
    │   ├── InvalidLayer      a layer's tar, compression or diff_id
    │   └── DockerfileError   a Dockerfile, at a line and column
    ├── ContentMismatch       bytes that do not match their digest or size
    ├── LimitExceeded         a named bound was passed
    ├── UnsupportedContent    valid, but nothing we handle (foreign layers, schema 1)
    ├── NotFound              no such image, blob, tag, container
    │   └── NoMatchingPlatform
    ├── Conflict              it exists, is in use, or changed under us
    ├── StoreDamaged          the store breaks its own promises; fsck names and mends it
    ├── StorageError          the file system said no
    │   └── NoSpace
    ├── MissingFeature        the kernel, a privilege or a program is not there
    ├── RegistryError         a registry said no, or nothing sensible
    │   ├── Unauthorized
    │   └── Unreachable       temporary: worth another try
    ├── LaunchError           a process could not be started (exit 125, 126, 127)
    └── StepFailed            the command of a build step ended with another status than 0

Each class fixes a stable `code` for scripts and the exit status that the CLI returns
(docs/exit-statuses.md). Messages are lower case and say what failed on which object; a hint is a
command to run, or what to write instead. Secrets never enter a message. Errors are translated once, at the
border where the foreign exception arose, with ``raise … from``.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False  # typing's own is not worth its import on the path that starts a process
if TYPE_CHECKING:
    from typing import ClassVar

EXIT_FAILURE = 1
EXIT_USAGE = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_COMMAND_NOT_FOUND = 127
EXIT_INTERRUPTED = 130


class LstoreError(Exception):
    """Whatever lstore refuses or fails to do."""

    code: ClassVar[str] = "failed"
    exit_status: int = EXIT_FAILURE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LstoreError):
    """The caller's words do not fit together."""

    code = "usage"
    exit_status = EXIT_USAGE


class InvalidInput(LstoreError):
    """Foreign bytes or text break a format's rules."""

    code = "invalid"


class InvalidReference(InvalidInput):
    """Text that is no image reference."""

    code = "invalid-reference"


class InvalidDigest(InvalidInput):
    """Text that is no digest of a registered algorithm."""

    code = "invalid-digest"


class InvalidPlatform(InvalidInput):
    """Text that is no os/architecture[/variant]."""

    code = "invalid-platform"


class InvalidDocument(InvalidInput):
    """JSON that is not what its media type promises."""

    code = "invalid-document"


class InvalidArchive(InvalidInput):
    """An image archive or layout that breaks its format."""

    code = "invalid-archive"


class InvalidLayer(InvalidInput):
    """A layer that cannot be read, or whose diff_id is another one."""

    code = "invalid-layer"


class DockerfileError(InvalidInput):
    """A Dockerfile that breaks its language's rules, at a known place."""

    code = "invalid-dockerfile"

    def __init__(
        self, problem: str, *, file: str, line: int, column: int, text: str, hint: str | None = None
    ) -> None:
        """`line` and `column` count from 1; `text` is that line as it stands, without its end."""
        super().__init__(f"{file}:{line}:{column}: {problem}", hint=hint)
        self.problem = problem
        self.file = file
        self.line = line
        self.column = column
        self.text = text

    @property
    def excerpt(self) -> str:
        """The line with its number, and a caret under the column."""
        number = f"{self.line:>4} | "
        before = "".join("\t" if char == "\t" else " " for char in self.text[: self.column - 1])
        return f"{number}{self.text}\n{' ' * (len(number) - 2)}| {before}^"


class ContentMismatch(LstoreError):
    """Bytes that do not match the digest or size they are named by."""

    code = "content-mismatch"


class LimitExceeded(LstoreError):
    """Foreign data passed a named bound."""

    code = "limit-exceeded"


class UnsupportedContent(LstoreError):
    """Valid content of a kind that lstore does not handle."""

    code = "unsupported-content"


class NotFound(LstoreError):
    """The named thing does not exist."""

    code = "not-found"


class NoMatchingPlatform(NotFound):
    """The image exists, but not for this platform."""

    code = "no-matching-platform"


class Conflict(LstoreError):
    """The thing exists already, is in use, or changed meanwhile."""

    code = "conflict"


class StoreDamaged(LstoreError):
    """The store breaks one of its own promises."""

    code = "store-damaged"

    def __init__(self, message: str, *, hint: str | None = "lstore fsck --repair") -> None:
        super().__init__(message, hint=hint)


class StorageError(LstoreError):
    """The file system refused."""

    code = "storage"


class NoSpace(StorageError):
    """The file system is full, or a quota is."""

    code = "no-space"

    def __init__(self, message: str, *, hint: str | None = "lstore system df; lstore system prune") -> None:
        super().__init__(message, hint=hint)


class MissingFeature(LstoreError):
    """The kernel, a privilege or a program that this needs is not there."""

    code = "missing-feature"


class RegistryError(LstoreError):
    """A registry refused, or answered nothing that makes sense."""

    code = "registry"

    def __init__(
        self, message: str, *, hint: str | None = None, status: int | None = None, is_temporary: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.is_temporary = is_temporary


class Unauthorized(RegistryError):
    """The registry wants other credentials, or grants these no access."""

    code = "unauthorized"


class Unreachable(RegistryError):
    """No answer, or none in time: worth another try later."""

    code = "unreachable"


class LaunchError(LstoreError):
    """A container's process could not be started."""

    code = "launch"
    exit_status = EXIT_USAGE

    def __init__(self, message: str, *, hint: str | None = None, exit_status: int = EXIT_USAGE) -> None:
        super().__init__(message, hint=hint)
        self.exit_status = exit_status


class StepFailed(LstoreError):
    """A build step's command ran, and failed."""

    code = "step-failed"

    def __init__(self, message: str, *, vertex: int, line: int, status: int, hint: str | None = None) -> None:
        """`vertex` is the step's number in the build's progress, `line` its line in the Dockerfile, from 1."""
        super().__init__(message, hint=hint)
        self.vertex = vertex
        self.line = line
        self.status = status


def kind_of(code: str) -> type[LstoreError]:
    """The class whose code is `code`, to raise again an error that another process reported by code, message and hint.

    `LstoreError` itself where no class has that code, or where the class takes more arguments than message and hint.
    """
    pending: list[type[LstoreError]] = [LstoreError]
    while pending:
        kind = pending.pop()
        if kind.code == code and kind not in (DockerfileError, StepFailed):
            return kind
        pending += kind.__subclasses__()
    return LstoreError


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def storage_error(error: OSError, doing: str) -> StorageError:
    """The typed form of an ``OSError`` met while `doing` something to the store's own files.

    `doing` reads like "write /var/lib/lstore/…"; the caller raises the result ``from`` the error.
    """
    if error.errno in _FULL:
        return NoSpace(_told(error, doing))
    hint = (
        "run as root, or choose another store with --root DIR" if isinstance(error, PermissionError) else None
    )
    return StorageError(_told(error, doing), hint=hint)


def file_error(error: OSError, doing: str) -> StorageError:
    """As `storage_error`, for a file that is the user's own: another store would not help."""
    kind = NoSpace if error.errno in _FULL else StorageError
    return kind(_told(error, doing), hint=None)


def _told(error: OSError, doing: str) -> str:
    return f"cannot {doing}: {(error.strerror or str(error)).lower()}"
