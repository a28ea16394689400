"""The options that ``run``, ``create`` and ``exec`` share: how a command runs inside, and with what variables."""

from __future__ import annotations

from layerstore.errors import UsageError, file_error
from lstore.cli.flags import Flag, Given

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DETACH_KEYS = Flag(
    ("--detach-keys",), "detach_keys", "text", "The keys that detach us from a terminal", metavar="KEYS"
)
ENV = Flag(("-e", "--env"), "env", "list", "Set a variable, or pass on our own", metavar="KEY[=VALUE]")
ENV_FILE = Flag(("--env-file",), "env_file", "list", "Read variables from a file", metavar="FILE")
USER = Flag(("-u", "--user"), "user", "text", "Who the command runs as", metavar="NAME|UID[:GROUP]")
WORKDIR = Flag(("-w", "--workdir"), "workdir", "text", "The working directory inside", metavar="DIR")
INTERACTIVE = Flag(("-i", "--interactive"), "interactive", "switch", "Let the command read standard input")
TTY = Flag(("-t", "--tty"), "tty", "switch", "Give the command a terminal")
DETACH = Flag(("-d", "--detach"), "detach", "switch", "Do not wait: leave it in the background")

EXEC_FLAGS: tuple[Flag, ...] = (
    DETACH,
    DETACH_KEYS,
    ENV,
    ENV_FILE,
    INTERACTIVE,
    Flag(("--privileged",), "privileged", "switch", "Give the command every capability"),
    TTY,
    USER,
    WORKDIR,
)


def variables(given: Given, environment: Mapping[str, str]) -> list[str]:
    """``KEY=VALUE`` as it stands; ``KEY`` alone with our own value, or not at all where we have none."""
    found: list[str] = []
    for entry in (*entries_of(given.texts("env_file")), *given.texts("env")):
        name, equals, _ = entry.partition("=")
        if not name:
            raise UsageError(f"invalid environment variable: {entry!r}")
        if equals:
            found.append(entry)
        elif name in environment:
            found.append(f"{name}={environment[name]}")
    return found


def entries_of(paths: Sequence[str]) -> Iterable[str]:
    """The entries of files of variables or labels: one a line, without comments and empty lines."""
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                lines = list(stream)
        except OSError as error:
            raise file_error(error, f"read {path}") from error
        for line in lines:
            entry = line.rstrip("\r\n").lstrip()
            if entry and not entry.startswith("#"):
                yield entry
